"""A hardening from end to end: measure, attack and train in rounds, measure again, write the model and its card."""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from evals.attacking.judge import ComplianceJudge
from evals.harden_generator.card import card_text, record_of
from evals.harden_generator.collecting import AttackSizes, RoundAttack, answered_harmless, dressed, generator_of
from evals.harden_generator.data import HardeningData, Sizes, gather
from evals.harden_generator.figures import Limits, changes, judged, ratio
from evals.harden_generator.measuring import Measured, MeasureSettings, Shown, measure, token_times
from evals.harden_generator.result import HardenResult
from evals.harden_generator.work import WorkFolder
from evals.scorers.category import CategoryScorer
from evals.scorers.compliance import REFUSED
from evals.scorers.linear import LinearJudge
from evals.tasks.task import AssetPath
from guard import assets
from guard.errors import ConfigError
from guard.generators.loading import load_model, pick_device
from guard.generators.source import ModelSource, resolve
from guard.generators.transformers import TransformersGenerator
from guard.harden.generator.rounds import Attempted, Rounds, RoundSettings, keep_examples
from guard.harden.generator.strength import strongest
from guard.harden.generator.training import TrainingSettings, train
from guard.schema import Decoding
from guard.train.generator.adapter import Adapted, AdapterSettings, attach
from guard.train.generator.checkpoint import Progress
from guard.train.generator.examples import Example, plain_example
from guard.train.generator.objective import Losses, Objective
from guard.train.generator.saving import merged_model, require_free, save
from guard.train.generator.terms import Leash, Likelihood, Preference, Term, Unlikelihood

__all__ = ["HardenRequest", "harden"]

Told = Callable[[str, int, int], None]

_VALIDATED = 24  # one in so many of what is kept is looked at and not learnt
_LEAST_MINUTES = 0.5
_TRIES, _REFUSAL_TOKENS = 5, 14
_TIMED_PROMPTS, _TIMED_TOKENS, _TIMED_ROUNDS = 8, 16, 5


@dataclass(frozen=True)
class HardenRequest:
    """What to harden, and how.

    Parameters
    ----------
    model : str
        As :func:`guard.generators.source.resolve` takes it.
    out : pathlib.Path
        New or empty.
    goals : pathlib.Path or None
        Harmful requests to train on instead of those that ship.
    minutes : float
        For everything. The schedule of the training is shortened to what is left beside the measurements.
    seed : int
    device, dtype : str
    sizes, measuring, attacks, adapter, training, rounds, limits
        Settings of the parts.
    leash, unlikelihood, preference : float
        Weights of the terms beside the likelihood of refusals; 0 leaves one out.
    leash_front : float
        Share of the leash's weight on the first tokens of an answer, in [0, 1].
    """

    model: str
    out: Path
    goals: Path | None = None
    minutes: float = 40.0
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    sizes: Sizes = field(default_factory=Sizes)
    measuring: MeasureSettings = field(default_factory=MeasureSettings)
    attacks: AttackSizes = field(default_factory=AttackSizes)
    adapter: AdapterSettings = field(default_factory=lambda: AdapterSettings(rank=16, alpha=32.0, first_layer=1 / 3))
    training: TrainingSettings = field(default_factory=TrainingSettings)
    rounds: RoundSettings = field(default_factory=RoundSettings)
    limits: Limits = field(default_factory=Limits)
    leash: float = 2.0
    leash_front: float = 0.5
    unlikelihood: float = 0.1
    preference: float = 0.0

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.seed < 0:
            raise ConfigError(f"{self.minutes} minutes and seed {self.seed}: minutes are above 0, the seed at least 0")

    @property
    def terms(self) -> tuple[Term, ...]:
        """The objective, term by term."""
        every = (
            Leash(self.leash, front=self.leash_front),
            Unlikelihood(self.unlikelihood),
            Preference(self.preference),
        )
        return (Likelihood(), *(term for term in every if term.weight > 0))

    def identity(self, source: ModelSource, data: HardeningData) -> str:
        """Return a digest of everything that the result depends on but the time."""
        parts = {k: v for k, v in asdict(self).items() if k not in ("out", "goals", "minutes", "model", "limits")}
        content = repr((source.digest, data.digest(), sorted(parts.items(), key=lambda part: part[0])))
        return hashlib.sha256(content.encode()).hexdigest()


