"""The engine of this process: every sample once, and nothing loaded before it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evals.audit import Plan
from evals.engines import LocalEngine, batches, identity, local_engine, require_same
from evals.schema import Sample
from guard.errors import ConfigError
from guard.schema import Decoding
from tests.evals.small_audit import ScriptedModel, plan


def _engine(made: Plan, model: ScriptedModel, *, rows: int | None = None) -> tuple[LocalEngine, list[int]]:
    loads: list[int] = []

    def load() -> ScriptedModel:
        loads.append(1)
        return model

    return LocalEngine(load, made.policy, inputs=made.inputs, outputs=made.outputs, rows=rows), loads


@pytest.mark.parametrize("rows", [1, 5, None])
def test_every_sample_of_every_task_is_made_once_and_the_model_loaded_once(tmp_path: Path, rows: int | None) -> None:
    made = plan(folder=tmp_path)
    engine, loads = _engine(made, ScriptedModel(), rows=rows)
    for planned in made.tasks:
        task, samples = planned.task, planned.task.samples(made.seed)
        records = [record for batch in engine.run(task.mode, task.decoding or Decoding(), samples) for record in batch]
        assert sorted(record.sample.id for record in records) == sorted(sample.id for sample in samples)
        assert all((record.output is not None) == (task.mode == "generate") for record in records)
    assert loads == [1]
    assert engine.rows == (rows or 4)


def test_nothing_to_make_loads_nothing(tmp_path: Path) -> None:
    engine, loads = _engine(plan(folder=tmp_path), ScriptedModel())
    assert list(engine.run("generate", Decoding(), [])) == []
    engine.require_room(Decoding(), [])
    assert loads == []


class _Narrow(ScriptedModel):
    """A model that refuses some prompts, and says for how many it was asked."""

    asked: tuple[str, ...] = ()

    def with_decoding(self, decoding: Decoding) -> _Narrow:
        return self

    def require_room(self, prompts: dict[str, str]) -> None:
        self.asked = tuple(prompts.values())


def test_room_is_asked_of_the_model(tmp_path: Path) -> None:
    model = _Narrow()
    engine, _ = _engine(plan(folder=tmp_path), model)
    engine.require_room(Decoding(), [_sample("a", "one"), _sample("b", "two")])
    assert sorted(model.asked) == ["one", "two"]


def _sample(name: str, prompt: str) -> Sample:
    return Sample(name, "toxicity", name, prompt, "all", 1)


@pytest.mark.parametrize(("rows", "expected"), [(2, [["c", "a"], ["b", "d"]]), (9, [["c", "a", "b", "d"]])])
def test_longest_prompts_come_first(rows: int, expected: Sequence[Sequence[str]]) -> None:
    samples = [_sample("b", "xx"), _sample("c", "xxxx"), _sample("d", "x"), _sample("a", "xx")]
    assert [[sample.id for sample in batch] for batch in batches(samples, rows)] == expected


def test_engine_elsewhere_must_be_of_the_plan(tmp_path: Path) -> None:
    made = replace(plan(folder=tmp_path), settings={"device": "cpu", "MKL_CBWR": "AUTO,STRICT"})
    [audited] = made.models
    with local_engine(made, audited, None) as engine:
        assert isinstance(engine, LocalEngine)
        found = identity(engine) | {"MKL_CBWR": "AUTO,STRICT"}
    require_same(made, audited, found)
    for key in ("code", "package torch", "MKL_CBWR", "model", "input filters", "output filters"):
        with pytest.raises(ConfigError, match=f"a worker's {key} is other, here it is"):
            require_same(made, audited, {**found, key: "other"})
