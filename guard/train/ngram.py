"""Training of the n-gram filter: ``python -m guard.train.ngram --data FOLDER``."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack
from scipy.stats import binomtest

from guard.errors import DataError
from guard.filters.grams import Grams, gram_indices
from guard.filters.ngram import FEWEST_GRAMS, SHIPPED_WEIGHTS, Language, NgramFilter, prepare, windows_in
from guard.train.calibration import fit_calibration
from guard.train.measure import auroc, unseen_sets
from guard.train.mixture import read_mixture
from guard.train.ngram_rows import chinese_rows, english_rows, harmless_chinese, heldout_chinese
from guard.train.rows import HEADS, Row

__all__ = [
    "DESIGNS",
    "Design",
    "main",
    "measure_chinese",
    "measure_english",
    "traditional_table",
    "train_heads",
    "write_weights",
]

_LOG = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

_BATCH = 4096
_MOST_WINDOWS = 3
_MOST_VALIDATION = 6000


@dataclass(frozen=True)
class Design:
    """What the heads of one language read, and how they are fitted.

    Parameters
    ----------
    language : {"en", "zh"}
    categories : tuple of str
    grams : tuple of Grams
    size, stride : int
        Of the windows, in characters.
    training_size : int
        Of the windows that are learned from: longer, since a label speaks for a whole text.
    c : float
        Inverse strength of the penalty.
    iterations : int
        Of L-BFGS; stopping early is part of the regularisation.
    """

    language: Language
    categories: tuple[str, ...]
    grams: tuple[Grams, ...]
    size: int
    stride: int
    training_size: int
    c: float
    iterations: int


DESIGNS: tuple[Design, ...] = (
    Design("en", HEADS, (Grams("word", (1, 2), 17), Grams("inside", (2, 3, 4, 5), 18)), 200, 120, 320, 4.0, 40),
    Design("zh", ("toxicity",), (Grams("han", (1, 2, 3, 4), 20, (2, 3)),), 96, 64, 160, 8.0, 60),
)


def traditional_table() -> dict[int, int]:
    """Return the code points of traditional characters and of their simplified forms, by OpenCC (Apache-2.0).

    Raises
    ------
    DataError
        OpenCC is not installed.
    """
    try:
        simplified = importlib.import_module("opencc").OpenCC("t2s").convert
    except ImportError as error:
        raise DataError("the n-gram filter is trained with OpenCC's table; run: pip install opencc") from error
    table: dict[int, int] = {}
    for first, last in ((0x3400, 0xA000), (0xF900, 0xFB00), (0x20000, 0x2FA20)):
        for code in range(first, last):
            after = simplified(chr(code))
            if len(after) == 1 and after != chr(code):
                table[code] = ord(after)
    return table


def _matrix(windows: Sequence[str], grams: Grams) -> csr_matrix:
    """Return the presence of n-grams, each row scaled as the filter scales it."""
    rows, columns = [], []
    for start in range(0, len(windows), _BATCH):
        found, indices = gram_indices(windows[start : start + _BATCH], grams)
        rows.append(found + start)
        columns.append(indices)
    row, column = np.concatenate(rows), np.concatenate(columns)
    length = np.sqrt(np.maximum(np.bincount(row, minlength=len(windows)), FEWEST_GRAMS))
    values = (1 / length)[row].astype(np.float32)
    return csr_matrix((values, (row, column)), shape=(len(windows), 1 << grams.bits))


def _windows_of(
    rows: Sequence[Row], design: Design, variants: Mapping[int, int], *, training: bool
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return windows and the row of each; in training of a harmful text the first only, which is known to be so."""
    windows: list[str] = []
    owners: list[int] = []
    for owner, row in enumerate(rows):
        text = prepare(row.text, design.language, variants=variants)
        size = design.training_size if training else design.size
        cut = windows_in(text, design.language, size=size, stride=min(size, design.stride))
        if training:
            # Jailbreaks are so throughout, other harm is only known to be somewhere.
            once = max((v for k, v in row.labels.items() if k != "jailbreak"), default=0.0) > 0.5
            cut = cut[: 1 if once else _MOST_WINDOWS]
        windows += cut
        owners += [owner] * len(cut)
    return windows, np.array(owners, dtype=np.int64)


