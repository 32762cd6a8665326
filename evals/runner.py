"""Runs the samples of a task on an engine, batch by batch, into the journal, doing nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evals.blocks import prompt_blocks
from evals.engines import Engine
from evals.journal import Journal
from evals.schema import Record
from evals.tasks.task import Task
from guard.errors import GeneratorError
from guard.schema import Decoding

__all__ = ["Progress", "Watch", "run_task"]

Progress = Callable[[str, int, int], None]
"""Told the task, the samples done and the samples in all."""

Watch = Callable[[Sequence[Record]], bool]
"""Shown the records of a block; whether enough is known."""


def run_task(
    task: Task,
    engine: Engine,
    *,
    model: str,
    seed: int,
    journal: Journal,
    progress: Progress,
    decided: Watch | None = None,
) -> list[Record]:
    """Return a record for every sample of the task, making those that the journal lacks.

    Parameters
    ----------
    task : Task
    engine : Engine
        Makes the records.
    model : str
        Under which name the journal keeps the records.
    seed : int
    journal : Journal
    progress : callable
    decided : callable, optional
        Shown the records of each block of :func:`evals.blocks.prompt_blocks`; where it says that enough is known, the
        remaining samples are not made, and the records are those of the blocks that it saw.

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
    known = {sample.id: journal.get(model, sample.id) for sample in samples}
    lacking = {name for name, record in known.items() if record is None or record.is_missing}
    decoding = task.decoding or Decoding()
    if task.mode == "generate":
        engine.require_room(decoding, [sample for sample in samples if sample.id in lacking])
    blocks = [samples] if decided is None else prompt_blocks(samples, seed=seed)
    records: list[Record] = []
    progress(task.name, 0, len(samples))
    for block in blocks:
        waiting = [sample for sample in block if sample.id in lacking]
        for batch in engine.run(task.mode, decoding, waiting):
            journal.append(model, batch)
            lacking -= {record.sample.id for record in batch}
            here = sum(sample.id not in lacking for sample in block)
            progress(task.name, len(records) + here, len(samples))
        found = [journal.get(model, sample.id) for sample in block]
        made = [record for record in found if record is not None]
        if len(made) < len(block):
            raise GeneratorError(f"task {task.name}: the journal lacks samples that were just made")
        records += made
        progress(task.name, len(records), len(samples))
        if decided is not None and decided(made):
            break
    return records
