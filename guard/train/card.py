"""Measuring a trained encoder and writing its card: ``python -m guard.train.card --data FOLDER --weights FOLDER``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from guard.filters.encoder import SHIPPED_WEIGHTS, EncoderFilter
from guard.train.baseline import TfidfBaseline
from guard.train.card_text import render_card
from guard.train.compare import auroc_difference, f1_at, length_auroc, match_lengths
from guard.train.heldout import heldout_requests, heldout_speech
from guard.train.measure import auroc, benign_sets, recall_at, threshold_at, unseen_sets
from guard.train.mixture import encoder_rows, read_mixture
from guard.train.noise import garble
from guard.train.rows import HEADS, Row
from guard.train.sources import SOURCES
from guard.train.templates import own_rows

__all__ = ["main", "measure_sets"]

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

Score = Callable[[Sequence[str]], npt.NDArray[np.float32]]

_CAP = 600
_UNSEEN_CAP = 1000
_PREVIOUS = "previous"
_FEWEST = 20
_FALSE_ALARMS = 0.01
_FLOORS = {"toxicity": 0.7, "identity_attack": 0.7, "jailbreak": 0.95, "harmful_request": 0.95, "refusal": 0.5}
"""Lowest threshold to suggest: validation holds few instructions, and at a half one in five harmless ones fires."""


def _clear(rows: Sequence[Row], head: str) -> tuple[list[int], list[int]]:
    """Return the positions and binary labels of the rows that are clear about a head."""
    at = [index for index, row in enumerate(rows) if abs(row.labels.get(head, 0.5) - 0.5) > 0.2]
    return at, [int(rows[index].labels[head] > 0.5) for index in at]


def measure_sets(
    sets: Mapping[str, Sequence[Row]], scorers: Mapping[str, Score], thresholds: Mapping[str, float]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure scorers on labelled sets.

    Parameters
    ----------
    sets : mapping of str to sequence of Row
    scorers : mapping of str to callable
        Texts to scores, float32, shape (n, n_heads).
    thresholds : mapping of str to float
        For each head; ``recall_at_policy`` and ``false_alarms_at_policy`` hold for the first scorer at these.

    Returns
    -------
    dict
        ``[head][set]`` with n and, for each scorer, AUROC with its 95% interval and recall at 1% and 5% false alarms.
        A head needs 20 texts of each class in a set. Where there is a scorer "previous", ``change`` is the paired
        difference of the first scorer's AUROC to it. F1 is at the threshold.
    """
    results: dict[str, dict[str, dict[str, Any]]] = {head: {} for head in HEADS}
    for name, rows in sets.items():
        scores = {scorer: score([row.text for row in rows]) for scorer, score in scorers.items()}
        _LOG.info("measured %s (%d)", name, len(rows))
        for column, head in enumerate(HEADS):
            at, labels = _clear(rows, head)
            if min(sum(labels), len(labels) - sum(labels)) < _FEWEST:
                continue
            entry: dict[str, Any] = {"n_positive": sum(labels), "n_negative": len(labels) - sum(labels)}
            for scorer, matrix in scores.items():
                entry[scorer] = _figures(matrix[at, column], labels)
            first = next(iter(scores.values()))[at, column]
            if _PREVIOUS in scores:
                change = auroc_difference(first, scores[_PREVIOUS][at, column], labels)
                entry["change"] = {"auroc": change.value, "interval": list(change.interval)}
            fired, truth = first >= thresholds[head], np.array(labels) == 1
            entry["recall_at_policy"] = float(fired[truth].mean())
            entry["false_alarms_at_policy"] = float(fired[~truth].mean())
            entry["f1_at_policy"] = f1_at(first, labels, thresholds[head])
            results[head][name] = entry
    return results


def _figures(scores: npt.NDArray[np.float32], labels: Sequence[int]) -> dict[str, Any]:
    """Return AUROC and recall at two rates of false alarms."""
    area = auroc(scores, labels)
    return {
        "auroc": area.value,
        "interval": list(area.interval),
        "recall_at_1": recall_at(scores, labels, false_alarms=0.01),
        "recall_at_5": recall_at(scores, labels, false_alarms=0.05),
    }


def _without_previous(scorers: Mapping[str, Score]) -> dict[str, Score]:
    """Return the scorers that say something on test splits of the training sets, whose rows differ between encoders."""
    return {name: score for name, score in scorers.items() if name != _PREVIOUS}


def _capped(sets: Mapping[str, Sequence[T]], cap: int = _CAP) -> dict[str, list[T]]:
    """Draw at most so many items of each set, always the same."""
    rng = random.Random("card")  # noqa: S311 - no secret
    return {name: rng.sample(list(items), min(cap, len(items))) for name, items in sets.items()}


