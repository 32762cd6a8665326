"""What a fine-tuning came to, as a record that names everything it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from evals.finetuning.checking import Checked
from evals.finetuning.encoded import EncodedRows
from evals.finetuning.figures import Perplexities
from evals.finetuning.request import FinetuneRequest
from evals.finetuning.samples import Sample
from evals.provenance import code_digest, numerics, package_versions
from guard import assets
from guard.generators.source import ModelSource
from guard.train.generator.checkpoint import Progress
from guard.train.generator.token_rows import rows_digest

__all__ = ["FinetuneResult", "base_of", "record_of", "to_dict"]


@dataclass(frozen=True)
class FinetuneResult:
    """A fine-tuning that ended.

    Parameters
    ----------
    request : FinetuneRequest
    source : ModelSource
        The original.
    checked : Checked
    encoded : dict of str to EncodedRows
        ``train``, ``validation`` and ``held_out``.
    perplexity : Perplexities
    progress : Progress
    n_trained : int
        Weights that were trained.
    samples : tuple of Sample
    spent : dict of str to float
        Seconds by part.
    describe : dict
        Of other objectives.
    """

    request: FinetuneRequest
    source: ModelSource
    checked: Checked
    encoded: Mapping[str, EncodedRows]
    perplexity: Perplexities
    progress: Progress
    n_trained: int
    samples: tuple[Sample, ...]
    spent: Mapping[str, float]
    describe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The original's name, or that there is none."""
        return "from scratch" if self.request.scratch is not None else self.request.model

    @property
    def title(self) -> str:
        """What the card and the report are called."""
        return "Trained from scratch" if self.request.scratch is not None else f"{Path(self.name).name}, fine-tuned"


def to_dict(result: FinetuneResult) -> dict[str, Any]:
    """Return the figures as JSON values."""
    found = result.perplexity
    return {
        "out": str(result.request.out),
        "outcome": found.outcome.name.lower(),
        "sentence": found.sentence,
        "perplexity": asdict(found),
        "steps": result.progress.step,
        "best_step": result.progress.best_step,
        "validation_loss": result.progress.best_loss,
        "setbacks": result.progress.setbacks,
        "trained_weights": result.n_trained,
        "rows": {name: len(one.rows) for name, one in result.encoded.items()},
        "seconds": {name: round(value, 1) for name, value in result.spent.items()},
    }


def record_of(result: FinetuneResult, *, data: Mapping[str, str]) -> dict[str, Any]:
    """Return everything that is needed to run it again, and what came of it; JSON values only.

    Parameters
    ----------
    result : FinetuneResult
    data : mapping of str to str
        SHA-256 of each file.
    """
    settings = plain({key: value for key, value in vars(result.request).items() if key != "options"})
    return {
        "base_model": base_of(result),
        "settings": settings,
        "objective": plain(result.describe) or {"language": 1.0},
        "data": {
            "files": dict(data),
            "rows": {name: rows_digest(one.rows) for name, one in result.encoded.items()},
            "check": [asdict(line) for line in result.checked.lines],
            "personal_data": result.checked.kinds,
            "cut": {name: one.n_cut for name, one in result.encoded.items()},
            "split": {name: one.n_split for name, one in result.encoded.items()},
            "nothing_to_learn": {name: one.n_empty for name, one in result.encoded.items()},
        },
        "result": {**to_dict(result), "history": result.progress.history},
        "provenance": {"code": code_digest(), "packages": package_versions(), "numerics": numerics()},
    }


def base_of(result: FinetuneResult) -> dict[str, str]:
    """Return name, digest and licence of the original."""
    licences = {one.name: one.licence for one in assets.catalogue()}
    licence = (
        "none: random weights" if result.request.scratch else licences.get(result.request.model, "see the original")
    )
    return {"name": result.name, "digest": result.source.digest, "licence": licence}


def plain(value: Any) -> Any:
    """Return settings as JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
