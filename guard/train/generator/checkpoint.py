"""The state of a training run in one file: what a run that was killed needs to go on to the same weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.errors import DataError, OutputError
from guard.train.generator.examples import Example

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Progress", "RunState", "read_pool", "read_state", "write_pool", "write_state"]

_FILE = "state.safetensors"


@dataclass
class Progress:
    """Where a run is.

    Parameters
    ----------
    step : int
        Steps that are done.
    total : int
        Steps that the schedule runs over.
    best_step : int
    best_loss : float or None
        Of the validation examples; None before the first look.
    waited : int
        Looks at the validation examples since the best one.
    rate_scale : float
        Halved by every setback.
    setbacks : int
        How often a loss or a gradient was not finite.
    seconds, cpu_seconds : float
        Spent so far, by the clock and by the processor.
    attack_seconds : float
        Of `seconds`, those in which the attacks of a round were made.
    history : list of dict
        One entry a look: step, losses.
    """

    step: int = 0
    total: int = 0
    best_step: int = 0
    best_loss: float | None = None
    waited: int = 0
    rate_scale: float = 1.0
    setbacks: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    attack_seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class RunState:
    """A run at the end of a step.

    Parameters
    ----------
    progress : Progress
    tensors : mapping of str to Tensor
        Names begin with ``now.``, ``best.`` or ``adam.``.
    """

    progress: Progress
    tensors: Mapping[str, Tensor]


def write_state(folder: Path, state: RunState, *, fingerprint: str) -> None:
    """Replace the state in `folder`; a reader sees the old one or the new one.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    metadata = {"fingerprint": fingerprint, "progress": json.dumps(asdict(state.progress))}
    tensors = {name: value.contiguous() for name, value in state.tensors.items()}
    scratch = folder / f"{_FILE}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, scratch, metadata=metadata)
        os.replace(scratch, folder / _FILE)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            scratch.unlink()
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"cannot write {folder / _FILE} ({reason}): make room, or name another folder; the state before it is kept"
        ) from error


def read_state(folder: Path, *, fingerprint: str) -> RunState | None:
    """Return the state of a run that was broken off; None where there is none.

    Raises
    ------
    DataError
        It is damaged, or of another model, other data or other settings.
    """
    from safetensors import SafetensorError, safe_open

    file = folder / _FILE
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        found, progress = metadata["fingerprint"], Progress(**json.loads(metadata["progress"]))
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise DataError(f"{file} is damaged ({error}): delete it to start afresh") from error
    if found != fingerprint:
        raise DataError(f"{file} is of another model, other data or other settings: delete {folder} to start afresh")
    return RunState(progress, tensors)


def write_pool(folder: Path, round_: int, pool: Sequence[Example]) -> None:
    """Keep the examples of a round, which the model of that moment decided."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / "pool.tmp"
    scratch.write_text("\n".join(json.dumps(asdict(one)) for one in pool) + "\n", encoding="ascii")
    os.replace(scratch, folder / f"pool-{round_}.jsonl")


def read_pool(folder: Path, round_: int) -> list[Example]:
    """Return the examples of a round.

    Raises
    ------
    DataError
        They are not there, or damaged.
    """
    file = folder / f"pool-{round_}.jsonl"
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]
        return [_example(line) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is missing or damaged: delete {folder} to start afresh") from error


def _example(line: Mapping[str, Any]) -> Example:
    parts = (tuple(line[name]) for name in ("prompt", "answer", "rejected", "flagged"))
    return Example(line["kind"], *parts)