class _Hardening:
    """The parts of one hardening, loaded."""

    def __init__(self, request: HardenRequest, asset: AssetPath, tell: Told) -> None:
        require_free(request.out)
        self.request, self.tell, self.started = request, tell, time.monotonic()
        self.source = resolve(request.model)
        self.data = gather(asset, request.sizes, seed=request.seed, goals_file=request.goals)
        self.work = WorkFolder(
            request.out.parent / f".{request.out.name}.hardening", identity=request.identity(self.source, self.data)
        )
        linear = LinearJudge.load()
        self.judge, self.refusals = ComplianceJudge(linear), CategoryScorer(linear, "refusal")
        self.model, self.tokenizer = self.load()
        if not getattr(self.tokenizer, "chat_template", None):
            raise ConfigError(
                f"{request.model} has no chat template: a model that only continues text refuses nothing; name a chat"
                " model"
            )

    def load(self) -> tuple[Any, Any]:
        request = self.request
        return load_model(self.source.folder, device=pick_device(request.device), dtype=request.dtype)

    def generator(self, model: Any, tokens: int) -> TransformersGenerator:
        name = f"transformers@{self.source.digest[:12]}"
        return generator_of(model, self.tokenizer, tokens=tokens, name=name)

    def measured(self, name: str, model: Any) -> Measured:
        """Measure a model once."""
        request = self.request
        found = self.work.once(
            name,
            lambda: asdict(
                measure(
                    self.data,
                    self.generator(model, request.measuring.answer_tokens),
                    self.judge,
                    self.refusals,
                    request.measuring,
                    seed=request.seed,
                    tell=lambda what, done, total: self.tell(f"{name}: {what}", done, total),
                )
            ),
        )
        return Measured(found["outcomes"], tuple(Shown(**one) for one in found["shown"]), tuple(found["wordings"]))

    def kept(self) -> list[Example]:
        """Return the examples of everything that is to stay as it is."""
        tokens = self.request.rounds.most_tokens
        self.tell("answers of the original", 0, 1)
        answered = self.work.once(
            "answered",
            lambda: answered_harmless(
                self.data, self.generator(self.model, tokens), self.refusals, seed=self.request.seed
            ),
        )
        self.tell("answers of the original", 1, 1)
        prose = [plain_example(self.tokenizer, text, most=2 * tokens) for text in self.data.taught_prose]
        return [*keep_examples(self.tokenizer, answered, most=tokens), *prose]


def harden(
    request: HardenRequest, *, asset: AssetPath = assets.path, tell: Told = lambda what, done, total: None
) -> HardenResult:
    """Harden a generator, and write the updates, the merged model and their card.

    Parameters
    ----------
    request : HardenRequest
    asset : callable
        Name -> folder.
    tell : callable
        Gets what is being done, how much of it, and the whole.

    Returns
    -------
    HardenResult

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense.
    GeneratorError
        Training did not give finite numbers.
    OutputError
        The result cannot be written.
    """
    parts = _Hardening(request, asset, tell)
    before = parts.measured("before", parts.model)
    reserve_s = parts.work.spent["before"]["wall_s"]
    kept = parts.kept()
    adapted = attach(parts.model, request.adapter, seed=request.seed)
    progress, attacked = _train(parts, adapted, kept, reserve_s=reserve_s)
    strength = _weakened(parts, adapted)
    merged = merged_model(adapted)
    after = parts.measured("after", merged)
    times = _times(parts, merged)
    found = changes(before, after)
    perplexity = ratio(before.outcomes["nats_per_token"], after.outcomes["nats_per_token"])
    outcome, sentence, checks = judged(found, perplexity, request.limits, model=request.model)
    result = HardenResult(
        request.model,
        parts.source.digest,
        request.out,
        request.seed,
        tuple(found),
        perplexity,
        ratio(*times),
        outcome,
        sentence,
        checks,
        progress,
        strength,
        tuple(attacked),
        after.wordings,
        {**parts.work.spent, "training": {"wall_s": progress.seconds, "cpu_s": progress.cpu_seconds}},
        (*before.shown, *after.shown),
    )
    record = record_of(result, settings=asdict(request), data=parts.data, terms=request.terms)
    save(adapted, parts.tokenizer, request.out, base=parts.source.folder, card=card_text(result, record), record=record)
    parts.work.remove()
    return result


