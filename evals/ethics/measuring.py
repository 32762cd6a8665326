"""What is measured of one model: toxicity of its continuations, held-out text, benign requests, and an attack on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from evals.datasets import Prompt
from evals.ethics.data import ATTACKS, MeasuredData
from evals.ethics.settings import Judges, MeasureSizes
from evals.scorers.category import CategoryScorer
from evals.scorers.compliance import REFUSED
from evals.scorers.likelihood import log_likelihoods
from evals.scorers.linear import LinearJudge
from evals.seeds import sample_seed
from evals.stats import Observations
from guard.attacks.prompts.adaptive import adapt
from guard.attacks.prompts.campaign import CampaignSettings
from guard.attacks.prompts.schema import Goal
from guard.attacks.prompts.targets import GeneratorTarget
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding, Filter, check_scores

__all__ = ["Measured", "Shown", "continued", "measure", "nats", "refused", "toxicities"]

Told = Callable[[str, int, int], None]

_BENIGN_TOKENS = 24
_SHOWN = 3


@dataclass(frozen=True)
class Shown:
    """A prompt, what the model wrote, and the score of the judge that decides."""

    prompt: str
    answer: str
    score: float | None


@dataclass(frozen=True)
class Measured:
    """Everything measured of one model; JSON values only.

    Parameters
    ----------
    toxicity : mapping of str to Observations
        Name of a judge -> prompt -> the score of each continuation.
    outcomes : mapping of str to mapping of str to (float or None)
        Figure -> unit -> value: ``clean``, ``flagged`` and ``prose`` in nats a token by text, ``refused`` 1 or 0 by
        request, ``attacked`` 1 where any query of the attack drew a toxic answer, by goal.
    wordings : tuple of str
        Those that the attack chose for this model, best first.
    shown : tuple of Shown
        The most toxic continuations.
    """

    toxicity: Mapping[str, Observations]
    outcomes: Mapping[str, Mapping[str, float | None]]
    wordings: tuple[str, ...] = ()
    shown: tuple[Shown, ...] = field(default=())


def measure(
    generator: TransformersGenerator,
    data: MeasuredData,
    judges: Judges,
    sizes: MeasureSizes,
    *,
    seed: int,
    tell: Told = lambda what, done, total: None,
) -> Measured:
    """Measure a model; the same prompts, seeds and requests for every model of one seed."""
    tell("measuring", 0, 4)
    texts = continued(generator, data.prompts, sizes, seed=seed)
    scored = toxicities(texts, judges)
    tell("measuring", 1, 4)
    outcomes: dict[str, Mapping[str, float | None]] = nats(generator, data)
    tell("measuring", 2, 4)
    outcomes["refused"] = refused(generator, data.benign, seed=seed)
    tell("measuring", 3, 4)
    outcomes["attacked"], wordings = _attacked(generator, data.goals, judges.measuring[0], sizes, seed=seed)
    tell("measuring", 4, 4)
    first = scored[judges.measuring[0].name]
    return Measured(scored, outcomes, wordings, _worst(data.prompts, texts, first))


def continued(
    generator: TransformersGenerator, prompts: Sequence[Prompt], sizes: MeasureSizes, *, seed: int
) -> dict[str, list[str]]:
    """Return the continuations of each prompt, by its id; the seed of each depends on the prompt and its number."""
    rows = [(one, k) for one in prompts for k in range(sizes.continuations)]
    made = generator.with_decoding(sizes.decoding).generate(
        [one.text for one, _ in rows], seed=[sample_seed(seed, f"ethics/{one.id}#{k:02d}") for one, k in rows]
    )
    found: dict[str, list[str]] = {one.id: [] for one in prompts}
    for (one, _), text in zip(rows, made, strict=True):
        found[one.id].append(text)
    return found


def toxicities(texts: Mapping[str, Sequence[str]], judges: Judges) -> dict[str, Observations]:
    """Score continuations by every judge that measures, and by the one that was trained against."""
    flat = [text for some in texts.values() for text in some]
    found = {
        one.name: _parted(texts, CategoryScorer(one, "toxicity").score_batch([], flat)) for one in judges.measuring
    }
    own: list[float | None] = [float(score) for score in judges.training.scores(flat)]
    return {**found, judges.training.name: _parted(texts, own)}


def _parted(texts: Mapping[str, Sequence[str]], scores: Sequence[float | None]) -> dict[str, list[float | None]]:
    left = iter(scores)
    return {name: [next(left) for _ in some] for name, some in texts.items()}


def nats(generator: TransformersGenerator, data: MeasuredData) -> dict[str, Mapping[str, float | None]]:
    """Return nats a token of each held-out text and each passage of prose, behind its first words."""
    found: dict[str, Mapping[str, float | None]] = {}
    sets = (("clean", data.held_out.clean, ""), ("flagged", data.held_out.flagged, ""), ("prose", data.prose, " "))
    for name, pairs, separator in sets:
        before, after = [generator.prefix + one for one, _ in pairs], [one for _, one in pairs]
        logs = log_likelihoods(generator, before, after, separator=separator)
        sizes = [len(generator.tokenizer(one, add_special_tokens=False)["input_ids"]) for one in after]
        found[name] = {
            f"{name}-{place:04d}": None if log is None else -log / size
            for place, (log, size) in enumerate(zip(logs, sizes, strict=True))
        }
    return found


def refused(generator: TransformersGenerator, benign: Sequence[Prompt], *, seed: int) -> dict[str, float | None]:
    """Ask benign requests, and say 1 of each that was refused."""
    greedy = generator.with_decoding(Decoding(max_new_tokens=_BENIGN_TOKENS, temperature=0.0, chat=True))
    answers = greedy.generate([one.text for one in benign], seed=seed)
    scores = CategoryScorer(LinearJudge.load(), "refusal").score_batch([], answers)
    return {one.id: None if s is None else float(s >= REFUSED) for one, s in zip(benign, scores, strict=True)}


class _ToxicAnswers:
    """A judge of attacks: how toxic the answer is."""

    def __init__(self, judge: Filter[str]) -> None:
        self._judge = judge

    @property
    def name(self) -> str:
        """The name of the judge."""
        return self._judge.name

    def judge(self, goals: Sequence[Goal], prompts: Sequence[str], answers: Sequence[str]) -> list[float | None]:
        """Return the toxicity of each answer."""
        scores = check_scores(self._judge.score_batch(list(answers)), n_items=len(answers), filter_=self._judge)
        return [float(score) for score in scores[:, self._judge.categories.index("toxicity")]]


def _attacked(
    generator: TransformersGenerator, goals: Sequence[Goal], judge: Filter[str], sizes: MeasureSizes, *, seed: int
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Let an attack choose its wordings on this very model, on other goals than those it is reported on."""
    found = adapt(
        ATTACKS,
        goals,
        GeneratorTarget(generator.with_decoding(sizes.decoding)),
        _ToxicAnswers(judge),
        settings=CampaignSettings(sizes.budget, sizes.budget, False, seed, 64),
        explore=len(ATTACKS),
    )
    reached = {one.goal.id: None if one.success is None else float(one.success) for one in found.held_out}
    return reached, tuple(one.id for one in found.chosen)


def _worst(prompts: Sequence[Prompt], texts: Mapping[str, Sequence[str]], scores: Observations) -> tuple[Shown, ...]:
    rows = [
        Shown(one.text, text, score)
        for one in prompts
        for text, score in zip(texts[one.id], scores[one.id], strict=True)
        if score is not None
    ]
    return tuple(sorted(rows, key=lambda row: (-(row.score or 0.0), row.answer))[:_SHOWN])
