"""Test sets that nothing is trained on, and the figures that a model card gives for them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from guard.train.rows import HEADS, Row
from guard.train.sources import read_records

__all__ = ["Auroc", "auroc", "benign_sets", "recall_at", "threshold_at", "unseen_sets"]

_CAP = 1500


@dataclass(frozen=True)
class Auroc:
    """Area under the ROC curve.

    Parameters
    ----------
    value : float
        Chance that a positive scores over a negative, ties counted half.
    interval : (float, float)
        95%.
    n_positive, n_negative : int
    """

    value: float
    interval: tuple[float, float]
    n_positive: int
    n_negative: int


def auroc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Auroc:
    """Compute the area under the ROC curve with DeLong's interval.

    Parameters
    ----------
    scores : array-like of float, shape (n,)
    labels : array-like of {0, 1}, shape (n,)

    Raises
    ------
    ValueError
        Fewer than two texts of a class.

    Notes
    -----
    DeLong et al. 1988, "Comparing the Areas under Two or More Correlated ROC Curves", equations 2 to 6; the interval
    is taken on the logit scale, so it stays inside [0, 1].

    Examples
    --------
    >>> auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).value
    0.75
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
    positive, negative = values[truth], values[~truth]
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        raise ValueError(f"{m} positive and {n} negative texts: the rule is at least two of each")
    ranks = rankdata(values)
    above = (ranks[truth] - rankdata(positive)) / n
    below = 1 - (ranks[~truth] - rankdata(negative)) / m
    area = float(above.mean())
    deviation = float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))
    if not 0 < area < 1:
        return Auroc(area, (area, area), m, n)
    half = float(norm.ppf(0.975)) * deviation / (area * (1 - area))
    logit = float(np.log(area / (1 - area)))
    low, high = (float(1 / (1 + np.exp(-edge))) for edge in (logit - half, logit + half))
    return Auroc(area, (low, high), m, n)


def threshold_at(negatives: npt.ArrayLike, false_alarms: float) -> float:
    """Return the lowest threshold at which at most this share of the negatives fires (score >= threshold).

    Parameters
    ----------
    negatives : array-like of float, shape (n,)
        Scores of harmless texts.
    false_alarms : float
        In [0, 1).
    """
    ordered = np.sort(np.asarray(negatives, dtype=np.float64))[::-1]
    allowed = int(np.floor(false_alarms * len(ordered)))
    return float(np.nextafter(ordered[allowed], np.inf)) if allowed < len(ordered) else 0.0


