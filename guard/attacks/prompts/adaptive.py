"""An attack that learns which wordings work on a target: chosen on one half of the goals, reported on the other."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from guard.attacks.prompts.campaign import CampaignSettings, Progress, run_campaign
from guard.attacks.prompts.journal import AttemptJournal
from guard.attacks.prompts.schema import AnswerJudge, Draft, Goal, PromptTarget, Track, Wording
from guard.attacks.prompts.wordings import WordingAttack, draft_of, wordings_digest
from guard.errors import ConfigError

__all__ = ["AdaptedAttack", "Bandit", "adapt", "chosen_wordings", "halves"]


class Bandit:
    """Draws wordings for the goals of development, those that worked more often more often (Thompson 1933).

    Every wording has a Beta posterior on its rate of success, from all goals; each pull takes the wording whose draw
    from its posterior is highest among those that the goal has not seen yet. So, unlike other attacks, what a goal gets
    depends on the other goals of the run; it does not depend on the batch.

    Parameters
    ----------
    wordings : sequence of Wording
        With distinct ids.
    """

    def __init__(self, wordings: Sequence[Wording]) -> None:
        self._wordings = tuple(wordings)

    @property
    def name(self) -> str:
        """``bandit@<digest of the wordings>``."""
        return f"bandit@{wordings_digest(self._wordings)}"

    def propose(self, tracks: Sequence[Track]) -> list[list[Draft]]:
        """Return the next pulls of each goal; nothing for one that has seen every wording."""
        counts = _counts(tracks)
        return [self._pulls(track, counts) for track in tracks]

    def _pulls(self, track: Track, counts: dict[str, list[int]]) -> list[Draft]:
        rng = random.Random(f"{track.seed}/{track.goal.id}/{len(track.attempts)}")  # noqa: S311
        seen = {attempt.draft.strategy for attempt in track.attempts}
        drawn = [(self._draw(wording, counts, rng), wording) for wording in self._wordings if wording.id not in seen]
        drawn.sort(key=lambda pair: (-pair[0], pair[1].id))
        return [draft_of(wording, track.goal.text) for _, wording in drawn[: track.room]]

    def _draw(self, wording: Wording, counts: dict[str, list[int]], rng: random.Random) -> float:
        hits, tries = counts.get(wording.id, (0, 0))
        return rng.betavariate(1 + hits, 1 + tries - hits)


@dataclass(frozen=True)
class AdaptedAttack:
    """What came of adapting an attack to a target.

    Parameters
    ----------
    chosen : tuple of Wording
        In the order in which they are tried.
    development : list of Track
        The goals on which they were chosen: their rate of success flatters the attack.
    held_out : list of Track
        The goals on which it is measured.
    """

    chosen: tuple[Wording, ...]
    development: list[Track]
    held_out: list[Track]


def adapt(
    wordings: Sequence[Wording],
    goals: Sequence[Goal],
    target: PromptTarget,
    judge: AnswerJudge,
    *,
    settings: CampaignSettings,
    explore: int | None = None,
    journal: AttemptJournal | None = None,
    on_progress: Progress | None = None,
) -> AdaptedAttack:
    """Choose wordings on one half of the goals and attack the other half with them.

    A defence that was trained against some attacks is measured by one that adapts to it (Tramèr et al. 2020), and an
    attack that was chosen on the goals on which it is reported is reported too high.

    Parameters
    ----------
    wordings : sequence of Wording
        With distinct ids.
    goals : sequence of Goal
        At least two.
    target : PromptTarget
    judge : AnswerJudge
    settings : CampaignSettings
        The budget is that of a held-out goal, and the number of wordings that are chosen.
    explore : int, optional
        Queries a goal of development; by default twice the budget, or so many that every wording is tried about twice.
    journal : AttemptJournal or None
        Holds both parts.
    on_progress : callable, optional
        Of both parts, one after the other.

    Raises
    ------
    ConfigError
        Fewer than two goals, or no wording.
    """
    development, held_out = halves(goals, seed=settings.seed)
    if not development or not wordings:
        raise ConfigError(
            f"an adaptive attack with {len(goals)} goals and {len(wordings)} wordings: give two goals or"
            " more, one to choose on and one to measure on, and at least one wording"
        )
    enough = max(2 * settings.budget, math.ceil(2 * len(wordings) / len(development)))
    explore = min(explore or enough, len(wordings))
    looking = CampaignSettings(explore, settings.width, False, settings.seed, settings.batch)
    seen = run_campaign(
        Bandit(wordings),
        development,
        target,
        judge,
        settings=looking,
        journal=journal,
        part="adaptive/development",
        on_progress=on_progress,
    )
    chosen = chosen_wordings(wordings, seen, n=settings.budget)
    attack = WordingAttack("adaptive", chosen, shuffled=False)
    found = run_campaign(
        attack,
        held_out,
        target,
        judge,
        settings=settings,
        journal=journal,
        part="adaptive/held-out",
        on_progress=on_progress,
    )
    return AdaptedAttack(tuple(chosen), seen, found)


def halves(goals: Sequence[Goal], *, seed: int) -> tuple[list[Goal], list[Goal]]:
    """Split goals in two at random, a function of the seed and the ids; the first half is never the larger."""
    order = sorted(goals, key=lambda goal: hashlib.sha256(f"{seed}\0{goal.id}".encode()).digest())
    return order[: len(order) // 2], order[len(order) // 2 :]


def chosen_wordings(wordings: Sequence[Wording], tracks: Sequence[Track], *, n: int) -> list[Wording]:
    """Choose wordings that together reach many goals.

    Greedy, as for maximum coverage: each step takes the wording that worked on most of the goals not reached yet, then
    the one with the highest posterior mean of its rate; wordings that were never tried have one half of a try's worth.

    Parameters
    ----------
    wordings : sequence of Wording
    tracks : sequence of Track
        Of the goals of development.
    n : int
        How many at most.
    """
    counts = _counts(tracks)
    reached = {wording.id: _reached(wording.id, tracks) for wording in wordings}
    left, chosen, covered = list(wordings), list[Wording](), set[str]()
    while left and len(chosen) < n:
        best = min(left, key=lambda one: (-len(reached[one.id] - covered), -_rate(one.id, counts), one.id))
        left.remove(best)
        chosen.append(best)
        covered |= reached[best.id]
    return chosen


def _reached(strategy: str, tracks: Sequence[Track]) -> set[str]:
    return {
        one.goal.id for one in tracks for tried in one.attempts if tried.draft.strategy == strategy and tried.success
    }


def _rate(strategy: str, counts: dict[str, list[int]]) -> float:
    """Return the posterior mean under a prior of one hit in four tries: an untried wording is no favourite."""
    hits, tries = counts.get(strategy, (0, 0))
    return (1 + hits) / (4 + tries)


def _counts(tracks: Sequence[Track]) -> dict[str, list[int]]:
    """Return hits and judged tries of every wording."""
    counts: dict[str, list[int]] = {}
    for track in tracks:
        for attempt in track.attempts:
            if attempt.success is not None:
                found = counts.setdefault(attempt.draft.strategy, [0, 0])
                found[0] += attempt.success
                found[1] += 1
    return counts
