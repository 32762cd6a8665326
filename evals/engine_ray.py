"""The model runs in several processes, as actors of Ray, and what a lost process was at is done again by another."""

from __future__ import annotations

import importlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from evals.engines import LocalEngine, batches, identity, require_same
from evals.schema import Record, Sample
from guard.errors import AssayError, ConfigError, GeneratorError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from evals.audit import AuditedModel, Plan, TextModel
    from evals.engines import Engine
    from evals.tasks.task import Mode
    from guard.policy import Policy
    from guard.schema import Decoding, Filter

__all__ = ["RayEngine", "RayWorkers", "Stages", "require_ray"]

Stages = Callable[[], tuple[Sequence["Filter[str]"], Sequence["Filter[str]"]]]
"""Loads the filters of prompts and of outputs; can be pickled, which not every filter can."""

_LIVES = 3
"""Workers that one batch, or the loading of the model, may cost."""

_STORE_BYTES = 100_000_000
"""Of the object store: records are small."""

_ENVIRONMENT = ("MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "TOKENIZERS_PARALLELISM", "TRANSFORMERS_VERBOSITY")
"""What the command line sets before PyTorch is loaded."""


@dataclass(frozen=True)
class RayWorkers:
    """How many processes share the samples of a model; one of :data:`evals.engines.Engines`.

    Parameters
    ----------
    workers : int
    stages : callable
        Loads the filters of the plan in a worker.
    start_s : float
        How long a worker may take until its model is loaded.
    """

    workers: int
    stages: Stages
    start_s: float = 1800.0

    def __call__(self, plan: Plan, audited: AuditedModel, rows: int | None) -> AbstractContextManager[Engine]:
        """Return the engine of a model; nothing is started before there is a sample to make."""
        return RayEngine(plan, audited, rows, self)


class _Worker:
    """What an actor is: a local engine in a process of its own.

    Nothing is loaded by its constructor, so that an error comes back as what it is, not as the death of an actor.
    """

    def __init__(self, load: Callable[[], TextModel], policy: Policy, stages: Stages, rows: int | None) -> None:
        self._parts = load, policy, stages, rows
        self._engine: LocalEngine | None = None

    def start(self) -> tuple[dict[str, str], int]:
        """Load everything; return what it is and the samples a batch."""
        load, policy, stages, rows = self._parts
        inputs, outputs = stages()
        self._engine = LocalEngine(load, policy, inputs=inputs, outputs=outputs, rows=rows)
        return identity(self._engine), self._engine.rows

    def require_room(self, decoding: Decoding, samples: Sequence[Sample]) -> None:
        """As :meth:`evals.engines.Engine.require_room`."""
        assert self._engine is not None
        self._engine.require_room(decoding, samples)

    def make(self, mode: Mode, decoding: Decoding, batch: Sequence[Sample]) -> list[Record]:
        """As :meth:`evals.engines.LocalEngine.make`."""
        assert self._engine is not None
        return self._engine.make(mode, decoding, batch)


@dataclass
class _Job:
    """A batch, and how many workers it has cost."""

    batch: list[Sample]
    n_lost: int = 0


class RayEngine:
    """Workers that take batches as they get ready.

    The driver alone holds the journal: workers hand records back and keep nothing. A worker that dies is replaced, and
    the batch that it had goes to the next one.

    Parameters
    ----------
    plan : Plan
    audited : AuditedModel
    rows : int or None
        Samples a batch; None leaves it to the model.
    options : RayWorkers

    Attributes
    ----------
    n_lost : int
        Workers that died so far.
    """

    def __init__(self, plan: Plan, audited: AuditedModel, rows: int | None, options: RayWorkers) -> None:
        self._plan, self._audited, self._rows, self._options = plan, audited, rows, options
        self._ray = require_ray()
        self._owns_cluster = False
        self._workers: list[Any] = []
        self._loading: dict[Any, Any] = {}
        self.n_lost = 0
        self._n_unborn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in (*self._workers, *self._loading.values()):
            self._ray.kill(worker, no_restart=True)
        self._workers, self._loading = [], {}
        if self._owns_cluster:
            self._ray.shutdown()
            self._owns_cluster = False

    def require_room(self, decoding: Decoding, samples: Sequence[Sample]) -> None:
        """As :meth:`evals.engines.Engine.require_room`; one worker looks."""
        if not samples:
            return
        for _ in range(_LIVES):
            worker = self._crew()[0]
            try:
                self._get(worker.require_room.remote(decoding, list(samples)))
                return
            except _LostError:
                self._bury(worker)
        raise GeneratorError(f"looking at the prompts of task {samples[0].task} has killed {_LIVES} workers in a row")

    def run(self, mode: Mode, decoding: Decoding, samples: Sequence[Sample]) -> Iterator[list[Record]]:
        """As :meth:`evals.engines.Engine.run`."""
        if not samples:
            return
        idle = deque(self._crew())
        waiting = deque(_Job(batch) for batch in batches(samples, self._rows_for(len(samples))))
        running: dict[Any, tuple[_Job, Any]] = {}
        while waiting or running:
            while waiting and idle:
                job, worker = waiting.popleft(), idle.popleft()
                running[worker.make.remote(mode, decoding, job.batch)] = job, worker
            [ready], _ = self._ray.wait([*running, *self._loading], num_returns=1)
            if ready in self._loading:
                idle += self._settle(ready)
                continue
            job, worker = running.pop(ready)
            try:
                made = self._get(ready)
            except _LostError as lost:
                self._bury(worker)
                waiting.appendleft(_again(job, lost))
                self._hire()
            else:
                idle.append(worker)
                yield made

    def _rows_for(self, n_samples: int) -> int:
        """Return the samples a batch; where there are few, as in a block of an early stop, every worker gets some."""
        assert self._rows is not None
        return min(self._rows, -(-n_samples // self._options.workers))

    def _crew(self) -> list[Any]:
        """Return the workers whose model is in memory, at least one; others may still load."""
        if not self._ray.is_initialized():
            _start(self._ray, self._options.workers)
            self._owns_cluster = True
        for _ in range(self._options.workers - len(self._workers) - len(self._loading)):
            self._hire()
        while not self._workers:
            ready, _ = self._ray.wait(list(self._loading), num_returns=1, timeout=self._options.start_s)
            if not ready:
                raise GeneratorError(
                    f"no worker was ready after {self._options.start_s:.0f} s; has the cluster room for"
                    f" {self._options.workers} workers?"
                )
            self._settle(ready[0])
        return list(self._workers)

    def _hire(self) -> None:
        """Let a worker begin to load."""
        worker = self._actor()
        self._loading[worker.start.remote()] = worker

    def _settle(self, ready: Any) -> list[Any]:
        """Return the worker that has loaded, once it is known to be of this plan, or none where it died over it.

        Raises
        ------
        GeneratorError
            It was the last of several in a row that died so.
        """
        worker = self._loading.pop(ready)
        try:
            found, rows = self._get(ready)
        except _LostError as lost:
            self.n_lost += 1
            self._n_unborn += 1
            if self._n_unborn >= _LIVES:
                raise GeneratorError(
                    f"{_LIVES} workers in a row died while they loaded {self._audited.name} ({lost}); is there memory"
                    f" for {self._options.workers} of it? Take fewer --workers, or --engine local"
                ) from lost
            self._hire()
            return []
        self._workers.append(worker)
        require_same(self._plan, self._audited, found)
        self._rows, self._n_unborn = self._rows or rows, 0
        return [worker]

    def _actor(self) -> Any:
        resources: dict[str, float] = {"num_cpus": 1}
        if self._plan.settings.get("device") == "cuda":
            cards = float(self._ray.cluster_resources().get("GPU", 0))
            resources["num_gpus"] = min(1.0, cards / self._options.workers) or 1.0
        plan = self._plan
        actor = self._ray.remote(_Worker).options(max_restarts=0, max_task_retries=0, **resources)
        try:
            worker = actor.remote(self._audited.load, plan.policy, self._options.stages, self._rows)
        except TypeError as error:
            raise ConfigError(
                f"{self._audited.name} cannot be sent to another process ({error}); take --engine local"
            ) from error
        return worker

    def _bury(self, worker: Any) -> None:
        """Count a worker as lost, and make sure that it is gone."""
        self.n_lost += 1
        self._workers.remove(worker)
        self._ray.kill(worker, no_restart=True)

    def _get(self, reference: Any) -> Any:
        """Wait for an answer of a worker.

        Raises
        ------
        AssayError
            What went wrong there, as it would here.
        _LostError
            The worker is gone.
        """
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, AssayError):
                raise cause from error
            raise GeneratorError(f"a worker failed: {type(cause).__name__}: {cause}") from error
        except errors.RayError as error:
            raise _LostError(type(error).__name__) from error


class _LostError(Exception):
    """A worker died; what it was at has to be done again."""


def _again(job: _Job, lost: _LostError) -> _Job:
    """Return the job for another worker.

    Raises
    ------
    GeneratorError
        It has cost too many already.
    """
    job.n_lost += 1
    if job.n_lost < _LIVES:
        return job
    first = job.batch[0]
    raise GeneratorError(
        f"the batch of {len(job.batch)} samples that begins with {first.id} has killed {_LIVES} workers ({lost}); what"
        " was made is in the journal: take a smaller --batch-size or fewer --workers, and go on with --resume"
    ) from lost


def require_ray() -> Any:
    """Return the module of Ray.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ConfigError("--engine ray needs Ray: pip install 'assay[ray]', or take --engine local") from error


def _start(ray: Any, workers: int) -> None:
    """Join the cluster that ``RAY_ADDRESS`` names, or start one on this machine for as long as the run takes."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # reports about a run leave the machine only if asked for
    shared = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(runtime_env={"env_vars": shared}, **quiet)
    else:  # its processes inherit the environment
        ray.init(num_cpus=workers, include_dashboard=False, object_store_memory=_STORE_BYTES, **quiet)
