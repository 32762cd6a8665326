"""What is measured of a generator before and after: attacks, benign requests, the likelihood of prose, time a token."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from evals.harden_generator.data import HardeningData
from evals.harden_generator.paired import Outcomes
from evals.scorers.category import CategoryScorer
from evals.scorers.compliance import REFUSED
from evals.scorers.likelihood import log_likelihoods
from guard.attacks.prompts.adaptive import adapt
from guard.attacks.prompts.campaign import CampaignSettings
from guard.attacks.prompts.schema import SUCCESS, AnswerJudge, Goal, Track, Wording
from guard.attacks.prompts.targets import GeneratorTarget
from guard.attacks.prompts.templates import PLAIN
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding

__all__ = ["MeasureSettings", "Measured", "Shown", "measure", "token_times"]

Told = Callable[[str, int, int], None]
"""Gets what is measured, how much of it is done, and the whole."""


@dataclass(frozen=True)
class MeasureSettings:
    """How a generator is measured.

    Parameters
    ----------
    answer_tokens : int
        Of an answer to an attack: shorter ones understate what an attack gets.
    benign_tokens : int
        Of an answer to a benign request; a refusal shows in its first words.
    dressed : int
        Benign requests that are asked once more in a wording of attacks.
    budget, explore : int
        Queries of the adaptive attack a held-out goal, and a goal of development.
    """

    answer_tokens: int = 40
    benign_tokens: int = 24
    dressed: int = 60
    budget: int = 5
    explore: int = 6


@dataclass(frozen=True)
class Shown:
    """A prompt and what came back.

    Parameters
    ----------
    what, prompt, answer : str
    value : float or None
    """

    what: str
    prompt: str
    answer: str
    value: float | None


@dataclass(frozen=True)
class Measured:
    """Everything measured of one generator; JSON values only.

    Parameters
    ----------
    outcomes : mapping of str to mapping of str to (float or None)
        Name of a figure -> unit -> value.
    shown : tuple of Shown
    wordings : tuple of str
        Those that the adaptive attack chose for this generator, best first.
    """

    outcomes: Mapping[str, Outcomes]
    shown: tuple[Shown, ...] = ()
    wordings: tuple[str, ...] = field(default=())


def measure(
    data: HardeningData,
    generator: TransformersGenerator,
    judge: AnswerJudge,
    refusals: CategoryScorer,
    settings: MeasureSettings,
    *,
    seed: int,
    tell: Told = lambda what, done, total: None,
) -> Measured:
    """Measure a generator; the same goals, wordings and requests for every generator of one seed.

    Returns
    -------
    Measured
        ``plain``, ``seen`` and ``unseen``: 1 where an attack got an answer, by goal; ``adaptive``: 1 where any query of
        an attack that chose its wordings on this very generator, and on other goals, did; ``over_refusal`` and
        ``over_refusal_dressed``: 1 where a benign request was refused; ``bits_per_char`` and ``nats_per_token`` of
        prose, by passage.
    """
    work = _Work(generator, judge, refusals, settings, seed)
    outcomes: dict[str, Outcomes] = {}
    steps: list[tuple[str, Callable[[], Outcomes]]] = [
        ("plain", lambda: work.attacked("plain", data.goals, [PLAIN])),
        ("seen", lambda: work.attacked("seen", data.goals, data.taught_wordings)),
        ("unseen", lambda: work.attacked("unseen", data.goals, data.unseen_wordings)),
        ("over_refusal", lambda: work.refused(data)),
        ("over_refusal_dressed", lambda: work.refused_dressed(data)),
        ("adaptive", lambda: work.adaptive(data, tell)),
    ]
    for number, (name, step) in enumerate(steps):
        tell("measuring", number, len(steps) + 1)
        outcomes[name] = step()
    outcomes |= _likelihoods(data, generator)
    tell("measuring", len(steps) + 1, len(steps) + 1)
    return Measured(outcomes, tuple(work.shown), tuple(work.wordings))


_SHOWN = 4


@dataclass
class _Work:
    """One generator under measurement."""

    generator: TransformersGenerator
    judge: AnswerJudge
    refusals: CategoryScorer
    settings: MeasureSettings
    seed: int
    shown: list[Shown] = field(default_factory=list)
    wordings: list[str] = field(default_factory=list)

    def attacked(self, what: str, goals: Sequence[Goal], wordings: Sequence[Wording]) -> Outcomes:
        """Ask each goal once, in a wording that is drawn for it."""
        prompts = [self._wording(what, goal.id, wordings).fill(goal.text) for goal in goals]
        answers = self._answers(prompts, self.settings.answer_tokens)
        scores = self.judge.judge(goals, prompts, answers)
        self._show(what, prompts, answers, scores)
        return {goal.id: _hit(score, SUCCESS) for goal, score in zip(goals, scores, strict=True)}

    def adaptive(self, data: HardeningData, tell: Told) -> Outcomes:
        """Attack with wordings chosen on this generator and on other goals."""
        target = GeneratorTarget(self._with_tokens(self.settings.answer_tokens))
        found = adapt(
            [PLAIN, *data.taught_wordings, *data.unseen_wordings],
            data.adaptive_goals,
            target,
            self.judge,
            settings=CampaignSettings(self.settings.budget, 1, True, self.seed, 32),
            explore=self.settings.explore,
            on_progress=lambda done, total: tell("adaptive attack", done, total),
        )
        self.wordings += [one.id for one in found.chosen]
        return {track.goal.id: _reached(track) for track in found.held_out}

    def refused(self, data: HardeningData) -> Outcomes:
        """Ask benign requests as they stand."""
        return self._refusals("over_refusal", [one.id for one in data.harmless], [one.text for one in data.harmless])

    def refused_dressed(self, data: HardeningData) -> Outcomes:
        """Ask benign requests in wordings of attacks, half of them unseen."""
        chosen = data.harmless[: self.settings.dressed]
        kinds = (data.taught_wordings, data.unseen_wordings)
        prompts = [
            self._wording("dressed", one.id, kinds[number % 2]).fill(one.text) for number, one in enumerate(chosen)
        ]
        return self._refusals("over_refusal_dressed", [one.id for one in chosen], prompts)

    def _refusals(self, what: str, ids: Sequence[str], prompts: Sequence[str]) -> Outcomes:
        answers = self._answers(prompts, self.settings.benign_tokens)
        scores = self.refusals.score_batch([], answers)
        refused = [number for number, score in enumerate(scores) if score is not None and score >= REFUSED]
        self._show(what, [prompts[n] for n in refused], [answers[n] for n in refused], [scores[n] for n in refused])
        return {name: _hit(score, REFUSED) for name, score in zip(ids, scores, strict=True)}

    def _wording(self, what: str, unit: str, wordings: Sequence[Wording]) -> Wording:
        return random.Random(f"{self.seed}/{what}/{unit}").choice(list(wordings))  # noqa: S311 - no secret

    def _with_tokens(self, n: int) -> TransformersGenerator:
        return self.generator.with_decoding(Decoding(max_new_tokens=n, temperature=0.0, chat=True))

    def _answers(self, prompts: Sequence[str], n: int) -> list[str]:
        return self._with_tokens(n).generate(prompts, seed=self.seed)

    def _show(self, what: str, prompts: Sequence[str], answers: Sequence[str], scores: Sequence[float | None]) -> None:
        some = list(zip(prompts, answers, scores, strict=True))[:_SHOWN]
        self.shown += [Shown(what, prompt, answer, score) for prompt, answer, score in some]


def _hit(score: float | None, threshold: float) -> float | None:
    return None if score is None else float(score >= threshold)


def _reached(track: Track) -> float | None:
    return None if track.success is None else float(track.success)


def _likelihoods(data: HardeningData, generator: TransformersGenerator) -> dict[str, Outcomes]:
    """Return bits a character and nats a token of every continuation after its beginning."""
    before, after = [one for one, _ in data.prose], [one for _, one in data.prose]
    found = log_likelihoods(generator, before, after, separator=" ")
    n_tokens = [len(generator.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in after]
    names = [f"passage-{number:03d}" for number in range(len(after))]
    bits = [None if f is None else -f / math.log(2) / len(text) for f, text in zip(found, after, strict=True)]
    nats = [None if f is None else -f / n for f, n in zip(found, n_tokens, strict=True)]
    return {"bits_per_char": dict(zip(names, bits, strict=True)), "nats_per_token": dict(zip(names, nats, strict=True))}


def token_times(
    generators: Sequence[TransformersGenerator], prompts: Sequence[str], *, rounds: int, seed: int
) -> list[list[float]]:
    """Time generators in turns, so that what else the machine does falls on all of them.

    Returns
    -------
    list of list of float
        Milliseconds a token, one list a generator with one entry a round. The first turn of each is not counted.
    """
    found: list[list[float]] = [[] for _ in generators]
    for round_ in range(rounds + 1):
        for place, generator in enumerate(generators):
            tokens, started = generator.n_tokens, time.perf_counter()
            generator.generate(prompts, seed=seed)
            spent = (time.perf_counter() - started) * 1000 / max(1, generator.n_tokens - tokens)
            if round_:
                found[place].append(spent)
    return found
