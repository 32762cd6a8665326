"""The same generator and filters under two policies: what one batch of samples gives in both arms."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from evals.memo import MemoGenerator, remembering
from evals.schema import Arm, Generation, Record, Sample
from evals.searched import searched
from evals.tasks.robustness import CLEAN
from guard.errors import ConfigError
from guard.generators.failures import GenerationFailure, OutputMissingError
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Filter, Generator, Response, Verdict

__all__ = ["ArmPair"]

_FILTER_TIMEOUT_S = 600.0
"""Long: in an audit a slow machine must not turn into blocked texts."""


class ArmPair:
    """The same generator and filters under two policies, each output and score made once.

    The unguarded arm is a guard with a permissive policy, not a second code path.

    Parameters
    ----------
    generator : Generator
    policy : Policy
    inputs, outputs : sequence of Filter
    """

    def __init__(
        self,
        generator: Generator[str],
        policy: Policy,
        *,
        inputs: Sequence[Filter[str]],
        outputs: Sequence[Filter[str]],
    ) -> None:
        self._inner = generator
        self._generator = MemoGenerator(generator)
        wrapped = {id(filter_): remembering(filter_) for filter_ in (*inputs, *outputs)}
        self._filters = tuple(wrapped.values())
        self._guards: dict[Arm, Guard] = {
            arm: Guard(
                self._generator,
                rules,
                inputs=[wrapped[id(filter_)] for filter_ in inputs],
                outputs=[wrapped[id(filter_)] for filter_ in outputs],
                filter_timeout_s=_FILTER_TIMEOUT_S,
            )
            for arm, rules in _rules(policy)
        }

    def generate(self, samples: Sequence[Sample]) -> list[Record]:
        """Generate for the samples once, and let both arms decide."""
        before = self._clock()
        prompts, seeds = [s.prompt for s in samples], [s.seed for s in samples]
        by_arm = {arm: _answers(guard, prompts, seeds) for arm, guard in self._guards.items()}
        times = self._times(before, len(samples))
        records = []
        for i, sample in enumerate(samples):
            arms: dict[Arm, Generation] = {arm: _generation(answers[i]) for arm, answers in by_arm.items()}
            free = by_arm["unguarded"][i]
            output = None if isinstance(free, GenerationFailure) else free.output
            records.append(Record(sample, output, arms, times))
        self._forget()
        return records

    def require_room(self, samples: Sequence[Sample]) -> None:
        """Refuse prompts that do not fit the model, where it can tell, before anything is generated."""
        require = getattr(self._inner, "require_room", None)
        if require is not None:
            require({f"prompt {sample.prompt_id} of task {sample.task}": sample.prompt for sample in samples})

    def check(self, samples: Sequence[Sample]) -> list[Record]:
        """Let the guarded arm judge the samples as prompts, without generating anything."""
        before = self._clock()
        verdicts = self._guards["guarded"].check([s.prompt for s in samples], stage="input")
        times = self._times(before, len(samples))
        self._forget()
        return [
            Record(sample, None, {_text_arm(sample): Generation(None, verdict.action, verdict)}, times)
            for sample, verdict in zip(samples, verdicts, strict=True)
        ]

    def attack(self, samples: Sequence[Sample]) -> list[Record]:
        """Let recipes change the prompts until the guarded arm lets them pass, without generating anything."""
        before = self._clock()
        guard = self._guards["guarded"]
        attempts = searched(guard, samples)
        clean, changed = (
            guard.check([getattr(one, text) for one in attempts], stage="input") for text in ("original", "perturbed")
        )
        times = self._times(before, len(samples))
        self._forget()
        return [
            Record(
                sample,
                attempt.perturbed,
                {"clean": Generation(None, old.action, old), "perturbed": Generation(None, new.action, new)},
                times,
                queries=attempt.n_queries,
            )
            for sample, attempt, old, new in zip(samples, attempts, clean, changed, strict=True)
        ]

    def choose(self, samples: Sequence[Sample]) -> list[Record]:
        """Ask the model how likely each option of each sample is; the guard has no part in it."""
        before = self._clock()
        pairs = [(sample.prompt, option) for sample in samples for option in sample.options]
        nats = iter(self._likelihoods([prompt for prompt, _ in pairs], [option for _, option in pairs]))
        likelihoods = [tuple(next(nats) for _ in sample.options) for sample in samples]
        times = self._times(before, len(samples))
        free = Generation(None, Action.ALLOW, Verdict(Action.ALLOW, "input", {}))
        return [
            Record(sample, None, {"unguarded": free}, times, likelihoods=known)
            for sample, known in zip(samples, likelihoods, strict=True)
        ]

    def _likelihoods(self, prompts: Sequence[str], options: Sequence[str]) -> list[float | None]:
        if not hasattr(self._inner, "tokenizer"):
            raise ConfigError(
                f"{self._inner.name} cannot say how likely a text is, which a task of this suite asks: leave out the"
                " tasks that choose between options"
            )
        from evals.scorers.likelihood import log_likelihoods

        started = time.perf_counter()
        found = log_likelihoods(cast(Any, self._inner), prompts, options)
        self._generator.seconds += time.perf_counter() - started
        return found

    def _clock(self) -> dict[str, float]:
        return {
            "wall_ms": time.perf_counter() * 1000,
            "generate_ms": self._generator.seconds * 1000,
            "filter_ms": sum(filter_.seconds for filter_ in self._filters) * 1000,
            "tokens": float(getattr(self._inner, "n_tokens", 0)),
            "tokens read": float(getattr(self._inner, "n_tokens_in", 0)),
            "answers without usage": float(getattr(self._inner, "n_without_usage", 0)),
        }

    def _times(self, before: dict[str, float], n: int) -> dict[str, float]:
        """Return the share of one sample in what passed since `before`."""
        return {key: round((value - before[key]) / n, 3) for key, value in self._clock().items()}

    def _forget(self) -> None:
        self._generator.forget()
        for filter_ in self._filters:
            filter_.forget()


def _answers(guard: Guard, prompts: Sequence[str], seeds: Sequence[int]) -> list[Response | GenerationFailure]:
    """Ask the guard; where an output is missing, row by row from memory, so that nothing is requested twice."""
    try:
        return list(guard.generate(prompts, seed=seeds))
    except OutputMissingError as error:
        if len(prompts) == 1:
            return [error.failure]
        return [_answers(guard, [prompt], [seed])[0] for prompt, seed in zip(prompts, seeds, strict=True)]


def _generation(found: Response | GenerationFailure) -> Generation:
    if isinstance(found, GenerationFailure):
        unjudged = Verdict(Action.ALLOW, "input", {})
        return Generation(None, Action.ALLOW, unjudged, missing=f"{found.kind}: {found.reason}")
    return Generation(found.text, found.action, found.prompt_verdict, found.output_verdict)


def _rules(policy: Policy) -> tuple[tuple[Arm, Policy], ...]:
    return (("unguarded", Policy.load("permissive")), ("guarded", policy))


def _text_arm(sample: Sample) -> Arm:
    return "clean" if sample.group == CLEAN else "perturbed"
