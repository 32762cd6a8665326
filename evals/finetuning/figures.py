"""Perplexity before and after on rows that nothing was chosen by, with intervals over units, and the verdict on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evals.schema import Outcome
from evals.stats import Estimate, clustered_mean

__all__ = ["Figure", "Perplexities", "figure_rows", "figure_text", "perplexities"]

RowNats = Sequence[Sequence[float]]
"""Nats of every id that counts, by row."""


@dataclass(frozen=True)
class Figure:
    """A perplexity, or a ratio of two.

    Parameters
    ----------
    value : float or None
        None where there is no data.
    interval : (float, float) or None
        95%, over units.
    n : int
        Units.
    """

    value: float | None
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True)
class Perplexities:
    """Before and after.

    Parameters
    ----------
    before, after : Figure
        Over the ids of the texts, or of the answers; the mark that ends a text is not counted, since how often it is
        expected says nothing about the text.
    ratio : Figure
        After by before, paired by id.
    n_rows, n_ids, n_unscored : int
        Rows, their ids that count, and rows without one.
    bits_before, bits_after : float or None
        Bits a character, which compare across tokenizers.
    """

    before: Figure
    after: Figure
    ratio: Figure
    n_rows: int
    n_ids: int
    n_unscored: int
    bits_before: float | None
    bits_after: float | None

    @property
    def outcome(self) -> Outcome:
        """Pass where perplexity fell and fail where it rose, as far as the interval tells."""
        if self.ratio.interval is None or self.ratio.interval[0] <= 1 <= self.ratio.interval[1]:
            return Outcome.INCONCLUSIVE
        return Outcome.PASS if self.ratio.interval[1] < 1 else Outcome.FAIL

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        word = {Outcome.PASS: "Pass", Outcome.FAIL: "Fail", Outcome.INCONCLUSIVE: "Inconclusive"}[self.outcome]
        return f"{word}: {self.finding}"

    @property
    def finding(self) -> str:
        """What was found, without the verdict."""
        if self.ratio.value is None or self.before.value is None or self.after.value is None:
            return "there is nothing to measure a perplexity on."
        change, ends = self.ratio.value - 1, ""
        if self.ratio.interval is not None:
            low, high = (end - 1 for end in self.ratio.interval)
            ends = f", 95% interval {low:+.1%} to {high:+.1%}"
        return (
            f"perplexity on held-out rows went from {self.before.value:.2f} to {self.after.value:.2f}"
            f" ({change:+.1%}{ends}, {self.ratio.n} units)."
        )


def perplexities(before: RowNats, after: RowNats, *, units: Sequence[str], n_chars: int) -> Perplexities:
    """Compare two models on the same rows.

    Parameters
    ----------
    before, after : sequence of sequence of float
        The same rows and ids.
    units : sequence of str
        The statistical unit of each row.
    n_chars : int
        Characters of everything that was scored.
    """
    old, new, moved = (dict[str, list[float | None]]() for _ in range(3))
    for unit, first, second in zip(units, before, after, strict=True):
        old.setdefault(unit, []).extend(first)
        new.setdefault(unit, []).extend(second)
        moved.setdefault(unit, []).extend(b - a for a, b in zip(first, second, strict=True))
    n_ids = sum(map(len, before))
    bits = [math.fsum(map(math.fsum, side)) / math.log(2) / n_chars if n_chars else None for side in (before, after)]
    one, other, ratio = (_figure(clustered_mean(side, bounds=None)) for side in (old, new, moved))
    n_unscored = sum(not row for row in before)
    return Perplexities(one, other, ratio, len(before), n_ids, n_unscored, bits[0], bits[1])


def _figure(mean: Estimate) -> Figure:
    ends = None if mean.interval is None else (_exp(mean.interval[0]), _exp(mean.interval[1]))
    return Figure(None if mean.value is None else _exp(mean.value), ends, mean.n_prompts)


def _exp(nats: float) -> float:
    return math.exp(min(nats, 700.0))


def figure_rows(found: Perplexities) -> list[list[str]]:
    """Return the figures as rows of text: name, before, after, ratio, n, unscored."""
    counts = [f"{found.n_rows - found.n_unscored:,}", f"{found.n_unscored:,}"]
    bits = ["–" if one is None else f"{one:.3f}" for one in (found.bits_before, found.bits_after)]
    figures = [figure_text(one) for one in (found.before, found.after, found.ratio)]
    return [["perplexity", *figures, *counts], ["bits a character", *bits, "", *counts]]


def figure_text(figure: Figure) -> str:
    """Return a figure with its interval."""
    if figure.value is None:
        return "no data"
    ends = "" if figure.interval is None else f" [{_short(figure.interval[0])}, {_short(figure.interval[1])}]"
    return f"{_short(figure.value)}{ends}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= value < 1e9 else f"{value:.3g}"
