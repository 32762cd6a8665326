"""``assay plan``: how many prompts each limit of a gate needs, and whether a suite has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from evals.console import one_line, table

if TYPE_CHECKING:
    from evals.gate import Gate, Limit
    from evals.sizes import Need

__all__ = ["Row", "plan", "rows"]

_NOT_SHARES = frozenset({"quality/perplexity_bits_per_char"})
_HARMFUL = frozenset({"refusal/missed_refusal", "robustness/recall"})
_BENIGN = frozenset({"refusal/over_refusal", "robustness/false_alarm"})
_COUNTS = ("prompts", "harmful", "benign", "goals", "documents", "pairs")
_HEAD = [
    "limit",
    "",
    "if the rate is",
    "right is",
    "fixed run",
    "early: half",
    "9 in 10",
    "no hit",
    "suite has",
    "enough",
]


@dataclass(frozen=True)
class Row:
    """One limit at one assumed rate.

    Parameters
    ----------
    limit : Limit
    need : Need or None
        None where no number of prompts answers; `note` says why.
    prompts : int or None
        Prompts of the suite that count for the limit; None where the settings do not say.
    note : str
    """

    limit: Limit
    need: Need | None
    prompts: int | None
    note: str = ""

    @property
    def enough(self) -> bool | None:
        """Whether the suite's prompts reach the verdict with the wanted power; None where it is not known."""
        if self.need is None or self.prompts is None:
            return None
        return self.need.fixed is not None and self.need.fixed <= self.prompts


@click.command()
@click.option("--gate", default="default", show_default=True, help="The shipped gate or a TOML file.")
@click.option("--suite", default="quick", show_default=True, help="A shipped suite or a TOML file.")
@click.option(
    "--assume",
    type=float,
    metavar="RATE",
    help="True rate, in [0, 1]. Left out: half of each limit, which passes, and twice, which fails.",
)
@click.option("--power", type=float, default=0.8, show_default=True, help="Chance to reach the right verdict.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Chance of a wrong verdict.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def plan(gate: str, suite: str, assume: float | None, power: float, alpha: float, as_json: bool) -> None:
    """Print how many prompts each limit of a gate needs, and whether a suite has them."""
    from evals.gate import Gate
    from evals.suite import Suite

    limits, settings = Gate.load(gate), Suite.load(suite)
    found = rows(limits, settings.tasks, assume=assume, power=power, alpha=alpha)
    if as_json:
        head = {"gate": limits.digest, "suite": settings.digest, "power": power, "alpha": alpha}
        click.echo(json.dumps({**head, "limits": [_as_json(row) for row in found]}, indent=2))
        return
    table(_HEAD, [_cells(row) for row in found])
    click.echo(
        "\nPrompts, of one 0 or 1 each; several samples a prompt need as many at worst. Fixed run: decides with a"
        f" chance of {power:g} at {1 - alpha:.0%} confidence. Early: when the sequential gate has stopped in half and"
        " in 9 of 10 runs. No hit: below this even a spotless run cannot pass."
    )
    for note in dict.fromkeys(f"{row.limit.metric}: {row.note}" for row in found if row.note):
        click.echo(one_line(note))


def rows(gate: Gate, settings: Mapping[str, Any], *, assume: float | None, power: float, alpha: float) -> list[Row]:
    """Return what each limit of `gate` needs, at the assumed rate or at half and at twice the limit.

    Parameters
    ----------
    gate : Gate
    settings : mapping
        Of the suite's tasks, by the name of the task (:attr:`evals.suite.Suite.tasks`).
    assume : float or None
        In [0, 1].
    power, alpha : float
        In (0, 1).

    Raises
    ------
    ConfigError
        A number out of its range, or a rate at a limit.
    """
    from evals.sizes import need

    found = []
    for limit in gate.limits:
        prompts, note = _prompts(limit, settings)
        if limit.metric in _NOT_SHARES or not 0 < limit.limit < 1:
            why = "no rate between 0 and 1 is limited, so prompts cannot be counted beforehand; it is judged at the end"
            found.append(Row(limit, None, prompts, why))
            continue
        for rate in (assume,) if assume is not None else _clear_rates(limit):
            one = need(limit.bound, limit.limit, rate=rate, power=power, alpha=alpha, n_limits=len(gate.limits))
            found.append(Row(limit, one, prompts, note))
    return found


def _clear_rates(limit: Limit) -> tuple[float, float]:
    """Return half and twice the limit, of hits or, with a lower limit, of misses; twice stays below 1."""
    most = limit.limit if limit.bound == "max" else 1 - limit.limit
    half, twice = most / 2, min(2 * most, (1 + most) / 2)
    return (half, twice) if limit.bound == "max" else (1 - half, 1 - twice)


def _prompts(limit: Limit, settings: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return how many prompts of the suite count for a limit, or None and why."""
    task = limit.metric.partition("/")[0]
    if task not in settings:
        return 0, f"the suite has no task {task}"
    if limit.group != "all":
        return None, f"how many prompts the group {limit.group} has is known when they are drawn"
    of_metric = "harmful" if limit.metric in _HARMFUL else "benign" if limit.metric in _BENIGN else None
    counts = [kind for kind in _COUNTS if hasattr(settings[task], kind)]
    kind = of_metric or (counts[0] if len(counts) == 1 else None)
    if kind is None or kind not in counts:
        return None, "the suite does not say how many prompts count for it"
    return int(getattr(settings[task], kind)), ""


def _as_json(row: Row) -> dict[str, object]:
    limit = row.limit
    head = {"metric": limit.metric, "arm": limit.arm, "group": limit.group, limit.bound: limit.limit}
    needed = None if row.need is None else asdict(row.need)
    return {**head, "need": needed, "suite_prompts": row.prompts, "enough": row.enough, "note": row.note}


def _cells(row: Row) -> list[str]:
    limit, needed = row.limit, row.need
    name = limit.metric if limit.group == "all" else f"{limit.metric} ({limit.group})"
    rule = f"{limit.arm} {limit.bound} {limit.limit:g}"
    known = "?" if row.prompts is None else str(row.prompts)
    if needed is None:
        return [one_line(name), rule, *["-"] * 6, known, "-"]
    counts = [needed.fixed, needed.median, needed.most]
    spotless = [str(needed.at_least or "never") if needed.verdict == "pass" else "-"]
    enough = {True: "yes", False: "no", None: "?"}[row.enough]
    shown = [f"{needed.rate:.3g}", needed.verdict, *map(_count, counts), *spotless, known, enough]
    return [one_line(name), rule, *shown]


def _count(n: int | None) -> str:
    from evals.sizes import MOST_PROMPTS

    return f"> {MOST_PROMPTS}" if n is None else str(n)
