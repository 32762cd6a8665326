"""The engine of several processes: the records of this one, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from evals.audit import AuditedModel, Plan
from evals.composition import Request, plan_audit
from evals.engine_ray import RayEngine, RayWorkers
from evals.engines import LocalEngine
from evals.schema import Record
from guard.errors import ConfigError, DataError, GeneratorError
from guard.filters.lexical import LexicalFilter, Term
from guard.filters.table import load_stages
from guard.schema import Decoding, Filter
from tests.evals.small_audit import ScriptedModel
from tests.evals.small_audit import plan as scripted_plan
from tests.small_command import write_inputs

_DECODING = Decoding()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One Ray on this machine for all tests; engines find it and leave it as it is."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'assay[ray]'")
    from evals.engine_ray import _start

    _start(ray, 2)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> tuple[Plan, RayWorkers]:
    """The plan of a small audit of a real model, and workers for it."""
    given = write_inputs(tmp_path_factory.mktemp("inputs"), model=tiny_llama)
    named = dict(zip((part.removeprefix("--") for part in given[::2]), given[1::2], strict=True))
    request = Request(
        models=(named["model"],),
        suite=named["suite"],
        policy=named["policy"],
        gate=named["gate"],
        filters=(named["filter"],),
        scorer=named["scorer"],
        prompts=Path(named["prompts"]),
        column="prompt",
        limit=None,
        seed=3,
        device="cpu",
        dtype="auto",
        batch_size=4,
    )
    return plan_audit(request), RayWorkers(2, partial(load_stages, request.filters, device="cpu"))


def _records(engine: LocalEngine | RayEngine, plan: Plan) -> dict[str, Record]:
    """Run all tasks of a plan; the records by sample, without times."""
    made = {}
    for planned in plan.tasks:
        task, samples = planned.task, planned.task.samples(plan.seed)
        for batch in engine.run(task.mode, task.decoding or _DECODING, samples):
            made.update({record.sample.id: replace(record, times={}) for record in batch})
    return made


def _here(plan: Plan) -> dict[str, Record]:
    load = plan.models[0].load
    return _records(LocalEngine(load, plan.policy, inputs=plan.inputs, outputs=plan.outputs, rows=7), plan)


def test_two_workers_make_the_records_of_one_process_whoever_is_killed(
    cluster: Any, small: tuple[Plan, RayWorkers]
) -> None:
    plan, workers = small
    with workers(plan, plan.models[0], None) as engine:
        assert isinstance(engine, RayEngine)
        quiet = _records(engine, plan)
        assert engine.n_lost == 0
        assert len(engine._workers) == 2
        killed = {}
        for planned in plan.tasks:
            task, samples = planned.task, planned.task.samples(plan.seed)
            processes = _processes(cluster, engine)
            batches = engine.run(task.mode, task.decoding or _DECODING, samples)
            # The first batch is back, so that the other worker is in the midst of its own.
            killed.update({record.sample.id: replace(record, times={}) for record in next(batches)})
            for process in processes:
                os.kill(process, signal.SIGKILL)
            killed.update({record.sample.id: replace(record, times={}) for batch in batches for record in batch})
        assert engine.n_lost >= len(plan.tasks)
    here = _here(plan)
    assert {record.sample.task for record in here.values()} == {"toxicity", "quality"}
    assert any(record.arms["guarded"].action > 0 for record in here.values())
    assert quiet == here
    assert killed == here


def _processes(ray: Any, engine: RayEngine) -> list[int]:
    """The process of each worker whose model is loaded."""
    return list(ray.get([worker.__ray_call__.remote(lambda _: os.getpid()) for worker in engine._crew()]))


def _words() -> tuple[Sequence[Filter[str]], Sequence[Filter[str]]]:
    words = LexicalFilter([Term("darn", "rude", 0.8)])
    return [words], [words]


class _Deadly(ScriptedModel):
    """A model that takes its process with it when it meets a word."""

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        if any("number 3" in prompt for prompt in prompts):
            os._exit(1)
        return super().generate(prompts, seed=seed)

    def with_decoding(self, decoding: Decoding) -> _Deadly:
        return self


class _Wrong(ScriptedModel):
    """A model that refuses what does not fit, and fails on the rest."""

    def require_room(self, prompts: dict[str, str]) -> None:
        raise DataError(f"{min(prompts)} has 9 tokens; the model takes at most 1")

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        raise RuntimeError("no weights today")

    def with_decoding(self, decoding: Decoding) -> _Wrong:
        return self


def _dies() -> ScriptedModel:
    os._exit(1)


def _plan(load: Callable[[], Any], folder: Path) -> Plan:
    return replace(scripted_plan(folder=folder), models=[AuditedModel("scripted", ScriptedModel().name, load)])


def _toxicity(engine: RayEngine, plan: Plan) -> list[str]:
    samples = plan.tasks[0].task.samples(plan.seed)
    made = []
    for batch in engine.run("generate", _DECODING, samples):
        made += [record.sample.id for record in batch]
    return made


def test_batch_that_kills_three_workers_ends_the_run_and_says_which(cluster: Any, tmp_path: Path) -> None:
    plan = _plan(partial(_Deadly, 4), tmp_path)
    with RayWorkers(2, _words)(plan, plan.models[0], None) as engine:
        assert isinstance(engine, RayEngine)
        with pytest.raises(GeneratorError, match=r"batch of 4 samples .* has killed 3 workers .*--resume"):
            _toxicity(engine, plan)
        assert engine.n_lost >= 3


def test_errors_of_a_worker_are_those_of_the_engine_here(cluster: Any, tmp_path: Path) -> None:
    plan = _plan(_Wrong, tmp_path)
    with RayWorkers(1, _words)(plan, plan.models[0], None) as engine:
        assert isinstance(engine, RayEngine)
        with pytest.raises(DataError, match="takes at most 1"):
            engine.require_room(_DECODING, plan.tasks[0].task.samples(plan.seed))
        with pytest.raises(GeneratorError, match="no weights today"):
            _toxicity(engine, plan)
        assert engine.n_lost == 0


def test_worker_of_other_code_is_refused(cluster: Any, tmp_path: Path) -> None:
    plan = replace(_plan(ScriptedModel, tmp_path), code="0123456789ab")
    with RayWorkers(1, _words)(plan, plan.models[0], None) as engine:
        assert isinstance(engine, RayEngine)
        with pytest.raises(ConfigError, match=r"a worker's code is .* here it is 0123456789ab"):
            _toxicity(engine, plan)


def test_workers_that_die_while_they_load_end_the_run(cluster: Any, tmp_path: Path) -> None:
    plan = _plan(_dies, tmp_path)
    with RayWorkers(1, _words)(plan, plan.models[0], None) as engine:
        assert isinstance(engine, RayEngine)
        with pytest.raises(GeneratorError, match=r"3 workers in a row died while they loaded scripted"):
            _toxicity(engine, plan)


def test_model_that_cannot_be_sent_is_refused(cluster: Any, tmp_path: Path) -> None:
    plan = _plan(partial(ScriptedModel, sys.stdout), tmp_path)  # type: ignore[arg-type]
    with RayWorkers(1, _words)(plan, plan.models[0], None) as engine:
        assert isinstance(engine, RayEngine)
        with pytest.raises(ConfigError, match="cannot be sent to another process"):
            _toxicity(engine, plan)


def test_nothing_to_make_starts_nothing(cluster: Any, tmp_path: Path) -> None:
    plan = _plan(_dies, tmp_path)
    with RayWorkers(1, _words)(plan, plan.models[0], None) as engine:
        assert isinstance(engine, RayEngine)
        assert list(engine.run("generate", _DECODING, [])) == []
        engine.require_room(_DECODING, [])
        assert engine._workers == []


def test_without_ray_the_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    plan = _plan(ScriptedModel, tmp_path)
    with pytest.raises(ConfigError, match=r"pip install 'assay\[ray\]'"):
        RayWorkers(2, _words)(plan, plan.models[0], None)