def _log_ratio(features: csr_matrix, labels: Floats) -> npt.NDArray[np.float32]:
    """Log-count ratio of each n-gram between the classes, smoothed by one."""
    present = csr_matrix((np.ones_like(features.data), features.indices, features.indptr), shape=features.shape)
    positive, negative = 1 + present.T @ labels, 1 + present.T @ (1 - labels)
    ratio: npt.NDArray[np.float32] = np.log((positive / positive.sum()) / (negative / negative.sum())).astype(
        np.float32
    )
    return ratio


def _fit(features: csr_matrix, labels: Floats, design: Design) -> tuple[Floats, float]:
    """Fit a logistic regression on features scaled by their log-count ratio; both classes weigh alike.

    Wang & Manning 2012, "Baselines and Bigrams", section 2.3. The scale is folded into the weights.
    """
    ratio = _log_ratio(features, labels)
    scaled = csr_matrix((features.data * ratio[features.indices], features.indices, features.indptr), features.shape)
    transposed = scaled.T.tocsr()
    signs = 2 * labels - 1
    weights = design.c * np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))

    def loss(parameters: Floats) -> tuple[float, Floats]:
        margins = signs * (scaled @ parameters[:-1].astype(np.float32) + parameters[-1])
        slopes = -signs * weights / (1 + np.exp(np.clip(margins, -50, 50)))
        value = float((weights * np.logaddexp(0, -margins)).sum() + 0.5 * parameters[:-1] @ parameters[:-1])
        return value, np.append(transposed @ slopes.astype(np.float32) + parameters[:-1], slopes.sum())

    start = np.zeros(features.shape[1] + 1)
    limits = {"maxiter": design.iterations, "maxcor": 5}
    best: Floats = minimize(loss, start, jac=True, method="L-BFGS-B", options=limits).x  # type: ignore[call-overload]
    return best[:-1] * ratio, float(best[-1])


