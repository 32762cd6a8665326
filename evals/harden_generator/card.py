"""The card and the record of a hardened model: where it comes from, what it was trained on, what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from evals.harden_generator.data import ASSETS, HardeningData
from evals.harden_generator.result import HardenResult, figure_rows
from guard import assets
from guard.train.generator.terms import Term

__all__ = ["card_text", "record_of"]

_HEAD = ("", "before", "after", "difference", "n", "unscored")


def record_of(
    result: HardenResult, *, settings: Mapping[str, Any], data: HardeningData, terms: Sequence[Term]
) -> dict[str, object]:
    """Return everything that is needed to run it again, and what came of it; JSON values only."""
    found, own = result.to_dict(), settings["goals"]
    found.pop("shown")
    licences = {one.name: one.licence for one in assets.catalogue()}
    return {
        "base_model": {
            "name": result.model,
            "digest": result.digest,
            "licence": licences.get(result.model, "see the original"),
        },
        "settings": _plain(settings),
        "terms": [{"name": type(term).__name__, "weight": term.weight} for term in terms],
        "data": {
            "digest": data.digest(),
            "goals_from": str(own) if own else f"AdvBench, {licences['advbench']}, and some written for Assay",
            "trained_goals": len(data.taught_goals),
            "trained_harmless": len(data.taught_harmless),
            "trained_wordings": [one.id for one in data.taught_wordings],
            "unseen_wordings": [one.id for one in data.unseen_wordings],
            "assets": {name: licences[name] for name in ASSETS},
        },
        "result": found,
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def card_text(result: HardenResult, record: Mapping[str, Any]) -> str:
    """Return the model card, in Markdown."""
    base, data = record["base_model"], record["data"]
    weights = ", ".join(f"{term['name'].lower()} {term['weight']:g}" for term in record["terms"])
    lines = [
        f"# {result.model}, hardened",
        "",
        f"Made with Assay from {base['name']} (digest `{base['digest'][:12]}`, licence: {base['licence']}): low-rank"
        " updates that refuse harmful requests, also in wordings that try to get around a refusal, and leave other"
        " answers as they were.",
        "",
        "## Before and after",
        "",
        f"| {' | '.join(_HEAD)} |",
        f"|{' --- |' * len(_HEAD)}",
        *(f"| {' | '.join(row)} |" for row in figure_rows(result)),
        "",
        "Intervals are 95%; differences are paired. The adaptive attack chose its wordings on this model, on other"
        f" goals than those it is measured on: {', '.join(result.wordings)}.",
        "",
        f"Verdict: {result.sentence}",
        "",
        "## Training",
        "",
        f"{result.progress.step} steps, kept those up to step {result.progress.best_step}, at strength"
        f" {result.strength:.3f}; terms: {weights}; seed"
        f" {result.seed}. {data['trained_goals']} harmful requests ({data['goals_from']}) against refusals written for"
        f" Assay, in the wordings {', '.join(data['trained_wordings'])}; {data['trained_harmless']} harmless ones"
        " against the original's own answers. Nothing of HarmBench, Do-Not-Answer or the benign requests of the audit"
        " was trained on.",
        "",
        "## Limits",
        "",
        "- Figures are for the attacks listed in `hardening.json` and their budget: a stronger attack reaches more.",
        "- An answer counts by a judge with known errors; whether what it says is true or of use is not judged.",
        "- English only. Use it behind a guard, and audit it: `assay audit --model FOLDER`.",
        "",
    ]
    return "\n".join(lines)
