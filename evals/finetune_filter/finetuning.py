"""Fine-tuning of a filter end to end: rows, training, the folder, and figures beside what there was before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from evals.attacking.files import open_folder
from evals.curves import Share, exact_share
from evals.finetune_filter.figures import best_threshold, compared
from evals.finetune_filter.request import FinetuneRequest
from evals.finetune_filter.rows import FinetuneRows, read_rows
from evals.harden_filter.figures import Change
from guard import assets
from guard.filters.encoder import EncoderFilter
from guard.train.baseline import TfidfBaseline
from guard.train.classifier.parted_encoder import PartedEncoder
from guard.train.classifier.settings import Part
from guard.train.classifier.training import Trained, train_filter
from guard.train.encoder import write_weights
from guard.train.rows import HEADS, Row

__all__ = ["Drift", "FinetuneResult", "PseudoSummary", "finetune_filter"]

Floats = npt.NDArray[np.float64]
Progress = Callable[[str, int, int], None]
STATE = "state"
"""Folder, inside that of the run, which goes when the run is done."""


@dataclass(frozen=True)
class PseudoSummary:
    """Pseudo-labels of the last round, or of the last that was learnt from.

    Parameters
    ----------
    n_rounds, n_used : int
        Rounds, and those whose pseudo-labels were learnt from; those of the others were refused.
    accepted : Share
        Unlabelled rows, of those looked at, that got a label.
    estimated : Share
        Of validation rows that the rule accepts, those whose own label is the one given. This decides.
    estimated_harmful : Share
        The same where the label given is "applies".
    thresholds : (float, float)
        Least confidence of a label "does not apply" and of "applies".
    """

    n_rounds: int
    n_used: int
    accepted: Share
    estimated: Share
    estimated_harmful: Share
    thresholds: tuple[float, float]


@dataclass(frozen=True)
class Drift:
    """What became of a category that was not trained.

    Parameters
    ----------
    category : str
    mean_change, largest_change : float
        Of the score, on the test rows.
    n : int
    """

    category: str
    mean_change: float
    largest_change: float
    n: int


@dataclass(frozen=True)
class FinetuneResult:
    """What came of it.

    Parameters
    ----------
    request : FinetuneRequest
    name : str
        Of the filter that was written.
    rows : FinetuneRows
    trained : Trained
    changes : dict of str to list of Change
        By what came before: ``n-gram`` (trained on the same rows), and ``the head before`` where there was one.
    threshold : float
        With the highest F1 on the validation rows.
    pseudo : PseudoSummary or None
    drift : tuple of Drift
    digests : dict of str to str
        SHA-256 of each table.
    """

    request: FinetuneRequest
    name: str
    rows: FinetuneRows
    trained: Trained
    changes: dict[str, list[Change]]
    threshold: float
    pseudo: PseudoSummary | None
    drift: tuple[Drift, ...]
    digests: dict[str, str]


def finetune_filter(
    request: FinetuneRequest, *, progress: Progress | None = None, base: Path | None = None
) -> FinetuneResult:
    """Train a category of a filter, write the folder, and measure it on rows that took no part.

    Parameters
    ----------
    request : FinetuneRequest
    progress : callable, optional
    base : Path, optional
        Folder of the frozen encoder; default: the asset ``minilm``.

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense.
    FilterError
        The filter cannot be read, or training broke down at once.
    OutputError
        The folder cannot be written.
    """
    tell = progress or (lambda name, done, whole: None)
    weights, rows = request.weights(), read_rows(request)
    open_folder(request.out, resume=request.resume)
    encoder = base or assets.path("minilm")
    model = PartedEncoder.load(
        encoder,
        weights,
        category=request.category,
        upper=request.training.upper,
        seed=request.training.seed,
        bfloat16=_multiplies_bfloat16(),
    )
    train, validation = _part(rows.train), _part(rows.validation)
    trained = train_filter(
        model,
        train,
        validation,
        request.training,
        unlabelled=rows.unlabelled,
        folder=request.out / STATE,
        tell=tell,
    )
    _write(model, trained, request.out)
    after = EncoderFilter.load(base=encoder, weights=request.out, device=request.device)
    before = None if weights is None else EncoderFilter.load(base=encoder, weights=weights, device=request.device)
    tell("measuring", 0, 0)
    changes, threshold, drift = _measured(request, rows, before, after)
    _discard_state(request.out / STATE)
    return FinetuneResult(
        request, after.name, rows, trained, changes, threshold, _pseudo(trained), drift, _digests(request)
    )  # fmt: skip


def _part(rows: Sequence[tuple[str, int]]) -> Part:
    return Part([text for text, _ in rows], [label for _, label in rows])


def _multiplies_bfloat16() -> bool:
    """Return whether this processor has instructions for it: without them it would be slower than float32."""
    return any(
        getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )  # fmt: skip


def _write(model: PartedEncoder, trained: Trained, folder: Path) -> None:
    """Write the filter, its calibration folded into the head."""
    scale = trained.calibration
    tensors = {name: value.half().contiguous() for name, value in model.tensors(**vars(scale)).items()}
    earlier = model.config.get("finetuning")
    entry = {"category": model.categories[model.column], "new": model.is_new, **trained.record()}
    config = {**model.config, "finetuning": [*(earlier if isinstance(earlier, list) else []), entry]}
    write_weights(tensors, config, folder)


def _discard_state(folder: Path) -> None:
    """Remove the checkpoint: the weights are written."""
    for file in folder.glob("*"):
        file.unlink()
    if folder.is_dir():
        folder.rmdir()


def _measured(
    request: FinetuneRequest, rows: FinetuneRows, before: EncoderFilter | None, after: EncoderFilter
) -> tuple[dict[str, list[Change]], float, tuple[Drift, ...]]:
    """Compare on the test rows; thresholds are chosen on the validation rows."""
    texts, truth = (
        [[text for text, _ in part] for part in (rows.validation, rows.test)],
        np.array([label == 1 for _, label in rows.test]),
    )
    held_truth = np.array([label == 1 for _, label in rows.validation])
    column = after.categories.index(request.category)
    ours = [after.score_batch(part)[:, column].astype(np.float64) for part in texts]
    threshold = best_threshold(ours[0], held_truth)
    yardsticks = {"n-gram": _ngram(rows, texts)}
    if before is not None and request.category in before.categories:
        old = before.categories.index(request.category)
        yardsticks["the head before"] = [before.score_batch(part)[:, old].astype(np.float64) for part in texts]
    changes = {
        name: compared(
            theirs[1],
            ours[1],
            truth,
            thresholds=(best_threshold(theirs[0], held_truth), threshold),
            seed=request.training.seed,
            name=name,
        )
        for name, theirs in yardsticks.items()
    }
    return changes, threshold, () if before is None else _drift(request, before, after, texts[1])


def _ngram(rows: FinetuneRows, texts: Sequence[Sequence[str]]) -> list[Floats]:
    """Score with n-grams and a logistic regression, trained on the same labelled rows."""
    head = HEADS[0]  # the yardstick knows these names only; which one is no matter
    baseline = TfidfBaseline([Row(text, {head: float(label)}, "own", "train") for text, label in rows.train])
    return [baseline.score_batch(part)[:, 0].astype(np.float64) for part in texts]


def _drift(
    request: FinetuneRequest, before: EncoderFilter, after: EncoderFilter, texts: Sequence[str]
) -> tuple[Drift, ...]:
    """Measure how far the scores of the other categories moved."""
    old, new = before.score_batch(texts), after.score_batch(texts)
    found = []
    for at, name in enumerate(before.categories):
        if name != request.category:
            moved = np.abs(new[:, after.categories.index(name)].astype(np.float64) - old[:, at])
            found.append(Drift(name, float(moved.mean()), float(moved.max()), len(texts)))
    return tuple(found)


def _pseudo(trained: Trained) -> PseudoSummary | None:
    """Sum up the rounds with pseudo-labels."""
    rounds = [look for look in trained.history if "pseudo.trials" in look]
    if not rounds:
        return None
    used = [look for look in rounds if look["pseudo.used"]]
    last = (used or rounds)[-1]

    def share(hits: str, trials: str) -> Share:
        return exact_share(int(last[f"pseudo.{hits}"]), int(last[f"pseudo.{trials}"]))

    return PseudoSummary(
        len(rounds),
        len(used),
        share("n_accepted", "n_judged"),
        share("hits", "trials"),
        share("hits_harmful", "trials_harmful"),
        (last["pseudo.threshold_harmless"], last["pseudo.threshold_harmful"]),
    )


def _digests(request: FinetuneRequest) -> dict[str, str]:
    named = {"labelled": request.table.source, "unlabelled": request.unlabelled}
    named |= {"validation": request.validation, "test": request.test}
    return {name: _sha256(path) for name, path in named.items() if path is not None}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
