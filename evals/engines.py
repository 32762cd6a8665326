"""What turns the samples of a task into records: one model with its guard, here or in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from evals.arms import ArmPair
from evals.schema import Record, Sample
from guard.errors import ConfigError
from guard.schema import Decoding

if TYPE_CHECKING:
    from evals.audit import AuditedModel, Plan, TextModel
    from evals.tasks.task import Mode
    from guard.policy import Policy
    from guard.schema import Filter

__all__ = ["Engine", "Engines", "LocalEngine", "batches", "identity", "local_engine", "require_same"]

_ROWS = 32


class Engine(Protocol):
    """One model and its guard, ready to run the samples of any task."""

    def require_room(self, decoding: Decoding, samples: Sequence[Sample]) -> None:
        """Refuse prompts that do not fit the model, where it can tell, before anything is generated.

        Raises
        ------
        DataError
        """

    def run(self, mode: Mode, decoding: Decoding, samples: Sequence[Sample]) -> Iterator[list[Record]]:
        """Make a record of every sample, and hand them over batch by batch, in whatever order they are ready.

        A record is a function of its sample alone, so neither the order nor the batches show in any figure.

        Raises
        ------
        GeneratorError
            When the model fails; what was handed over until then stands.
        """


Engines = Callable[["Plan", "AuditedModel", int | None], AbstractContextManager[Engine]]
"""From a plan, one of its models and the samples a batch, if the user named any, to its engine, which ends on exit."""


class LocalEngine:
    """The model runs in this process; it is loaded when it is first needed.

    Parameters
    ----------
    load : callable
        Brings the model into memory.
    policy : Policy
    inputs, outputs : sequence of Filter
    rows : int or None
        Samples a batch; None leaves it to the model.
    """

    def __init__(
        self,
        load: Callable[[], TextModel],
        policy: Policy,
        *,
        inputs: Sequence[Filter[str]],
        outputs: Sequence[Filter[str]],
        rows: int | None = None,
    ) -> None:
        self._load, self._policy = load, policy
        self._inputs, self._outputs = inputs, outputs
        self._rows = rows
        self._model: TextModel | None = None
        self._pair: tuple[Decoding, ArmPair] | None = None

    @property
    def model(self) -> TextModel:
        """The model, in memory."""
        if self._model is None:
            self._model = self._load()
        return self._model

    @property
    def rows(self) -> int:
        """Samples a batch."""
        return self._rows or self.model.batch_size or _ROWS

    def require_room(self, decoding: Decoding, samples: Sequence[Sample]) -> None:
        """As :meth:`Engine.require_room`."""
        if samples:
            self._arms(decoding).require_room(samples)

    def run(self, mode: Mode, decoding: Decoding, samples: Sequence[Sample]) -> Iterator[list[Record]]:
        """As :meth:`Engine.run`."""
        if samples:
            for batch in batches(samples, self.rows):
                yield self.make(mode, decoding, batch)

    def make(self, mode: Mode, decoding: Decoding, batch: Sequence[Sample]) -> list[Record]:
        """Make the records of one batch, in its order."""
        pair = self._arms(decoding)
        ways = {"generate": pair.generate, "judge": pair.check, "choose": pair.choose, "attack": pair.attack}
        return ways[mode](batch)

    def _arms(self, decoding: Decoding) -> ArmPair:
        """Return both arms over the model as it decodes; those of the task at hand are kept."""
        if self._pair is None or self._pair[0] != decoding:
            generator = self.model.with_decoding(decoding)
            self._pair = decoding, ArmPair(generator, self._policy, inputs=self._inputs, outputs=self._outputs)
        return self._pair[1]


def local_engine(plan: Plan, audited: AuditedModel, rows: int | None) -> AbstractContextManager[Engine]:
    """Run a model of a plan in this process; one of :data:`Engines`."""
    return nullcontext(LocalEngine(audited.load, plan.policy, inputs=plan.inputs, outputs=plan.outputs, rows=rows))


def batches(samples: Sequence[Sample], rows: int) -> Iterator[list[Sample]]:
    """Divide samples into batches, longest prompts first.

    So the rows of a batch are alike, memory runs out early if at all, and the last batches, for which other workers
    may have to wait, are the shortest.
    """
    ordered = sorted(samples, key=lambda sample: (-len(sample.prompt), sample.id))
    for start in range(0, len(ordered), rows):
        yield ordered[start : start + rows]


def identity(engine: LocalEngine) -> dict[str, str]:
    """Name what decides the figures of an engine, as it is where it runs: code, packages, numerics, model, filters."""
    from evals.provenance import code_digest, numerics, package_versions

    return {
        "code": code_digest(),
        **{f"package {name}": version for name, version in package_versions().items()},
        **numerics(),
        "model": engine.model.name,
        "input filters": ", ".join(filter_.name for filter_ in engine._inputs),
        "output filters": ", ".join(filter_.name for filter_ in engine._outputs),
    }


def require_same(plan: Plan, audited: AuditedModel, found: dict[str, str]) -> None:
    """Refuse an engine elsewhere that would not give the figures that the plan promises.

    Parameters
    ----------
    plan : Plan
    audited : AuditedModel
    found : dict of str to str
        Of :func:`identity`, as it came back.

    Raises
    ------
    ConfigError
        It names the first difference.
    """
    from evals.provenance import package_versions

    expected = {
        "code": plan.code,
        **{f"package {name}": version for name, version in package_versions().items()},
        **{key: plan.settings[key] for key in ("cpu", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA") if key in plan.settings},
        "model": audited.digest,
        "input filters": ", ".join(filter_.name for filter_ in plan.inputs),
        "output filters": ", ".join(filter_.name for filter_ in plan.outputs),
    }
    for key, value in expected.items():
        if found.get(key) != value:
            raise ConfigError(
                f"a worker's {key} is {found.get(key)}, here it is {value}: the figures would not be those of one run;"
                " give the workers the same code, packages, files and processor, or take --engine local"
            )
