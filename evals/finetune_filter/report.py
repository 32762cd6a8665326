"""A fine-tuned filter as JSON, as a model card, and as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from evals.console import one_line
from evals.curves import Share
from evals.finetune_filter.finetuning import FinetuneResult
from evals.harden_filter.figures import Change, Side

__all__ = [
    "SCHEMA",
    "data_head_and_rows",
    "head_and_rows",
    "pseudo_sentence",
    "share_in_words",
    "short_head_and_rows",
    "to_card",
    "to_dict",
    "to_json",
    "training_sentence",
]

SCHEMA = "assay.finetune-filter/1"
"""Name and version of the document."""


def to_dict(result: FinetuneResult) -> dict[str, Any]:
    """Return the result as JSON values; no text of a row is in it."""
    request, rows = result.request, result.rows
    parts = {"train": rows.train, "validation": rows.validation, "test": rows.test}
    return {
        "schema": SCHEMA,
        "filter": result.name,
        "category": request.category,
        "started_from": request.filter_name,
        "rows": {name: {"n": len(part), "applies": sum(label for _, label in part)} for name, part in parts.items()}
        | {"unlabelled": {"n": len(rows.unlabelled)}},
        "left_out": asdict(rows.counts),
        "digests": result.digests,
        "settings": asdict(request.training),
        "training": result.trained.record(),
        "threshold": result.threshold,
        "changes": {name: [asdict(change) for change in changes] for name, changes in result.changes.items()},
        "pseudo_labels": None if result.pseudo is None else asdict(result.pseudo),
        "other_categories": [asdict(one) for one in result.drift],
    }


def to_json(result: FinetuneResult) -> str:
    """Return the result as a JSON document."""
    return json.dumps(to_dict(result), indent=2, ensure_ascii=False) + "\n"


def head_and_rows(result: FinetuneResult) -> tuple[list[str], list[list[str]]]:
    """Return the table of all figures."""
    rows = [
        [
            f"{change.title}, against {name}",
            _side(change.before),
            _side(change.after),
            _difference(change),
            str(change.n_paired),
        ]
        for name, changes in result.changes.items()
        for change in changes
    ]
    return ["figure", "there", "this filter", "difference (95%)", "n"], rows


def short_head_and_rows(result: FinetuneResult) -> tuple[list[str], list[list[str]]]:
    """Return the same in the width of a terminal: without the intervals of each side."""
    rows = [
        [f"{c.title}, against {name}", f"{_value(c.before)} > {_value(c.after)}", _difference(c), str(c.n_paired)]
        for name, changes in result.changes.items()
        for c in changes
    ]
    return ["figure", "there > here", "difference (95%)", "n"], rows


def _value(side: Side) -> str:
    return "no data" if side.value is None else f"{side.value:.3f}"


def pseudo_sentence(result: FinetuneResult) -> str:
    """Say what became of pseudo-labels; nothing where there was no unlabelled text."""
    found = result.pseudo
    if found is None:
        return ""
    asked, least = result.request.training.pseudo.precision, result.request.training.pseudo.least
    accepted, right = share_in_words(found.accepted), share_in_words(found.estimated)
    estimate = f"{accepted} of the unlabelled rows accepted, {right} of them estimated right"
    if found.n_used:
        return f"Pseudo-labels learnt from in {found.n_used} of {found.n_rounds} rounds: {estimate} (asked: {asked:g})."
    harmful = found.estimated_harmful
    if found.estimated.trials < least or 4 * min(harmful.trials, found.estimated.trials - harmful.trials) < least:
        why = f"fewer than {least} labelled rows tell, or fewer than {-(-least // 4)} of a class"
    else:
        why = f"asked: {asked:g} of either class"
    return f"Pseudo-labels refused, trained on labels alone: {estimate} ({why})."


def share_in_words(share: Share) -> str:
    """Write a share with its interval and counts."""
    if share.value is None:
        return f"no data ({share.hits} of {share.trials})"
    low, high = share.interval
    return f"{share.value:.3f} ({low:.3f} to {high:.3f}; {share.hits:,} of {share.trials:,})"


def _side(side: Side) -> str:
    if side.value is None:
        return "no data"
    return f"{side.value:.3f}" + (
        "" if side.interval is None else f" ({side.interval[0]:.3f} to {side.interval[1]:.3f})"
    )


def _difference(change: Change) -> str:
    if change.difference is None:
        return "no data"
    ends = "" if change.interval is None else f" ({change.interval[0]:+.3f} to {change.interval[1]:+.3f})"
    return f"{change.difference:+.3f}{ends}"


def to_card(result: FinetuneResult) -> str:
    """Return the model card, Markdown."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: FinetuneResult) -> Iterator[str]:
    request, head_rows = result.request, head_and_rows(result)
    start = "the frozen encoder alone" if request.filter_name == "fresh" else f"`{one_line(request.filter_name)}`"
    yield f"# Filter with the category {request.category}"
    yield ""
    yield f"`{result.name}`, fine-tuned by `assay finetune filter` from {start}. Use it as `--filter encoder:FOLDER`."
    yield ""
    yield training_sentence(result)
    yield ""
    yield from _table(*head_rows)
    yield ""
    yield (
        f"On {len(result.rows.test):,} rows that took no part in training or in any choice. AUROC by DeLong, the others"
        f" by 2,000 paired resamples within each label. F1 at the threshold with the highest F1 on the validation rows:"
        f" {result.threshold:.3f} for this filter. A threshold with a promise is set by `assay calibrate`."
    )
    yield ""
    yield from _pseudo_lines(result)
    yield from _drift_lines(result)
    yield "## Data"
    yield ""
    yield from _data_lines(result)
    yield ""
    yield "## Limits"
    yield ""
    yield (
        "What was measured holds for texts like these. The labels are taken at their word. Texts are read from their"
        " beginning in training and in windows in use. Other languages than English were not tried."
    )


