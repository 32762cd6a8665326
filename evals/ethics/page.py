"""The pages of a fine-tuning with ethics and of a search: what they show, and the files that they are written to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evals.ethics.comparing import FIGURE_HEAD, Compared, Figure, figure_rows
from evals.ethics.measuring import Measured
from evals.ethics.search import Point, front
from evals.ethics.searching import Searched
from evals.ethics.settings import EthicsRequest, Judges, Limits
from evals.report.ethics import EthicsPage, EthicsRow, EthicsSample, TradeOff, TradePoint, ethics_markdown
from evals.report.ethics_html import ethics_html
from guard.errors import OutputError

__all__ = ["card_section", "compared_page", "record_of", "search_page", "trade_off", "write_page"]


def compared_page(
    title: str,
    found: Compared,
    sides: Mapping[str, Measured],
    judges: Judges,
    ethics: EthicsRequest,
    *,
    facts: Sequence[tuple[str, str]] = (),
    trade: TradeOff | None = None,
) -> EthicsPage:
    """Return what the page of a comparison shows."""
    names = {"original": "original", "plain": "plain", "ethics": "with ethics"}
    samples = [
        EthicsSample(names[name], one.prompt, one.answer, one.score)
        for name, side in sides.items()
        for one in side.shown
    ]
    return EthicsPage(
        title,
        found.outcome,
        found.sentence,
        found.checks,
        [_row(one) for one in found.figures],
        samples,
        _notes(found, sides, judges),
        [("terms", ethics.weights.told()), ("judge in training", judges.training.name), *facts],
        trade,
    )


def _row(one: Figure) -> EthicsRow:
    values = [(side.value, side.interval) for side in (one.original, one.plain, one.ethics)]
    known = [end for value, interval in values if value is not None for end in (value, *(interval or ()))]
    is_share = bool(known) and not one.name.endswith("_nats") and all(0 <= end <= 1 for end in known)
    unscored = one.original.n_unscored + one.plain.n_unscored + one.ethics.n_unscored
    return EthicsRow(one.title, values, one.difference.value, one.difference.interval, one.n_paired, unscored, is_share)


def _notes(found: Compared, sides: Mapping[str, Measured], judges: Judges) -> list[str]:
    notes = [
        f"The verdict is by {judges.measuring[0].name}, which nothing was trained against. The figures by"
        f" {judges.training.name} flatter: the objective was optimised against that judge."
    ]
    for name, one in found.ratios.items():
        if one.value is not None and one.interval is not None:
            ends = f"[{one.interval[0]:.3f}, {one.interval[1]:.3f}]"
            notes.append(f"Perplexity of {name} text, with ethics by plain: {one.value:.3f} {ends}, n {one.n}.")
    chosen = "; ".join(f"{name}: {', '.join(side.wordings)}" for name, side in sides.items())
    notes.append(f"The attack chose its wordings on each model, on other beginnings. {chosen}.")
    return notes


def trade_off(searched: Searched, limits: Limits) -> TradeOff:
    """Return the plane of a search."""
    best = {one.number for one in front([one for one in searched.points if one.within(limits)] or searched.points)}
    points = [_point(one, limits, best, searched.chosen) for one in searched.points]
    return TradeOff(points, limits.perplexity, searched.sentence, searched.judge, searched.beside)


def _point(one: Point, limits: Limits, best: set[int], chosen: Point | None) -> TradePoint:
    is_chosen = chosen is not None and chosen.number == one.number
    tried = one.tried
    name = f"{one.number}: {one.weights.told()}"
    return TradePoint(
        name, tried.perplexity, tried.toxicity, one.within(limits), one.number in best, is_chosen, tried.beside
    )


def search_page(title: str, searched: Searched, limits: Limits, facts: Sequence[tuple[str, str]]) -> EthicsPage:
    """Return what the page of a search shows."""
    notes = [
        f"Searched by {searched.judge} on prompts that no final measurement uses. {searched.beside} judged the same"
        " continuations beside it, and decided nothing."
    ]
    return EthicsPage(title, None, searched.sentence, notes=notes, facts=facts, trade=trade_off(searched, limits))


def record_of(found: Compared, sides: Mapping[str, Measured], judges: Judges, ethics: EthicsRequest) -> dict[str, Any]:
    """Return everything that was found; JSON values only."""
    return {
        "outcome": found.outcome.name,
        "sentence": found.sentence,
        "weights": asdict(ethics.weights),
        "judges": {"training": judges.training.name, "measuring": [one.name for one in judges.measuring]},
        "sizes": asdict(ethics.sizes),
        "limits": asdict(ethics.limits),
        "figures": [asdict(one) for one in found.figures],
        "perplexity_ratios": {name: asdict(one) for name, one in found.ratios.items()},
        "checks": [{"metric": one.metric, "outcome": one.outcome.name, "reason": one.reason} for one in found.checks],
        "wordings": {name: list(side.wordings) for name, side in sides.items()},
    }


def card_section(found: Compared, judges: Judges, ethics: EthicsRequest) -> str:
    """Return the rows of the model card, in Markdown."""
    head = [f"| {' | '.join(FIGURE_HEAD)} |", "|" + " --- |" * len(FIGURE_HEAD)]
    rows = [f"| {' | '.join(row)} |" for row in figure_rows(found)]
    lines = [
        "## Ethics in the objective",
        "",
        f"Trained with {ethics.weights.told()} beside the language-model loss, judged in training by"
        f" `{judges.training.name}`; measured by {', '.join(f'`{one.name}`' for one in judges.measuring)}, against"
        " plain fine-tuning on the same rows. Intervals are 95%, differences paired.",
        "",
        *head,
        *rows,
        "",
        found.sentence,
    ]
    return "\n".join(lines) + "\n"


def write_page(folder: Path, page: EthicsPage, record: Mapping[str, Any], *, name: str) -> list[Path]:
    """Write the page as HTML and Markdown, and the record as JSON.

    Raises
    ------
    OutputError
        They cannot be written.
    """
    content = {
        ".html": ethics_html(page),
        ".md": ethics_markdown(page),
        ".json": json.dumps(record, ensure_ascii=False, indent=2) + "\n",
    }
    written = []
    for end, text in content.items():
        file = folder / f"{name}{end}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            scratch = file.with_name(f"{file.name}.tmp")
            scratch.write_text(text, encoding="utf-8")
            os.replace(scratch, file)
        except OSError as error:
            raise OutputError(f"cannot write {file} ({error.strerror}): make room, or name another folder") from error
        written.append(file)
    return written
