"""What a hardening came to, for the terminal, the card and machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evals.harden_filter.figures import Change
from evals.harden_generator.figures import Ratio
from evals.harden_generator.measuring import Shown
from evals.schema import Check, Outcome
from guard.train.generator.checkpoint import Progress

__all__ = ["HardenResult", "figure_rows"]


@dataclass(frozen=True)
class HardenResult:
    """A generator before and after.

    Parameters
    ----------
    model, digest : str
        The original.
    out : pathlib.Path
    seed : int
    changes : tuple of Change
    perplexity, token_time : Ratio
        Perplexity a token of prose, and time a token; after by before.
    outcome : Outcome
    sentence : str
    checks : tuple of Check
    progress : Progress
    strength : float
        Factor of the updates, in [0, 1].
    attacked : tuple of mapping
        What each round's attacks tried and reached.
    wordings : tuple of str
        Those that the adaptive attack chose for the hardened model.
    spent : mapping of str to mapping
        Phase -> seconds of the clock and of the processor, over all times that the run was taken up.
    shown : tuple of Shown
    """

    model: str
    digest: str
    out: Path
    seed: int
    changes: tuple[Change, ...]
    perplexity: Ratio
    token_time: Ratio
    outcome: Outcome
    sentence: str
    checks: tuple[Check, ...]
    progress: Progress
    strength: float
    attacked: tuple[Mapping[str, int], ...]
    wordings: tuple[str, ...]
    spent: Mapping[str, Mapping[str, float]]
    shown: tuple[Shown, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values only."""
        return {
            **asdict(self),
            "out": str(self.out),
            "outcome": self.outcome.name,
            "checks": [{**asdict(check), "outcome": check.outcome.name} for check in self.checks],
        }


def figure_rows(result: HardenResult) -> list[list[str]]:
    """Return one row a figure: what, before, after, difference, n; each value with its 95% interval."""
    rows = [
        [
            one.title,
            _value(one.before.value, one.before.interval),
            _value(one.after.value, one.after.interval),
            _value(one.difference, one.interval, signed=True),
            str(one.n_paired),
            str(one.before.n_unscored + one.after.n_unscored),
        ]
        for one in result.changes
    ]
    ratios = (("perplexity of prose, ratio", result.perplexity), ("time a token, ratio", result.token_time))
    return rows + [[name, "1", _value(one.value, one.interval), "", str(one.n), "0"] for name, one in ratios]


def _value(value: float | None, interval: tuple[float, float] | None, *, signed: bool = False) -> str:
    if value is None:
        return "no data"
    sign = "+" if signed else ""
    ends = "" if interval is None else f" [{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]"
    return f"{value:{sign}.3f}{ends}"
