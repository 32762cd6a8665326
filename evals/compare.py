"""Two runs, or two models of one run, compared: what changed, by how much, how surely, and on which samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evals.comparison.drops import Drop, check_drops, worst_outcome
from evals.comparison.effects import ALL, Effect, Pairing, effects, pairings
from evals.comparison.flips import Flip, flips
from evals.comparison.sides import Mismatch, Side, mismatches, same_prompts
from evals.schema import Arm, Check, Outcome
from guard.errors import ConfigError, DataError

__all__ = ["Party", "RunComparison", "compare"]

_ALTERS_FIGURES = ("suite", "seed", "data", "decoding", "scorers")

# What makes a difference of a task say nothing about its model; of other data only the shared prompts are left.
_CONFOUNDS = ("decoding", "scorers")


@dataclass(frozen=True)
class Party:
    """Who was compared.

    Parameters
    ----------
    run, model, digest : str
    """

    run: str
    model: str
    digest: str


@dataclass(frozen=True)
class RunComparison:
    """Everything that two sides differ by.

    Parameters
    ----------
    before, after : Party
    level : float
        Of the intervals; one minus it is the error rate of each family of p-values.
    effects : tuple of Effect
        Whole metrics: one family.
    slices : tuple of Effect
        The same by slice of the data: a second family.
    flips : tuple of Flip
        The first of each metric; the effects have the full counts.
    mismatches : tuple of Mismatch
        What the runs do not share besides their models.
    checks : tuple of Check
        Allowed drops, where any were given.
    outcome : Outcome or None
        Of the checks; None without any.
    notes : tuple of str
        What a reader must know.
    """

    before: Party
    after: Party
    level: float
    effects: tuple[Effect, ...]
    slices: tuple[Effect, ...]
    flips: tuple[Flip, ...]
    mismatches: tuple[Mismatch, ...]
    checks: tuple[Check, ...]
    outcome: Outcome | None
    notes: tuple[str, ...]


def compare(
    before: Side,
    after: Side,
    *,
    level: float = 0.95,
    arm: Arm | None = None,
    drops: Sequence[Drop] = (),
    examples: int = 20,
    seed: int = 0,
) -> RunComparison:
    """Compare two sides, paired by prompt.

    Parameters
    ----------
    before, after : Side
        The effects are the second minus the first.
    level : float, default 0.95
    arm : Arm, optional
        Only this one.
    drops : sequence of Drop
    examples : int, default 20
        Changed samples that are shown, for each metric, arm and way.
    seed : int
        Of the random sign patterns, where no exact test is feasible.

    Raises
    ------
    ConfigError
        `level` is out of range, or a drop is on something that was not compared.
    DataError
        The two sides share no prompt.
    """
    if not 0 < level < 1:
        raise ConfigError(f"confidence level {level}: must lie strictly between 0 and 1, for example 0.95")
    unlike = mismatches(before, after)
    before = same_prompts(before, after, unlike)
    found = pairings(before, after, arm=arm)
    _require_shared(found, before, after, arm)
    whole = effects([one for one in found if one.group == ALL], level=level, seed=seed)
    slices = effects([one for one in found if one.group != ALL], level=level, seed=seed)
    checks = check_drops(
        drops,
        (*whole, *slices),
        model=after.model,
        baseline=_named(before),
        confounded=_confounded(whole, unlike, _early(before, after)),
    )
    return RunComparison(
        before=_party(before),
        after=_party(after),
        level=level,
        effects=whole,
        slices=slices,
        flips=flips(found, before.texts, after.texts, most=examples),
        mismatches=tuple(unlike),
        checks=checks,
        outcome=worst_outcome(checks) if checks else None,
        notes=tuple(_notes(before, after, whole, unlike)),
    )


def _early(before: Side, after: Side) -> str:
    """Say which side stopped as soon as its gate was decided, if any did."""
    sides = [name for name, side in (("first", before), ("second", after)) if side.identity.get("stops") == "early"]
    if not sides:
        return ""
    return f"the {' and the '.join(sides)} run stopped early, when its own figures looked clear, so no interval is sure"


def _confounded(found: Sequence[Effect], unlike: Sequence[Mismatch], early: str) -> dict[str, str]:
    """Return for each task why no limit can be decided on it."""
    reasons = {effect.task: early for effect in found} if early else {}
    for one in unlike:
        kind, _, task = one.what.partition(".")
        if kind in _CONFOUNDS:
            reasons[task] = f"the two runs differ in its {kind}"
    return reasons


def _party(side: Side) -> Party:
    return Party(side.run, side.model, side.values.digest)


def _named(side: Side) -> str:
    return f"{side.model} in {side.run}"


def _require_shared(found: Sequence[Pairing], before: Side, after: Side, arm: Arm | None) -> None:
    if any(pairing.before for pairing in found):
        return
    names = [", ".join(sorted({s.name for s in side.values.series})) or "nothing" for side in (before, after)]
    of_arm = f" in arm {arm}" if arm else ""
    if not found:
        raise DataError(f"no metric in both runs{of_arm}: {before.run} has {names[0]}; {after.run} has {names[1]}")
    raise DataError(
        f"{before.run} and {after.run} share no prompt of any metric{of_arm}, so nothing can be paired: run both"
        " with the same suite, data and seed"
    )


def _notes(before: Side, after: Side, found: Sequence[Effect], unlike: Sequence[Mismatch]) -> Iterator[str]:
    altering = [one.what for one in unlike if one.what.partition(".")[0] in _ALTERS_FIGURES]
    if altering:
        yield (
            f"The runs differ in {', '.join(altering)}: a difference between their figures may come from there and not"
            " from the model. Only prompts that both runs have are compared."
        )
    if early := _early(before, after):
        yield f"Read with care: {early}. Compare full runs to decide."
    if before.values.digest == after.values.digest:
        yield "Both sides are the same model by digest: what differs is how it was guarded or measured."
    dropped = max((effect.n_dropped for effect in found), default=0)
    if dropped:
        most = next(effect for effect in found if effect.n_dropped == dropped)
        yield f"Prompts without a partner are left out: at most {dropped} ({most.name}, {most.arm})."
    lost = max((effect.n_lost for effect in found), default=0)
    if lost:
        most = next(effect for effect in found if effect.n_lost == lost)
        yield f"Prompts that one side could not score are left out: at most {lost} ({most.name}, {most.arm})."
    yield from _not_compared(before, after)


def _not_compared(before: Side, after: Side) -> Iterator[str]:
    old, new = ({s.name for s in side.values.series} for side in (before, after))
    only_one = sorted(old ^ new)
    if only_one:
        yield f"Not compared, since only one run has it: {', '.join(only_one)}."
    whole = sorted({*before.values.unpaired, *after.values.unpaired})
    if whole:
        yield f"Not compared, since no single prompt has a value of it: {', '.join(whole)}."