def training_sentence(result: FinetuneResult) -> str:
    """Say what was trained, for how long, and what ended it."""
    done, settings = result.trained, result.request.training
    layers = (
        "the head alone" if not settings.upper else f"the head and the updates of the upper {settings.upper} layers"
    )
    contrastive = f", contrastive share {settings.contrastive:g}" if settings.contrastive else ""
    setbacks = f" {done.n_setbacks} setbacks." if done.n_setbacks else ""
    return (
        f"Trained: {layers}{contrastive}, seed {settings.seed}. {done.n_steps} steps, ended by {done.stopped}, kept the"
        f" state of step {done.best_step} (0 is the start), {done.seconds:.0f} s.{setbacks}"
    )


def _table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |"


def _pseudo_lines(result: FinetuneResult) -> Iterator[str]:
    if result.pseudo is not None:
        low, high = result.pseudo.thresholds
        yield "## Pseudo-labels"
        yield ""
        yield (
            f"{pseudo_sentence(result)} Of those labelled as the category:"
            f" {share_in_words(result.pseudo.estimated_harmful)}. Least confidence: {low:.3f} that it does not apply,"
            f" {high:.3f} that it does. Estimated on validation rows, each half with a calibration of the other; they"
            " also choose the state that is kept, so the estimate is a little kind."
        )
        yield ""


def _drift_lines(result: FinetuneResult) -> Iterator[str]:
    if result.drift:
        yield "## Other categories"
        yield ""
        rows = [[d.category, f"{d.mean_change:.4f}", f"{d.largest_change:.4f}", str(d.n)] for d in result.drift]
        yield from _table(["category", "mean change of the score", "largest", "n"], rows)
        yield ""


def data_head_and_rows(result: FinetuneResult) -> tuple[list[str], list[list[str]]]:
    """Return the table of how many rows each part has."""
    rows = [[name, str(part["n"]), str(part.get("applies", ""))] for name, part in to_dict(result)["rows"].items()]
    return ["rows", "n", "where it applies"], rows


def _data_lines(result: FinetuneResult) -> Iterator[str]:
    yield from _table(*data_head_and_rows(result))
    yield ""
    left = result.rows.counts.sentence()
    yield f"{left[:1].upper()}{left[1:]}." if left else "Nothing was left out."
    for name, digest in result.digests.items():
        yield f"SHA-256 of the {name} table: `{digest}`."