def _indomain(mixture: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the test splits of the training sets; sets of one class borrow the harmless requests of others."""
    sets: dict[str, list[Row]] = {}
    for row in mixture:
        if row.split == "test":
            sets.setdefault(row.source, []).append(row)
    capped = _capped(sets)
    benign = [row for name in ("clinc150", "banking77", "multidogo_customer") for row in capped.get(name, [])]
    long = [row for row in benign if row.group == "conversation"]
    mail = [row for row in capped.get("bipia_email_contexts", []) if row.group == "context"]
    partners = {
        "harmfulqa": benign[:500], "ailuminate_demo": benign[500:1000], "inthewild_jailbreaks": long + mail,
        "jailbreak_templates": long + mail,
    }  # fmt: skip
    for name, rows in partners.items():
        if name in capped:
            capped[name] = capped[name] + rows
    return capped


def _thresholds(score: Score, mixture: Sequence[Row]) -> dict[str, float]:
    """Choose for each head the threshold that 1% of harmless validation text reaches, but not below its floor."""
    rows = [row for row in mixture if row.split == "val" and row.source in _CALM]
    rng = random.Random("thresholds")  # noqa: S311 - no secret
    rows = rng.sample(rows, min(3000, len(rows)))
    rows += [row for row in own_rows(3000, hateful=[], seed=0) if row.split == "val"]
    scores = score([row.text for row in rows])
    chosen = {}
    for column, head in enumerate(HEADS):
        harmless = [index for index, row in enumerate(rows) if row.labels.get(head, 1.0) < 0.2]
        cut = threshold_at(scores[harmless, column], _FALSE_ALARMS) if harmless else 0.5
        chosen[head] = float(min(0.98, max(_FLOORS[head], np.ceil(cut * 100) / 100)))
    return chosen


_CALM = ("clinc150", "multidogo_customer", "diasafety", "sentiment_vader")


def _accuracy(
    score: Score, rows: Sequence[Row], thresholds: Mapping[str, float], head: str
) -> dict[str, dict[str, Any]]:
    """Return the share called right by group, at one half and at the suggested threshold."""
    scores = score([row.text for row in rows])[:, HEADS.index(head)]
    groups: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row.group for row in rows):
        at = [index for index, row in enumerate(rows) if row.group == name]
        truth = np.array([rows[index].labels[head] > 0.5 for index in at])
        cuts = {"at_half": 0.5, "at_policy": thresholds[head]}
        groups[name] = {"n": len(at)} | {key: float(((scores[at] >= cut) == truth).mean()) for key, cut in cuts.items()}
    return groups


def _false_alarms(score: Score, sets: Mapping[str, Sequence[str]], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Return how often each head fires on harmless sets at the suggested thresholds."""
    alarms = {}
    for name, texts in sets.items():
        fired = score(texts) >= np.array([thresholds[head] for head in HEADS], dtype=np.float32)
        alarms[name] = {"n": len(texts)} | {head: float(fired[:, column].mean()) for column, head in enumerate(HEADS)}
        _LOG.info("false alarms %s", name)
    return alarms


def _matched(
    scorers: Mapping[str, Score], sets: Mapping[str, Sequence[Row]], mixture: Sequence[Row]
) -> dict[str, dict[str, Any]]:
    """Measure jailbreak against harmless texts of the same length, beside what length alone can tell."""
    unseen = [row for name in _PROMPT_SETS for row in sets.get(name, [])]
    tests = [row for row in mixture if row.split == "test" and row.labels.get("jailbreak") == 1]
    calm = [row for row in unseen if row.labels.get("jailbreak") == 0]
    calm += [
        row for row in mixture if row.split == "test" and row.source in ("bipia_email_contexts", "sentiment_vader")
    ]
    calm += [row for row in mixture if row.split == "test" and row.group == "conversation"]
    calm = list({row.text: row for row in calm if row.text}.values())
    random.Random("matched").shuffle(calm)  # noqa: S311 - no secret
    instructions = [row for row in calm if row.source in ("benign_instructions", "injection_corpus")]
    attacks = {"injections never trained on": [row for row in unseen if row.labels.get("jailbreak") == 1]}
    results = {}
    for name, rows in {**attacks, "jailbreaks of the test splits": tests}.items():
        for pool, negatives in {"harmless instructions": instructions, "any harmless text": calm}.items():
            pairs = match_lengths([len(row.text) for row in rows], [len(row.text) for row in negatives])
            if len(pairs) >= _FEWEST:
                chosen = [rows[at] for at, _ in pairs] + [negatives[at] for _, at in pairs]
                results[f"{name}, {pool}"] = _beside_length(scorers, [row.text for row in chosen], len(pairs))
    return results


def _beside_length(scorers: Mapping[str, Score], texts: Sequence[str], n_pairs: int) -> dict[str, Any]:
    """Return AUROC of every scorer and of length; the first half of the texts is positive."""
    labels, lengths = [1] * n_pairs + [0] * n_pairs, [len(text) for text in texts]
    column = HEADS.index("jailbreak")
    entry: dict[str, Any] = {"n_pairs": n_pairs, "length": length_auroc(lengths, labels)}
    for scorer, score in scorers.items():
        values = score(texts)[:, column]
        entry[scorer] = _figures(values, labels)
        change = auroc_difference(values, lengths, labels)
        entry[scorer]["above_length"] = {"auroc": change.value, "interval": list(change.interval)}
    return entry


def _garbled(sets: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the harmless sets with every text garbled as in training."""
    rng = random.Random("garbled")  # noqa: S311 - no secret
    return {f"{name}, garbled": [garble(text, rng) for text in texts] for name, texts in sets.items()}


_PROMPT_SETS = ("injection_corpus", "cse_prompt_injection")


def _training_rows(mixture: Sequence[Row], passes: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return every distinct row that some pass trained on."""
    rows: dict[tuple[str, str], Row] = {}
    for one in passes:
        chosen = encoder_rows(mixture, seed=int(one["seed"]), n_own=int(one["n_own"]), replay=float(one["replay"]))
        rows |= {(row.source, row.text): row for row in chosen if row.split == "train"}
    return list(rows.values())


def _measure(
    weights: Path, data: Path, base: Path | None, *, baseline: bool, dtype: str, previous: Path | None = None
) -> dict[str, Any]:
    """Gather every figure of the card."""
    mixture = read_mixture(data)
    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    rows = _training_rows(mixture, config["training"])
    encoder = EncoderFilter.load(base=base, weights=weights, dtype=dtype)
    scorers: dict[str, Score] = {"encoder": encoder.score_batch}
    if previous is not None:
        scorers[_PREVIOUS] = EncoderFilter.load(base=base, weights=previous, dtype=dtype).score_batch
    if baseline:
        scorers["tfidf"] = TfidfBaseline(rows).score_batch
        _LOG.info("baseline fitted")
    thresholds = _thresholds(encoder.score_batch, mixture)
    unseen = _capped(unseen_sets(data), _UNSEEN_CAP)
    harmless = _capped(benign_sets(data, mixture))
    used = Counter(row.source for row in rows)
    licences = {source.name: source.licence for source in SOURCES}
    return {
        "filter": encoder.name,
        "dtype": encoder.dtype,
        "emoji_names": bool(config.get("emoji_names", False)),
        "training": config["training"],
        "calibration": config["calibration"],
        "data": {name: {"rows": count, "licence": licences.get(name, "own")} for name, count in sorted(used.items())},
        "thresholds": thresholds,
        "in_domain": measure_sets(_indomain(mixture), _without_previous(scorers), thresholds),
        "unseen": measure_sets(unseen, scorers, thresholds),
        "matched": _matched(scorers, unseen, mixture),
        "heldout": {
            name: {
                "toxicity": _accuracy(score, heldout_speech(), thresholds, "toxicity"),
                "harmful_request": _accuracy(score, heldout_requests(), thresholds, "harmful_request"),
            }
            for name, score in scorers.items()
        },
        "false_alarms": _false_alarms(encoder.score_batch, harmless | _garbled(harmless), thresholds),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure on the command line and write ``metrics.json`` and ``MODEL_CARD.md`` beside the weights."""
    parser = argparse.ArgumentParser(prog="python -m guard.train.card", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="folder of the trained encoder")
    parser.add_argument("--base", type=Path, help="folder of the frozen model (default: the asset minilm)")
    parser.add_argument("--no-baseline", action="store_true", help="leave out TF-IDF, for a quick look")
    parser.add_argument("--dtype", default="auto", help="of the forward pass")
    parser.add_argument("--previous", type=Path, help="folder of an earlier encoder to compare with, pair by pair")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    metrics = _measure(
        options.weights, options.data, options.base, baseline=not options.no_baseline, dtype=options.dtype,
        previous=options.previous,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir=options.weights) as scratch:
        (Path(scratch) / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        (Path(scratch) / "MODEL_CARD.md").write_text(render_card(metrics), encoding="utf-8")
        for name in ("metrics.json", "MODEL_CARD.md"):
            os.replace(Path(scratch) / name, options.weights / name)


if __name__ == "__main__":
    main()
