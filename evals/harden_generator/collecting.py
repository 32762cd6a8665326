"""What the original says to harmless prompts, and what attacks draw from a model while it is trained."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals.harden_generator.data import HardeningData
from evals.scorers.category import CategoryScorer
from evals.scorers.compliance import REFUSED
from guard.attacks.prompts.adaptive import Bandit
from guard.attacks.prompts.best_of_n import augmented
from guard.attacks.prompts.campaign import CampaignSettings, run_campaign
from guard.attacks.prompts.schema import AnswerJudge, Attempt, Goal, Wording
from guard.attacks.prompts.targets import GeneratorTarget
from guard.attacks.prompts.templates import PLAIN
from guard.generators.transformers import TransformersGenerator
from guard.harden.generator.rounds import Attempted
from guard.schema import Decoding

__all__ = ["AttackSizes", "RoundAttack", "answered_harmless", "dressed", "generator_of"]

_PLAIN_SHARE = 0.5
_SCRAMBLED_SHARE = 0.15
_SIGMAS = (0.1, 0.2, 0.4)


def generator_of(model: Any, tokenizer: Any, *, tokens: int, name: str, batch_size: int = 16) -> TransformersGenerator:
    """Return a greedy chat generator over a model in memory."""
    decoding = Decoding(max_new_tokens=tokens, temperature=0.0, chat=True)
    return TransformersGenerator(model, tokenizer, name=name, decoding=decoding, batch_size=batch_size)


def dressed(text: str, wordings: Sequence[Wording], rng: random.Random) -> str:
    """Put a request as attacks put it: half of the time as it stands, else in a wording; some letters scrambled."""
    if rng.random() < _SCRAMBLED_SHARE:
        text = augmented(text, rng, sigma=rng.choice(_SIGMAS))
    return text if rng.random() < _PLAIN_SHARE or not wordings else rng.choice(wordings).fill(text)


def answered_harmless(
    data: HardeningData, generator: TransformersGenerator, refusals: CategoryScorer, *, seed: int
) -> list[tuple[str, str]]:
    """Ask the original harmless requests, dressed as attacks are, so that the dress alone is no reason to refuse.

    Returns
    -------
    list of (str, str)
        Prompt and answer. What the original refused is left out: it is not to be kept.
    """
    rng = random.Random(f"{seed}/dressed")  # noqa: S311 - no secret
    prompts = [dressed(one.text, data.taught_wordings, rng) for one in data.taught_harmless]
    answers = generator.generate(prompts, seed=seed)
    scores = refusals.score_batch([], answers)
    kept = zip(prompts, answers, scores, strict=True)
    return [
        (prompt, answer) for prompt, answer, score in kept if answer.strip() and score is not None and score < REFUSED
    ]


@dataclass(frozen=True)
class AttackSizes:
    """How much a round attacks.

    Parameters
    ----------
    drawn : int
        Prompts that are not tried.
    goals, pulls : int
        Goals that are tried on the model as it is, and with how many wordings each.
    """

    drawn: int = 240
    goals: int = 24
    pulls: int = 2


class RoundAttack:
    """The attacks of each round on the model in training.

    A bandit tries wordings on goals that are drawn anew, those that worked more often; beside that, goals are dressed
    at random and not tried.

    Parameters
    ----------
    data : HardeningData
        Only what is taught is used.
    generator : TransformersGenerator
        Over the model in training.
    judge : AnswerJudge
    sizes : AttackSizes
    seed : int
    """

    def __init__(
        self,
        data: HardeningData,
        generator: TransformersGenerator,
        judge: AnswerJudge,
        sizes: AttackSizes,
        *,
        seed: int,
    ) -> None:
        self._data, self._judge, self._sizes, self._seed = data, judge, sizes, seed
        self._target = GeneratorTarget(generator)
        self._bandit = Bandit([PLAIN, *data.taught_wordings])

    def __call__(self, round_: int) -> list[Attempted]:
        """Return what was tried in a round, and what was only drawn."""
        rng = random.Random(f"{self._seed}/round/{round_}")  # noqa: S311
        goals = rng.sample(self._data.taught_goals, min(len(self._data.taught_goals), self._sizes.drawn))
        drawn = [Attempted(dressed(goal.text, self._data.taught_wordings, rng)) for goal in goals]
        return [*self._tried(goals, round_), *drawn]

    def _tried(self, goals: Sequence[Goal], round_: int) -> list[Attempted]:
        if not self._sizes.goals or not self._sizes.pulls:
            return []
        settings = CampaignSettings(self._sizes.pulls, 1, False, self._seed + round_, 32)
        asked = [replace(goal, id=f"{goal.id}/{round_}") for goal in goals[: self._sizes.goals]]
        tracks = run_campaign(self._bandit, asked, self._target, self._judge, settings=settings)
        return [_attempted(attempt) for track in tracks for attempt in track.attempts]


def _attempted(attempt: Attempt) -> Attempted:
    return Attempted(attempt.draft.prompt, attempt.answer.text, attempt.success is True)
