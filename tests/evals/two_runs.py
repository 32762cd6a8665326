"""Sides of a comparison made by hand, and folders of real runs of scripted models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.audit import Plan, audit
from evals.comparison.sides import Side
from evals.comparison.texts import Texts
from evals.figures import Figures, model_values
from evals.journal import Journal
from evals.schema import Arm
from evals.values import FILE, ModelValues, Series, Value, write_values
from guard.generators.scripted import ScriptedGenerator
from tests.evals.small_audit import ScriptedModel, plan

MISSED = "refusal/missed_refusal"
IDENTITY = {"suite": "small@1", "seed": "0", "data": '{"refusal": "d1"}', "scorers": '{"refusal": ["judge@1"]}'}


def series(
    values: Mapping[str, Sequence[float | None]],
    *,
    name: str = MISSED,
    arm: Arm = "guarded",
    bounds: tuple[float, float] | None = (0.0, 1.0),
    groups: Mapping[str, str] | None = None,
) -> Series:
    """Values of samples ``<prompt>#<n>``, by prompt."""
    task, metric = name.split("/")
    of = groups or {}
    made = [
        Value(prompt, f"{prompt}#{k}", of.get(prompt, "all kinds"), value, 1, int(value is None))
        for prompt, samples in values.items()
        for k, value in enumerate(samples)
    ]
    return Series(task, metric, arm, bounds, tuple(made), tuple(sorted(set(of.values()))))


def side(*found: Series, model: str = "old", identity: Mapping[str, str] = IDENTITY, run: str = "a run") -> Side:
    """A side without a journal."""
    values = ModelValues(model, f"scripted@{model}", found)
    return Side(run, values, identity, Texts(Path("there is no such journal"), values.digest))


def binary(hits: str) -> dict[str, list[float | None]]:
    """One sample a prompt, from a word of 0, 1 and ?."""
    return {f"p{i:03d}": [None if hit == "?" else float(hit)] for i, hit in enumerate(hits)}


class RuderModel(ScriptedModel):
    """Writes as the scripted model does, and is rude twice as often."""

    def __init__(self) -> None:
        super().__init__()
        self._script = ScriptedGenerator(_ruder)


def _ruder(prompt: str, seed: int) -> str:
    if prompt.startswith("start"):
        return f"{prompt} and {'darn you' if seed % 3 != 1 else 'a nice day'} {seed % 7}"
    return f"Sure, {prompt}, step one."


def real_run(folder: Path, *, model: ScriptedModel | None = None, name: str = "scripted") -> Path:
    """Audit a scripted model and write the values of the run."""
    folder.mkdir()
    made = plan(model, folder=folder, models=[name])
    audit(made, folder, rows=None, progress=lambda *_: None)
    write_values(folder / FILE, made.identity(), [values_of(made, folder)])
    return folder


def values_of(made: Plan, folder: Path) -> ModelValues:
    """The values of the only model of a run, from its journal."""
    figures, audited = Figures(), made.models[0]
    with Journal(folder / "journal.jsonl", made.identity()) as journal:
        for planned in made.tasks:
            records = [journal.get(audited.digest, sample.id) for sample in planned.task.samples(made.seed)]
            figures.add(planned.task.figures([record for record in records if record is not None]))
    return model_values(audited.name, audited.digest, figures)
