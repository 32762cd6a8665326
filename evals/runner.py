"""Runs the samples of a task through both arms, batch by batch, into the journal, doing nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from evals.figures import Figures
from evals.journal import Journal
from evals.memo import MemoGenerator, remembering
from evals.schema import Arm, Generation, Record, Sample
from evals.tasks.robustness import CLEAN
from guard.errors import GeneratorError
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Decoding, Filter, Generator

__all__ = ["ArmPair", "Progress", "Task", "run_task"]

Progress = Callable[[str, int, int], None]
"""Told the task, the samples done and the samples in all."""

_ROWS = 32
_FILTER_TIMEOUT_S = 600.0
"""Long: in an audit a slow machine must not turn into blocked texts."""


class Task(Protocol):
    """What is asked of a model, and what is measured on the answers."""

    @property
    def name(self) -> str:
        """The first part of the names of its metrics."""

    @property
    def generates(self) -> bool:
        """Whether the model answers, or the guard alone judges."""

    @property
    def decoding(self) -> Decoding | None:
        """How the model decodes."""

    def samples(self, seed: int) -> list[Sample]:
        """Return the samples of the task, a function of the seed."""

    def figures(self, records: Sequence[Record]) -> Figures:
        """Measure."""


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
        by_arm = {arm: guard.generate(prompts, seed=seeds) for arm, guard in self._guards.items()}
        times = self._times(before, len(samples))
        records = []
        for i, sample in enumerate(samples):
            arms: dict[Arm, Generation] = {}
            for arm, responses in by_arm.items():
                r = responses[i]
                arms[arm] = Generation(r.text, r.action, r.prompt_verdict, r.output_verdict)
            records.append(Record(sample, by_arm["unguarded"][i].output, arms, times))
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

    def _clock(self) -> dict[str, float]:
        return {
            "wall_ms": time.perf_counter() * 1000,
            "generate_ms": self._generator.seconds * 1000,
            "filter_ms": sum(filter_.seconds for filter_ in self._filters) * 1000,
            "tokens": float(getattr(self._inner, "n_tokens", 0)),
        }

    def _times(self, before: dict[str, float], n: int) -> dict[str, float]:
        """Return the share of one sample in what passed since `before`."""
        return {key: round((value - before[key]) / n, 3) for key, value in self._clock().items()}

    def _forget(self) -> None:
        self._generator.forget()
        for filter_ in self._filters:
            filter_.forget()


def _rules(policy: Policy) -> tuple[tuple[Arm, Policy], ...]:
    return (("unguarded", Policy.load("permissive")), ("guarded", policy))


def _text_arm(sample: Sample) -> Arm:
    return "clean" if sample.group == CLEAN else "perturbed"


def run_task(
    task: Task, pair: ArmPair, *, model: str, seed: int, journal: Journal, rows: int | None, progress: Progress
) -> list[Record]:
    """Return a record for every sample of the task, making those that the journal lacks.

    Parameters
    ----------
    task : Task
    pair : ArmPair
        Whose generator decodes as the task says.
    model : str
        Under which name the journal keeps the records.
    seed : int
    journal : Journal
    rows : int or None
        Samples a batch; None takes 32.
    progress : callable

    Raises
    ------
    DataError
        When a prompt does not fit the model.
    GeneratorError
        When the model fails; what was made until then is in the journal.
    OutputError
        When the journal cannot be written.
    """
    samples = task.samples(seed)
    waiting = [sample for sample in samples if journal.get(model, sample.id) is None]
    if task.generates:
        pair.require_room(waiting)
    make = pair.generate if task.generates else pair.check
    done = len(samples) - len(waiting)
    progress(task.name, done, len(samples))
    for batch in _batches(waiting, rows or _ROWS):
        journal.append(model, make(batch))
        done += len(batch)
        progress(task.name, done, len(samples))
    records = [journal.get(model, sample.id) for sample in samples]
    if any(record is None for record in records):
        raise GeneratorError(f"task {task.name}: the journal lacks samples that were just made")
    return [record for record in records if record is not None]


def _batches(samples: Sequence[Sample], rows: int) -> Iterator[list[Sample]]:
    """Longest prompts first, so that rows of a batch are alike and memory runs out early if at all."""
    ordered = sorted(samples, key=lambda sample: (-len(sample.prompt), sample.id))
    for start in range(0, len(ordered), rows):
        yield ordered[start : start + rows]
