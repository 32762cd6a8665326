"""``assay harden filter`` from end to end: rows, hooks, training, false alarms held level, figures, verdict, files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from torch import Tensor

from evals.attacking.labelled import read_labelled
from evals.harden_filter.figures import Change
from evals.harden_filter.measure import Test, measure
from evals.harden_filter.request import HardenRequest, weights_folder
from evals.harden_filter.rows import Parts, read_parts
from evals.harden_filter.verdict import Ruling, judge, overall
from evals.schema import Outcome
from guard import assets
from guard.attacks.recipes import recipe
from guard.attacks.schema import Example
from guard.errors import ConfigError, OutputError
from guard.filters.encoder import EncoderFilter
from guard.harden.alarms import level_alarms
from guard.harden.charged import slip_settings
from guard.harden.encoder_model import HardenableEncoder
from guard.harden.filter_training import Hardened, HardenSettings, LabelledText, harden
from guard.harden.hooks import known_moves, make_hooks
from guard.harden.validation import Validation
from guard.policy import Policy
from guard.train.encoder import write_weights
from guard.train.rows import hash_fraction

__all__ = ["HardenResult", "harden_filter", "lookalikes"]

Progress = Callable[[str, int, int], None]
"""Gets what is going on, what is done of it, and the whole."""


@dataclass(frozen=True)
class HardenResult:
    """What came of a hardening.

    Parameters
    ----------
    request : HardenRequest
    before, after : str
        Names of the filters.
    threshold : float
    n_rows : dict of str to int
        Rows to train on, to choose by, to measure on and to attack.
    training : Hardened or None
        None where nothing was trained.
    shift : float
        What was added to the category's bias, so that no more harmless validation rows fire than before.
    changes : tuple of Change
    rulings : tuple of Ruling
    outcome : Outcome
    """

    request: HardenRequest
    before: str
    after: str
    threshold: float
    n_rows: dict[str, int]
    training: Hardened | None
    shift: float
    changes: tuple[Change, ...]
    rulings: tuple[Ruling, ...]
    outcome: Outcome


def lookalikes() -> list[str]:
    """Return the shipped benign texts that look harmful."""
    table = resources.files("evals").joinpath("data/benign_lookalikes.csv").read_text(encoding="utf-8")
    return [row["text"] for row in csv.DictReader(io.StringIO(table, newline=""))]


def harden_filter(
    request: HardenRequest, *, progress: Progress | None = None, base: Path | None = None
) -> HardenResult:
    """Harden a filter, measure what that changed, and write the folder.

    Parameters
    ----------
    request : HardenRequest
    progress : callable, optional
    base : Path, optional
        Folder of the frozen encoder; default: the asset ``minilm``.

    Returns
    -------
    HardenResult

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
    threshold, source = request.limit(), weights_folder(request.filter_name)
    parts = read_parts(request.table, seed=request.seed)
    attacks = {name: recipe(name, threshold=threshold) for name in request.attacks}
    _require_empty(request.out)
    encoder = base or assets.path("minilm")
    before = EncoderFilter.load(base=encoder, weights=source, device=request.device)
    if request.category not in before.categories:
        raise ConfigError(f"the filter has no {request.category!r}; it has {', '.join(before.categories)}")
    slips = {"slips": slip_settings(before, request.category)} if request.slips else {}
    training = _trained(request, parts, threshold, source, encoder, slips, tell)
    after, shift = level_alarms(
        before, request.out, [one.text for one in parts.validation if one.label == 0],
        category=request.category, threshold=threshold, base=encoder, device=request.device,
    )  # fmt: skip
    attacked = _drawn(parts.test, request)
    test = Test(
        category=request.category,
        threshold=threshold,
        clean=parts.test,
        benign=lookalikes(),
        attacked=attacked,
        attacks=attacks,
        known=known_moves(request.hooks),
        others=_others(request, before.categories),
        fall=request.limits.fall,
        seed=request.seed,
    )
    changes = measure(before, after, test, progress=tell)
    rulings = judge(changes, request.limits)
    n_rows = {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}
    return HardenResult(
        request, before.name, after.name, threshold, n_rows | {"attacked": len(attacked)}, training, shift,
        tuple(changes), rulings, overall(rulings),
    )  # fmt: skip


def _trained(
    request: HardenRequest,
    parts: Parts,
    threshold: float,
    source: Path,
    base: Path,
    slips: Mapping[str, object],
    tell: Progress,
) -> Hardened | None:
    """Train with the hooks, and write the folder with what came of it."""
    model = HardenableEncoder.load(base=base, weights=source)
    column = model.categories.index(request.category)
    rows = [_row(one, column, len(model.categories)) for one in parts.train]
    checks = parts.validation
    validation = Validation(
        [one.text for one in checks],
        [one.label == 1 for one in checks],
        column=column,
        threshold=threshold,
        seed=request.seed,
    )
    config = {**model.config, **slips}

    def write(tensors: Mapping[str, Tensor], record: Mapping[str, object]) -> None:
        half = {name: value.half().contiguous() for name, value in tensors.items()}
        write_weights(half, {**config, **record}, request.out)

    write(model.tensors(), {})
    if not request.hooks:
        return None
    done = harden(
        model,
        rows,
        validation=validation,
        hooks=make_hooks(request.hooks, seed=request.seed, column=column, unlabelled=_unlabelled(request)),
        settings=HardenSettings(seed=request.seed, epochs=request.epochs, minutes=request.minutes),
        checkpoint=lambda tensors: write(tensors, {}),
        on_progress=lambda step, whole: tell("training", step, whole),
    )
    hardening = {"hooks": list(request.hooks), "seed": request.seed, "rows": len(rows), **done.record()}
    earlier = config.get("hardening")
    write(model.tensors(), {"hardening": [*(earlier if isinstance(earlier, list) else []), hardening]})
    return done


def _row(one: Example, column: int, width: int) -> LabelledText:
    """Return a row with the label of one category and none of the others."""
    labels = [-1.0] * width
    labels[column] = float(one.label)
    return LabelledText(one.id, one.text, tuple(labels))


def _others(request: HardenRequest, categories: Sequence[str]) -> dict[str, float]:
    """Return the thresholds of the policy's rules on the filter's other categories."""
    rules = Policy.load(request.policy).thresholds
    return {
        name: float(rule[0])
        for (stage, name), rule in rules.items()
        if stage == request.stage and name in categories and name != request.category
    }


def _drawn(test: Sequence[Example], request: HardenRequest) -> list[Example]:
    """Return the harmful texts to attack: those of the smallest hashes."""
    harmful = [one for one in test if one.label == 1]
    return sorted(harmful, key=lambda one: hash_fraction(one.text, salt=f"attacked/{request.seed}"))[: request.attacked]


def _unlabelled(request: HardenRequest) -> list[str]:
    """Read the texts without labels, if there are any."""
    if request.unlabelled is None:
        return []
    read = read_labelled(request.unlabelled, column=request.table.column, label_column=None, labels=("0", "1"))
    return [one.text for one in read.examples]


def _require_empty(folder: Path) -> None:
    """Refuse to write over something."""
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"--out {folder} is not empty: name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror or error}; name another folder with --out") from error
