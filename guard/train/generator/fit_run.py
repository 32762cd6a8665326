"""The moving parts of a training: weights, optimizer, best weights and progress, kept and put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import GeneratorError
from guard.train.generator.adapter import Adapted
from guard.train.generator.checkpoint import Progress, RunState, read_state, write_state
from guard.train.generator.fit_settings import FitSettings
from guard.train.generator.ranks import Ranks
from guard.train.generator.tuned import Tuned

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FitRun", "MovingParts", "losses_told"]

_LOST = ("CUDA", "cuDNN", "cuBLAS", "NCCL", "HIP error", "MPS backend", "device-side", "XPU")


class MovingParts:
    """What changes from step to step.

    Parameters
    ----------
    adapted : Adapted
    rate : float
        Peak of the learning rate.
    total : int
        Steps that are planned.
    decay : float
        Weight decay.
    fused : bool
        Whether one kernel moves all weights.
    """

    def __init__(
        self, adapted: Adapted, *, rate: float, total: int, decay: float = 0.0, fused: bool | None = None
    ) -> None:
        import torch

        self.adapted, self.progress = adapted, Progress(total=total)
        values = list(adapted.parameters.values())
        self.optimizer = torch.optim.AdamW(values, lr=rate, weight_decay=decay, fused=fused)
        self.best = self.kept()

    def kept(self) -> dict[str, Tensor]:
        """Return a copy of the weights in main memory."""
        return {name: value.detach().to("cpu", copy=True) for name, value in self.adapted.parameters.items()}

    def state(self) -> RunState:
        """Return everything that the run needs to go on; the best weights only where they are not those of now."""
        tensors = {f"now.{name}": value for name, value in self.kept().items()}
        if self.progress.best_step != self.progress.step:
            tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for name, parameter in self.adapted.parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{key}.{name}"] = value.detach().to("cpu", copy=True)
        return RunState(self.progress, tensors)

    def restore(self, state: RunState) -> None:
        """Put weights and optimizer back; the progress is left to the caller."""
        self.adapted.load(_part(state.tensors, "now."))
        self.best = _part(state.tensors, "best.") or self.kept()
        self.optimizer.state.clear()
        for key in ("step", "exp_avg", "exp_avg_sq"):
            for name, value in _part(state.tensors, f"adam.{key}.").items():
                parameter = self.adapted.parameters[name]
                self.optimizer.state[parameter][key] = value.to(parameter.device, copy=True)


class FitRun(MovingParts):
    """One fine-tuning, and where its state is kept.

    Parameters
    ----------
    tuned : Tuned
    settings : FitSettings
    total : int
        Steps that are planned.
    folder : pathlib.Path or None
        Where the state is kept; in memory where there is none.
    fingerprint : str
        Of everything that the weights depend on.
    """

    def __init__(self, tuned: Tuned, settings: FitSettings, total: int, folder: Path | None, fingerprint: str) -> None:
        super().__init__(tuned, rate=settings.rate, total=total, decay=settings.decay, fused=True)
        self.tuned, self.settings, self.folder, self.fingerprint = tuned, settings, folder, fingerprint
        self.good: RunState | None = None

    def keep(self, ranks: Ranks) -> None:
        """Take down where the run is: in the folder, or in memory where there is none."""
        if self.folder is None:
            self.good = self.state()
        elif ranks.rank == 0:
            write_state(self.folder, self.state(), fingerprint=self.fingerprint)

    def last_good(self) -> RunState:
        """Return what was taken down last."""
        state = self.good if self.folder is None else read_state(self.folder, fingerprint=self.fingerprint)
        assert state is not None
        return state


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@contextmanager
def losses_told(run: FitRun) -> Iterator[None]:
    """Say in one line that the device was lost or its memory is full; other errors are bugs and stay as they are."""
    import torch

    kept = "the last good state is kept; go on with --resume" if run.folder else "nothing was kept: name a folder"
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise GeneratorError(
            f"memory ran out in step {run.progress.step + 1}: {kept}, with fewer tokens at once (--batch-tokens) or"
            " --checkpointing"
        ) from error
    except RuntimeError as error:
        line = next((text.strip() for text in str(error).splitlines() if text.strip()), "no message")[:160]
        if "allocate" in line and "memory" in line:
            raise GeneratorError(f"memory ran out in step {run.progress.step + 1} ({line}): {kept}") from error
        accelerator = getattr(torch, "AcceleratorError", ())
        if isinstance(error, accelerator) or any(word in line for word in _LOST):
            raise GeneratorError(f"the device was lost in step {run.progress.step + 1} ({line}): {kept}") from error
        raise