def _quantised(weights: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Round columns to ``q * abs(q) * scale`` with q in int8."""
    top = np.maximum(np.abs(weights).max(axis=0), 1e-12)
    q = np.round(np.sign(weights) * np.sqrt(np.abs(weights) / top) * 127).astype(np.int8)
    return q, top / 127**2


def _labels(rows: Sequence[Row], categories: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return labels of shape (n, k); -1 where a row is unknown or unclear."""
    labels = np.array([[row.labels.get(c, -1.0) for c in categories] for row in rows], dtype=np.float32)
    return np.where(np.abs(labels - 0.5) > 0.2, labels, -1.0).reshape(-1, len(categories))


def train_heads(
    rows: Sequence[Row], validation: Sequence[Row], design: Design, *, variants: Mapping[int, int]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Fit, calibrate and quantise the heads of one language.

    Parameters
    ----------
    rows, validation : sequence of Row
    design : Design
    variants : mapping of int to int
        See :func:`guard.filters.ngram.prepare`.

    Returns
    -------
    tensors : dict of str to ndarray
        Named as :class:`guard.filters.ngram.NgramFilter` reads them.
    config : dict
        JSON values.

    Raises
    ------
    DataError
        A category has only one class.
    """
    windows, owners = _windows_of(rows, design, variants, training=True)
    features = csr_matrix(hstack([_matrix(windows, grams) for grams in design.grams], format="csr"))
    labels = _labels(rows, design.categories)[owners]
    columns, biases = [], []
    for at, category in enumerate(design.categories):
        known = np.flatnonzero(labels[:, at] >= 0)
        target = (labels[known, at] > 0.5).astype(np.float64)
        if len(set(target)) < 2:
            raise DataError(f"{design.language}: {category} needs harmful and harmless rows")
        weights, bias = _fit(features[known], target, design)
        columns.append(weights)
        biases.append(bias)
        _LOG.info("%s %s: %d windows, %d harmful", design.language, category, len(known), target.sum())
    return _calibrated(np.stack(columns, axis=1), np.array(biases), validation, design, variants)


def _calibrated(
    weights: Floats, bias: Floats, validation: Sequence[Row], design: Design, variants: Mapping[int, int]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Fold Platt scaling on validation rows into scale and bias."""
    windows, owners = _windows_of(validation, design, variants, training=False)
    logits = np.full((len(validation), len(bias)), -np.inf)
    features = hstack([_matrix(windows, grams) for grams in design.grams], format="csr")
    np.maximum.at(logits, owners, features @ weights + bias)
    read = np.isfinite(logits).all(axis=1)
    fitted = fit_calibration(logits[read].astype(np.float32), _labels(validation, design.categories)[read])
    slope = np.array([1 / temperature for temperature, _ in fitted])
    shift = np.array([shift for _, shift in fitted])
    tensors: dict[str, npt.NDArray[Any]] = {f"{design.language}.bias": bias * slope + shift}
    start = 0
    for index, grams in enumerate(design.grams):
        block, scale = _quantised(weights[start : start + (1 << grams.bits)])
        tensors[f"{design.language}.{index}.weights"] = block
        tensors[f"{design.language}.{index}.scale"] = scale * slope
        start += 1 << grams.bits
    config = {"categories": list(design.categories), "size": design.size, "stride": design.stride}
    return tensors, config | {"grams": [asdict(grams) for grams in design.grams]}


def _rate(hits: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return a share with its exact 95% interval (Clopper & Pearson 1934)."""
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="exact")
    return {"value": float(hits.mean()), "n": len(hits), "interval": [float(interval.low), float(interval.high)]}


def _fires(scores: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Return how often scores reach one half and the thresholds of the standard policy for output and input."""
    return {f"at {limit}": _rate(scores >= limit) for limit in (0.5, 0.6, 0.95)}


def _f1(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    return float(2 * (predicted & truth).sum() / max(1, predicted.sum() + truth.sum()))


def _of_both_classes(scores: npt.NDArray[np.float32], rows: Sequence[Row], category: str) -> dict[str, Any]:
    """Return AUROC, accuracy and F1 at 0.5 with 95% intervals: DeLong's, exact, bootstrap."""
    labels = _labels(rows, (category,))[:, 0]
    scores, truth = scores[labels >= 0], labels[labels >= 0] > 0.5
    fired = scores >= 0.5
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(truth), len(truth)) for _ in range(1000)]
    area = auroc(scores, truth)
    return {
        "n_harmful": area.n_positive,
        "n_harmless": area.n_negative,
        "auroc": {"value": area.value, "interval": list(area.interval)},
        "accuracy": _rate(fired == truth),
        "f1": {
            "value": _f1(fired, truth),
            "interval": [float(v) for v in np.quantile([_f1(fired[d], truth[d]) for d in draws], (0.025, 0.975))],
        },
    }


def measure_chinese(filter_: NgramFilter, data: Path) -> dict[str, Any]:
    """Measure the Chinese head at 0.5 on test splits, on harmless text, and on traditional characters.

    Returns
    -------
    dict
        JSON values; shares with their n and 95% interval.
    """
    column = filter_.categories.index("toxicity")
    rows = [*(row for row in chinese_rows(data) if row.split == "test"), *heldout_chinese()]
    scores = filter_.score_batch([row.text for row in rows])[:, column]
    figures: dict[str, Any] = {}
    for source in sorted({row.source for row in rows}):
        at = [index for index, row in enumerate(rows) if row.source == source]
        inside = [rows[index] for index in at]
        figures[source] = _of_both_classes(scores[at], inside, "toxicity")
        groups = sorted({row.group for row in inside if row.group})
        figures[source]["fires, by group"] = {
            group: _fires(np.array([scores[index] for index in at if rows[index].group == group])) for group in groups
        }
    for name, texts in harmless_chinese(data).items():
        found = filter_.score_batch(texts)[:, column]
        figures[name] = _fires(found)
    return figures | {"traditional": _in_traditional(filter_, [row.text for row in rows if row.source == "cold_zh"])}


def _in_traditional(filter_: NgramFilter, texts: Sequence[str]) -> dict[str, Any]:
    """Compare scores of texts with those of their traditional form."""
    convert = importlib.import_module("opencc").OpenCC("s2t").convert
    column = filter_.categories.index("toxicity")
    before, after = (filter_.score_batch(found)[:, column] for found in (texts, [convert(text) for text in texts]))
    return {
        "changed verdict": _rate((before >= 0.5) != (after >= 0.5)),
        "largest change": float(abs(before - after).max()),
    }


def measure_english(filter_: NgramFilter, sets: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Measure the English heads on every set and category with 20 texts of both classes."""
    figures: dict[str, Any] = {}
    for name, rows in sets.items():
        scores, labels = filter_.score_batch([row.text for row in rows]), _labels(rows, filter_.categories)
        for at, category in enumerate(filter_.categories):
            if min((labels[:, at] > 0.5).sum(), ((labels[:, at] >= 0) & (labels[:, at] < 0.5)).sum()) >= 20:
                figures.setdefault(category, {})[name] = _of_both_classes(scores[:, at], rows, category)
    return figures


def write_weights(tensors: Mapping[str, npt.NDArray[Any]], config: Mapping[str, Any], out: Path) -> None:
    """Write ``ngram.safetensors`` and ``config.json``, each in one step."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch)
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / "ngram.safetensors")
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        for name in ("ngram.safetensors", "config.json"):
            (folder / name).chmod(0o644)  # safetensors writes for the owner alone
            os.replace(folder / name, out / name)


def main(argv: Sequence[str] | None = None) -> None:
    """Train on the command line, and write the weights and their figures."""
    parser = argparse.ArgumentParser(prog="python -m guard.train.ngram", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--out", type=Path, default=SHIPPED_WEIGHTS, help="folder for the weights and their figures")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    table = traditional_table()
    mixture, chinese = read_mixture(options.data), chinese_rows(options.data)
    rows = {"en": english_rows(mixture), "zh": [row for row in chinese if row.split == "train"]}
    checks = {
        "en": [row for row in mixture if row.split == "val"],
        "zh": [row for row in chinese if row.split == "val"],
    }
    tensors: dict[str, npt.NDArray[Any]] = {"variants": np.array(sorted(table.items()), dtype=np.int32)}
    config: dict[str, Any] = {}
    started = time.process_time()
    for design in DESIGNS:
        step = max(1, len(checks[design.language]) // _MOST_VALIDATION)
        found = train_heads(rows[design.language], checks[design.language][::step], design, variants=table)
        tensors |= found[0]
        sources = sorted({row.source for row in rows[design.language]})
        counts = {source: sum(row.source == source for row in rows[design.language]) for source in sources}
        config[design.language] = found[1] | {"rows": counts, "c": design.c, "iterations": design.iterations}
    minutes = (time.process_time() - started) / 60
    write_weights(tensors, config, options.out)
    filter_ = NgramFilter.load(options.out)
    sets = {f"{name} (unseen)": found for name, found in unseen_sets(options.data).items()}
    figures = {
        "name": filter_.name,
        "training": {"cpu_minutes": round(minutes, 1)},
        "zh": measure_chinese(filter_, options.data),
        "en": measure_english(filter_, _test_sets(mixture) | sets),
    }
    scratch_file = options.out / "metrics.tmp"
    scratch_file.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(scratch_file, options.out / "metrics.json")


def _test_sets(mixture: Sequence[Row], *, cap: int = 1000) -> dict[str, list[Row]]:
    """Return the test splits by set, each capped."""
    sets: dict[str, list[Row]] = {}
    for row in mixture:
        if row.split == "test" and len(sets.setdefault(row.source, [])) < cap:
            sets[row.source].append(row)
    return sets


if __name__ == "__main__":
    main()
