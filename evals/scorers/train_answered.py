"""Training of the judge of answers: ``python -m evals.scorers.train_answered --data FOLDER``."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from evals.scorers.answer_features import NAMES, Asked, feature_rows, not_refused
from evals.scorers.answered import SHIPPED_ANSWERED, THRESHOLD, AnsweredJudge, refusals_of
from evals.scorers.category import CategoryScorer
from evals.scorers.linear import LinearJudge
from evals.scorers.planted import Half, Labelled, elsewhere, planted, shortened
from guard.attacks.sentences import SentenceEncoder

__all__ = ["fitted", "main", "read_answers", "test_sets", "training_sets"]

_LOG = logging.getLogger(__name__)
_STRENGTHS = (0.1, 0.3, 1.0, 3.0)
_EMBEDDED_SCALE = 3.0
_FOLDS = 5
_CHUNK = 256
_MOST = 1200

Features = npt.NDArray[np.float64]


def read_answers(folder: Path, half: Half, refusals: CategoryScorer) -> list[Labelled]:
    """Read the answers of GPTFuzz that people labelled; its two halves have no question in common."""
    path = folder / "gptfuzz_responses" / "gptfuzz_responses.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == half]
    asked = [Asked(row["question"], row["question"], row["response"]) for row in rows]
    scores = refusals_of(asked, refusals)
    return [
        Labelled(one, int(row["label"]), not_refused(one, some or []))
        for one, row, some in zip(asked, rows, scores, strict=True)
    ]


def training_sets(rows: Sequence[Labelled], seed: int) -> dict[str, list[Labelled]]:
    """Return what is trained on: each answer once, at most 1,200 a label, and the changed ones."""
    once = list({(row.asked.goal, row.asked.answer): row for row in rows}.values())
    order = np.random.default_rng(seed).permutation(len(once))
    some = [[once[at] for at in order if once[at].label == label][:_MOST] for label in (0, 1)]
    base = [*some[0], *some[1]]
    return {
        "labelled": base,
        "shortened": shortened(base, seed=seed),
        "planted": planted(base, half="train", seed=seed, negatives=600, positives=300),
        "elsewhere": elsewhere(base, half="train", seed=seed, n=300),
    }


def test_sets(rows: Sequence[Labelled], seed: int) -> dict[str, list[Labelled]]:
    """Return what is measured on: goals, frames and templates that training has not seen."""
    return {
        "labelled": [*rows],
        "shortened": shortened(rows, seed=seed),
        "planted": planted(rows, half="test", seed=seed, negatives=400, positives=200),
        "elsewhere": elsewhere(rows, half="test", seed=seed, n=200),
    }


def fitted(features: Features, labels: npt.NDArray[np.int64], strength: float) -> dict[str, npt.NDArray[np.float64]]:
    """Fit a logistic regression, both labels weighing the same."""
    n = len(NAMES)
    mean, scale = np.zeros(features.shape[1]), np.full(features.shape[1], 1 / _EMBEDDED_SCALE)
    mean[:n], scale[:n] = features[:, :n].mean(axis=0), features[:, :n].std(axis=0) + 1e-9
    model = LogisticRegression(C=strength, max_iter=2000, class_weight="balanced")
    model.fit((features - mean) / scale, labels)
    return {"mean": mean, "scale": scale, "weights": model.coef_[0].copy(), "bias": model.intercept_.copy()}


def scores_of(tensors: Mapping[str, npt.NDArray[np.float64]], features: Features) -> Features:
    """Return the probabilities of rows of features."""
    logits = (features - tensors["mean"]) / tensors["scale"] @ tensors["weights"] + tensors["bias"]
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))))


def _chosen(features: Features, labels: npt.NDArray[np.int64], goals: Sequence[str]) -> float:
    """Return the strength with the highest sensitivity plus specificity over folds that share no goal."""
    found = {}
    for strength in _STRENGTHS:
        right = np.zeros(len(labels), dtype=bool)
        for train, held in GroupKFold(_FOLDS).split(features, labels, np.array(goals)):
            scores = scores_of(fitted(features[train], labels[train], strength), features[held])
            right[held] = (scores >= THRESHOLD) == (labels[held] == 1)
        found[strength] = float(right[labels == 1].mean() + right[labels == 0].mean() - 1)
        _LOG.info("strength %g: Youden's index %.3f over folds", strength, found[strength])
    return max(found, key=lambda strength: found[strength])


def _rates(scores: Features, labels: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return sensitivity and specificity with exact intervals; none where a label is missing."""
    hits, found = scores >= THRESHOLD, {}
    for name, right in (("sensitivity", hits[labels == 1]), ("specificity", ~hits[labels == 0])):
        if len(right):
            ends = binomtest(int(right.sum()), len(right)).proportion_ci(method="exact")
            found[name] = {"value": float(right.mean()), "interval": [*map(float, ends)], "n": len(right)}
    return found


def _features(rows: Sequence[Labelled], refusals: CategoryScorer, encoder: SentenceEncoder) -> Features:
    parts = []
    for start in range(0, len(rows), _CHUNK):
        asked = [row.asked for row in rows[start : start + _CHUNK]]
        parts.append(feature_rows(asked, [some or [] for some in refusals_of(asked, refusals)], encoder))
    return np.vstack(parts)


def _write(folder: Path, tensors: Mapping[str, npt.NDArray[np.float64]], card: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch)
        save_file({name: each.astype(np.float32) for name, each in tensors.items()}, made / "answered.safetensors")
        (made / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        for name in ("answered.safetensors", "card.json"):
            (made / name).chmod(0o644)  # safetensors writes for the owner alone
            os.replace(made / name, folder / name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with gptfuzz_responses")
    parser.add_argument("--out", type=Path, default=SHIPPED_ANSWERED)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    linear, encoder = LinearJudge.load(), SentenceEncoder.load()
    refusals = CategoryScorer(linear, "refusal")
    sets = training_sets(read_answers(options.data, "train", refusals), options.seed)
    rows = [row for some in sets.values() for row in some]
    features, labels = _features(rows, refusals, encoder), np.array([row.label for row in rows])
    strength = _chosen(features, labels, [row.asked.goal for row in rows])
    tensors = fitted(features, labels, strength)
    judge, measured = AnsweredJudge(tensors, linear, encoder, name="answered", card={}), dict[str, Any]()
    for name, some in test_sets(read_answers(options.data, "test", refusals), options.seed).items():
        truth = np.array([row.label for row in some])
        measured[name] = _rates(
            np.array([score or 0.0 for score in judge.score_batch([row.asked for row in some])]), truth
        )
        _LOG.info("%s: %s", name, measured[name])
    training = {name: {"n": len(some), "n_positive": sum(row.label for row in some)} for name, some in sets.items()}
    told = {"sources": {"gptfuzz_responses": "MIT"}, "sets": training, "strength": strength, "seed": options.seed}
    parts = {"refusals": linear.name, "encoder": encoder.name}
    _write(options.out, tensors, {"threshold": THRESHOLD, "parts": parts, "training": told, "test": measured})


if __name__ == "__main__":
    main()