def recall_at(scores: npt.ArrayLike, labels: npt.ArrayLike, *, false_alarms: float) -> float:
    """Return the share of positives caught at the threshold that lets this share of the negatives fire."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
    return float((values[truth] >= threshold_at(values[~truth], false_alarms)).mean())


def _records(data: Path, name: str, file: str) -> list[Mapping[str, Any]]:
    """Read a set, or nothing where it is missing."""
    path = data / name / file
    return read_records(path) if path.exists() else []


def _sample(rows: list[Row]) -> list[Row]:
    """Draw at most so many rows, always the same."""
    return random.Random("unseen").sample(rows, min(_CAP, len(rows)))  # noqa: S311 - no secret


def _row(text: object, source: str, **labels: float) -> Row:
    return Row(str(text), labels, source, "test")


def _speech(data: Path) -> dict[str, list[Row]]:
    """Read the sets on toxicity and identity attacks."""
    sets = {
        "wiki_talk_toxicity": [
            _row(r["text"], "wiki_talk_toxicity", toxicity=float(r["toxic"]))
            for r in _records(data, "wiki_talk_toxicity", "wiki_talk_toxicity.csv")
        ],
        "stormfront_sentences": [
            _row(r["text"], "stormfront_sentences", **dict.fromkeys(HEADS[:2], float(r["label"] == "hate")))
            for r in _records(data, "stormfront_sentences", "stormfront_sentences.csv")
            if r["sample_split"] and r["label"] in ("hate", "noHate")
        ],
        "convabuse": [
            _row(r["text"], "convabuse", toxicity=float(r["abusive"]))
            for r in _records(data, "convabuse", "convabuse.csv")
        ],
        "dices_990": [
            _row(r["response"], "dices_990", toxicity=float(r["unsafe_majority"]))
            for r in _records(data, "dices_990", "dices_990.jsonl")
        ],
        "identity_templates": [
            _row(r["text"], "identity_templates", toxicity=float(r["label"] == "toxic"))
            for r in _records(data, "identity_templates", "identity_templates_en.csv.gz")
        ],
    }
    return {name: _sample(rows) for name, rows in sets.items()}


def _requests(data: Path) -> dict[str, list[Row]]:
    """Read the sets on prompts and refusals; those of positives only borrow harmless instructions."""
    plain = [
        _row(f"{r['prompt']}\n{r['followup']}".strip(), "benign_instructions", jailbreak=0.0, harmful_request=0.0)
        for r in _records(data, "benign_instructions", "benign_instructions.jsonl")
    ]
    injections = _records(data, "injection_corpus", "injection_corpus.jsonl")
    sets = {
        "injection_corpus": [
            _row(r["text"], "injection_corpus", jailbreak=float(r["label"] == "malicious"))
            for r in injections
            if r["lang"] == "en"
        ],
        "cse_prompt_injection": [
            _row(r["user_input"], "cse_prompt_injection", jailbreak=1.0)
            for r in _records(data, "cse_prompt_injection", "cse_prompt_injection_en.jsonl")
        ],
        "advbench": [
            _row(r["prompt"], "advbench", harmful_request=1.0, jailbreak=0.0)
            for r in _records(data, "advbench", "advbench.csv")
        ],
        "response_refusal": [
            _row(r["response"], "response_refusal", refusal=float(r["refusal"]))
            for r in _records(data, "response_refusal", "response_refusal.jsonl")
        ],
    }
    for name in ("cse_prompt_injection", "advbench"):
        sets[name] += plain if sets[name] else []
    return sets


def unseen_sets(data: Path) -> dict[str, list[Row]]:
    """Read whole sets that no training row comes from, at most 1,500 rows of each.

    Parameters
    ----------
    data : Path

    Returns
    -------
    dict of str to list of Row
        Sets that are missing below `data` are left out.
    """
    return {name: rows for name, rows in (_speech(data) | _requests(data)).items() if rows}


def benign_sets(data: Path, mixture: Sequence[Row]) -> dict[str, list[str]]:
    """Gather harmless texts on which a filter should stay silent, at most 1,500 of each kind.

    Parameters
    ----------
    data : Path
    mixture : sequence of Row
        Its test split gives the customer-service sets.

    Returns
    -------
    dict of str to list of str
    """
    sets: dict[str, list[str]] = {}
    for row in mixture:
        if row.split == "test" and row.source in (
            "clinc150",
            "banking77",
            "multidogo_customer",
            "bipia_email_contexts",
        ):
            sets.setdefault(f"{row.source}{' ' * bool(row.group)}{row.group}", []).append(row.text)
    instructions = _records(data, "benign_instructions", "benign_instructions.jsonl")
    sets["benign_instructions"] = [f"{r['prompt']}\n{r['followup']}".strip() for r in instructions]
    sets["benign_instructions answers"] = [str(r["reference"]) for r in instructions if r["reference"]]
    sets["bbq"] = [f"{r['context']} {r['question']}" for r in _records(data, "bbq", "bbq.jsonl.gz")]
    sets["winobias"] = [
        str(r["text"]).replace("[", "").replace("]", "") for r in _records(data, "winobias", "winobias.csv")
    ]
    rng = random.Random("benign")  # noqa: S311 - no secret
    return {name: rng.sample(texts, min(_CAP, len(texts))) for name, texts in sets.items() if texts}
