"""The page of a fine-tuned filter: its figures, curves and data in the shape that the report draws."""

from __future__ import annotations

from collections.abc import Iterator

from evals.finetune_filter.finetuning import FinetuneResult
from evals.finetune_filter.report import (
    data_head_and_rows,
    head_and_rows,
    pseudo_sentence,
    share_in_words,
    training_sentence,
)
from evals.report.finetuned import Course, Finetuned

__all__ = ["page_of"]


def page_of(result: FinetuneResult) -> Finetuned:
    """Return what the report of a fine-tuned filter shows; no text of a row is in it."""
    head, rows = head_and_rows(result)
    data_head, data_rows = data_head_and_rows(result)
    return Finetuned(
        f"Filter with the category {result.request.category}",
        None,
        _found(result),
        [head, *rows],
        [data_head, *data_rows, ["left out", result.rows.counts.sentence() or "nothing", ""]],
        [_course(result)],
        notes=[*_notes(result)],
        facts=[*_facts(result)],
        before="Beside other filters",
        numbers="finetune.json",
    )


def _found(result: FinetuneResult) -> str:
    """Say in a sentence how the filter ranks beside what there was before it, or beside the same rows' n-grams."""
    name = [*result.changes][-1]
    auroc = next(change for change in result.changes[name] if change.name.endswith("/auroc"))
    if auroc.difference is None or auroc.interval is None:
        return f"No AUROC against {name}: the test rows tell nothing."
    low, high = auroc.interval
    kind = "better than" if low > 0 else "worse than" if high < 0 else "not told apart from"
    ends = f"{auroc.difference:+.3f}, {low:+.3f} to {high:+.3f}, {auroc.n_paired:,} rows"
    return f"By AUROC this filter is {kind} {name}: {auroc.before.value:.3f} and {auroc.after.value:.3f} ({ends})."


def _notes(result: FinetuneResult) -> Iterator[str]:
    yield (
        f"Measured on {len(result.rows.test):,} rows that took no part in training or in any choice. F1 at the"
        f" threshold with the highest F1 on the validation rows: {result.threshold:.3f} for this filter."
    )
    yield training_sentence(result)
    if result.pseudo is not None:
        yield pseudo_sentence(result)
        yield f"Of those labelled as the category: {share_in_words(result.pseudo.estimated_harmful)}."
    for one in result.drift:
        yield (
            f"{one.category}: its score moved by {one.mean_change:.4f} on average, {one.largest_change:.4f} at most, on"
            f" {one.n:,} rows."
        )


def _course(result: FinetuneResult) -> Course:
    points = [(int(look["step"]), look["loss"]) for look in result.trained.history]
    return Course("loss after calibration, nats a row", [], points, result.trained.best_step)


def _facts(result: FinetuneResult) -> Iterator[tuple[str, str]]:
    request, settings = result.request, result.request.training
    yield "filter", result.name
    yield "started from", request.filter_name
    yield "seed", str(settings.seed)
    yield "layers updated", str(settings.upper)
    yield "peak rate", f"{settings.rate:g}"
    for name, digest in result.digests.items():
        yield f"SHA-256 of the {name} table", digest
