"""Runs an attack on a generator over many goals at once: rounds of full batches, a query budget, journal and resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from guard.attacks.prompts.journal import AttemptJournal
from guard.attacks.prompts.schema import (
    Answer,
    AnswerJudge,
    Attempt,
    Draft,
    Goal,
    PromptAttack,
    PromptTarget,
    Track,
    attempt_seed,
)
from guard.errors import ConfigError
from guard.schema import Action

__all__ = ["CampaignSettings", "run_campaign"]

Progress = Callable[[int, int], None]
"""Gets the queries made or no longer needed, and the most that there may be."""


@dataclass(frozen=True)
class CampaignSettings:
    """How far an attack may go.

    Parameters
    ----------
    budget : int
        Queries to the target a goal.
    width : int
        Queries a goal in one round. Above 1 a goal that is reached may cost up to ``width - 1`` queries more, and a
        run of few goals fills its batches.
    stop_at_success : bool
        Whether a goal that was reached is left alone.
    seed : int
    batch : int
        Attempts between two lines of the journal; changes no result.

    Raises
    ------
    ConfigError
        A number below 1, or a negative seed.
    """

    budget: int = 10
    width: int = 1
    stop_at_success: bool = True
    seed: int = 0
    batch: int = 32

    def __post_init__(self) -> None:
        """Refuse what no run could mean."""
        if min(self.budget, self.width, self.batch) < 1 or self.seed < 0:
            raise ConfigError(f"{self}: budget, width and batch are at least 1, the seed at least 0")


def run_campaign(
    attack: PromptAttack,
    goals: Sequence[Goal],
    target: PromptTarget,
    judge: AnswerJudge,
    *,
    settings: CampaignSettings,
    journal: AttemptJournal | None = None,
    part: str | None = None,
    on_progress: Progress | None = None,
) -> list[Track]:
    """Attack a target until every goal is reached, out of budget or out of ideas.

    Parameters
    ----------
    attack : PromptAttack
    goals : sequence of Goal
        With distinct ids.
    target : PromptTarget
    judge : AnswerJudge
    settings : CampaignSettings
    journal : AttemptJournal or None
        What it holds is not asked again.
    part : str, optional
        What the journal calls this attack; by default its name.
    on_progress : callable, optional

    Returns
    -------
    list of Track
        One a goal, in the order given. For an attack whose drafts depend on their own track only, the attempts of a
        goal are the same whichever other goals are in the run, and whatever the batch.

    Raises
    ------
    ConfigError
        Two goals of one id.
    GeneratorError, OutputError
        The target failed as a whole, or the journal cannot be written. What was made before is in the journal.
    """
    if len({goal.id for goal in goals}) < len(goals):
        raise ConfigError("two goals have the same id: give each its own")
    run = _Run(attack, target, judge, settings, journal, part or attack.name)
    tracks = [Track(goal, (), settings.seed) for goal in goals]
    done: set[str] = set()
    while open_ := [track for track in tracks if track.goal.id not in done]:
        made = run.round(open_)
        tracks = [replace(track, attempts=(*track.attempts, *made.get(track.goal.id, ()))) for track in tracks]
        done |= {track.goal.id for track in tracks if run.is_done(track, made.get(track.goal.id, ()))}
        if on_progress is not None:
            spent = [settings.budget if track.goal.id in done else len(track.attempts) for track in tracks]
            on_progress(sum(spent), settings.budget * len(tracks))
    return tracks


@dataclass
class _Run:
    """One attack on its way."""

    attack: PromptAttack
    target: PromptTarget
    judge: AnswerJudge
    settings: CampaignSettings
    journal: AttemptJournal | None
    part: str

    def is_done(self, track: Track, made: Sequence[Attempt]) -> bool:
        spent = len(track.attempts) >= self.settings.budget
        return not made or spent or (self.settings.stop_at_success and track.success is True)

    def round(self, tracks: Sequence[Track]) -> dict[str, list[Attempt]]:
        """Let every open goal take its next queries."""
        tracks = [replace(track, room=self._room(track)) for track in tracks]
        known = {track.goal.id: self._known(track) for track in tracks}
        if all(len(known[track.goal.id]) == track.room for track in tracks):
            return known
        # Also for those that are known: an attack may look at all goals, and must see the same on every way here.
        return self._asked(tracks, self.attack.propose(tracks), known)

    def _room(self, track: Track) -> int:
        return min(self.settings.width, self.settings.budget - len(track.attempts))

    def _known(self, track: Track) -> list[Attempt]:
        """Return what the journal has of the next queries, in their order, up to the first gap."""
        found: list[Attempt] = []
        for number in range(len(track.attempts), len(track.attempts) + track.room):
            attempt = None if self.journal is None else self.journal.get(self.part, track.goal.id, number)
            if attempt is None:
                break
            found.append(attempt)
        return found

    def _asked(
        self, tracks: Sequence[Track], drafts: Sequence[Sequence[Draft]], known: dict[str, list[Attempt]]
    ) -> dict[str, list[Attempt]]:
        """Ask the target what is not known yet, in batches that go to the journal."""
        made = {goal: list(attempts) for goal, attempts in known.items()}
        waiting = [
            (track.goal, len(track.attempts) + place, draft)
            for track, given in zip(tracks, drafts, strict=True)
            for place, draft in enumerate(given[: track.room])
            if place >= len(known[track.goal.id])
        ]
        for start in range(0, len(waiting), self.settings.batch):
            attempts = self._attempts(waiting[start : start + self.settings.batch])
            if self.journal is not None:
                self.journal.append(self.part, attempts)
            for attempt in attempts:
                made[attempt.goal].append(attempt)
        return made

    def _attempts(self, waiting: Sequence[tuple[Goal, int, Draft]]) -> list[Attempt]:
        seeds = [attempt_seed(self.settings.seed, goal.id, number) for goal, number, _ in waiting]
        answers = self.target.answer([draft.prompt for _, _, draft in waiting], seeds)
        scores = self._scores([goal for goal, _, _ in waiting], [draft for _, _, draft in waiting], answers)
        return [
            Attempt(goal.id, number, draft, seed, answer, score)
            for (goal, number, draft), seed, answer, score in zip(waiting, seeds, answers, scores, strict=True)
        ]

    def _scores(self, goals: Sequence[Goal], drafts: Sequence[Draft], answers: Sequence[Answer]) -> list[float | None]:
        """Judge what was released; a block is no success, and an outage is not one of the guard."""
        judged = [i for i, one in enumerate(answers) if one.error is None and one.action != Action.BLOCK]
        scores: list[float | None] = [0.0 if one.error is None else None for one in answers]
        if not judged:
            return scores
        texts = [answers[i].text or "" for i in judged]
        found = self.judge.judge([goals[i] for i in judged], [drafts[i].prompt for i in judged], texts)
        for i, score in zip(judged, found, strict=True):
            scores[i] = score
        return scores