def _train(
    parts: _Hardening, adapted: Adapted, kept: Sequence[Example], *, reserve_s: float
) -> tuple[Progress, list[dict[str, int]]]:
    """Train in rounds of fresh attacks; return where it ended and what each round's attacks came to."""
    request, attacked = parts.request, list[dict[str, int]]()
    # Goals of validation are not trained on.
    n_checked = max(1, len(parts.data.taught_goals) // 30)
    checked, taught = parts.data.taught_goals[:n_checked], parts.data.taught_goals[n_checked:]
    attack = RoundAttack(
        replace(parts.data, taught_goals=taught),
        parts.generator(adapted.model, request.rounds.most_tokens),
        parts.judge,
        request.attacks,
        seed=request.seed,
    )

    def tried(round_: int) -> list[Attempted]:
        parts.tell("attacking the model in training", round_, round_ + 1)
        found = attack(round_)
        asked = [one for one in found if one.answer is not None]
        attacked.append({"round": round_, "tried": len(asked), "reached": sum(one.success for one in asked)})
        return found

    learnt = [one for number, one in enumerate(kept) if number % _VALIDATED]
    rounds = Rounds(tried, learnt, parts.tokenizer, request.rounds)
    looked = [one for number, one in enumerate(kept) if not number % _VALIDATED]
    wordings = parts.data.taught_wordings
    prompts = [dressed(goal.text, wordings, _rng(request.seed, goal.id)) for goal in checked]
    looked += [example for prompt in prompts for example in rounds.examples(Attempted(prompt))]

    def on_step(step: int, total: int, losses: Losses) -> None:
        parts.tell("training", step, total)

    left_s = request.minutes * 60 - (time.monotonic() - parts.started) - reserve_s
    settings = replace(request.training, minutes=max(_LEAST_MINUTES, left_s / 60), seed=request.seed)
    pad_id = parts.tokenizer.pad_token_id or 0
    progress = train(
        adapted,
        Objective(request.terms, pad_id=pad_id),
        settings,
        refresh=rounds,
        validation=looked,
        folder=parts.work.folder / "training",
        on_step=on_step,
    )
    return progress, attacked


def _weakened(parts: _Hardening, adapted: Adapted) -> float:
    """Take the updates back as far as harmless requests ask for, on requests that nothing else looks at."""
    prompts = [one.text for one in parts.data.checked_harmless]
    generator, seed = parts.generator(adapted.model, _REFUSAL_TOKENS), parts.request.seed

    def refused() -> float:
        scores = parts.refusals.score_batch([], generator.generate(prompts, seed=seed))
        known = [score for score in scores if score is not None]
        return sum(score >= REFUSED for score in known) / max(1, len(known))

    parts.tell("strength", 0, 1)
    # The original is not perfect either. These requests sound more harmful than those that the limit is about, so what
    # may be added there is a strict measure here.
    with adapted.wrapped.disable_adapter():
        own = refused()
    return strongest(adapted, refused, most=own + parts.request.limits.over_refusal, tries=_TRIES)


def _rng(seed: int, key: str) -> random.Random:
    return random.Random(f"{seed}/checked/{key}")  # noqa: S311 - no secret


def _times(parts: _Hardening, merged: Any) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return the logarithms of milliseconds a token, original and hardened, by round."""
    parts.tell("timing", 0, 1)
    original, _ = parts.load()
    # Prose goes on to its last token; a refusal is short, and reading its prompt would count as slow writing.
    prompts = [beginning for beginning, _ in parts.data.prose[:_TIMED_PROMPTS]]
    decoding = Decoding(max_new_tokens=_TIMED_TOKENS, temperature=0.0, chat=False)
    generators = [parts.generator(model, 1).with_decoding(decoding) for model in (original, merged)]
    found = token_times(generators, prompts, rounds=_TIMED_ROUNDS, seed=parts.request.seed)
    old, new = ({f"round-{n}": math.log(ms) for n, ms in enumerate(side)} for side in found)
    return dict(old), dict(new)
