"""Explanations of the shipped filter against what people marked: SemEval-2021 task 5, toxic spans.

- Span F1: per text, of character offsets, as the task scores it (Pavlopoulos et al. 2021, section 4: 1 where nobody
  marked anything and nothing is found, 0 where only one side has something), and its mean. Words whose value is at
  least a share of the text's highest and at least a least value are found; both numbers are chosen for each method on
  rows of the training and trial splits, and the test split is scored once.
- ``locate`` is what a guard puts in its verdicts. ``word list`` is the shipped lexicon at the severity that is best on
  the same training rows. ``learnt list`` has every word that is marked more often than not in the other rows of the
  training split: people's own marks, which no explanation sees.
- Faithfulness: comprehensiveness and sufficiency of every method, against random orders of the same words.
- Agreement: the mean rank correlation of every two methods.

Every difference is paired by text, with the interval of a bootstrap over texts.

Run: ``python -m benchmarks.explain_spans --data toxic_spans.csv.gz [--n 400] [--n-tune 150]``
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.kept import keep
from evals.explaining.faithful import Paired, against_random, paired_bootstrap
from guard import assets
from guard.explain.faithfulness import faithfulness, in_random_order, rank_agreement
from guard.explain.filters.table import explainer
from guard.explain.schema import Attribution, Range
from guard.filters.attribution import joined
from guard.filters.encoder import EncoderFilter
from guard.filters.lexical import LexicalFilter

RESULTS = Path(__file__).parent / "results" / "explain_spans.json"
CATEGORY = "toxicity"
METHODS: Mapping[str, Mapping[str, Any]] = {
    "state-gradient": {},
    "path-gradient": {},
    "integrated-gradients": {"gap": 0.1},
    "gradient-x-input": {},
    "occlusion": {},
}
SHARES = np.arange(0.1, 1.0, 0.1)
LEAST = (0.0, 0.25, 0.5, 1.0, 2.0)
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Row:
    """A text and the offsets that people marked."""

    text: str
    marked: frozenset[int]


def rows_of(path: Path, splits: Sequence[str]) -> list[Row]:
    """Read the rows of some splits in a fixed random order."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [
            Row(row["text"], frozenset(json.loads(row["spans"])))
            for row in csv.DictReader(stream)
            if row["split"] in splits
        ]
    return [rows[at] for at in np.random.default_rng(5).permutation(len(rows))]


def f1(found: set[int], marked: frozenset[int]) -> float:
    """Score one text as the task does."""
    if not marked or not found:
        return float(not marked and not found)
    return 2 * len(found & marked) / (len(found) + len(marked))


def offsets(text: str, ranges: Sequence[Range]) -> set[int]:
    return {at for start, end in joined(text, ranges) for at in range(start, end)}


def cut(one: Attribution, share: float, least: float) -> set[int]:
    """Return the offsets of the words whose value is high enough."""
    held = [at for at, part in enumerate(one.parts) if any(char.isalnum() for char in one.text[slice(*part)])]
    top = max((one.values[at] for at in held), default=0.0)
    taken = [one.parts[at] for at in held if one.values[at] > 0 and one.values[at] >= max(share * top, least)]
    return offsets(one.text, taken)


def chosen(explanations: Sequence[Attribution], rows: Sequence[Row]) -> tuple[float, float]:
    """Return the share and the least value that are best on rows that are not tested."""

    def mean(setting: tuple[float, float]) -> float:
        found = [f1(cut(one, *setting), row.marked) for one, row in zip(explanations, rows, strict=True)]
        return float(np.mean(found))

    share, least = max(itertools.product(SHARES.tolist(), LEAST), key=mean)
    return float(share), float(least)


def learnt(rows: Sequence[Row]) -> frozenset[str]:
    """Return the words of which more occurrences are marked than not, of those that occur three times."""
    marked, seen = Counter[str](), Counter[str]()
    for row in rows:
        for word in WORD.finditer(row.text.lower()):
            seen[word[0]] += 1
            marked[word[0]] += row.marked.issuperset(range(*word.span()))
    return frozenset(word for word, n in seen.items() if n >= 3 and marked[word] > n / 2)


def by_list(rows: Sequence[Row], words: frozenset[str]) -> list[set[int]]:
    return [
        offsets(row.text, [word.span() for word in WORD.finditer(row.text.lower()) if word[0] in words]) for row in rows
    ]


def by_lexicon(rows: Sequence[Row], least: float) -> list[set[int]]:
    lexicon = LexicalFilter.from_asset(assets.path("profanity"))
    spans = [lexicon.locate(row.text) for row in rows]
    return [
        {at for span in some if span.score >= least for at in range(span.start, span.end)} for some in spans
    ]  # fmt: skip


def located(filter_: EncoderFilter, rows: Sequence[Row]) -> list[set[int]]:
    return [
        {at for span in filter_.locate(row.text) if span.category == CATEGORY for at in range(span.start, span.end)}
        for row in rows
    ]


def figure(paired: Paired) -> dict[str, Any]:
    interval = None if paired.interval is None else [round(end, 4) for end in paired.interval]
    return {"value": round(paired.value, 4), "interval": interval, "n": paired.n, "unscored": paired.n_unscored}


def timed(name: str, call: Callable[[], Any]) -> Any:
    before = time.process_time()
    found = call()
    print(f"{name}: {time.process_time() - before:.1f} s", flush=True)
    return found


def measured(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads)
    filter_ = EncoderFilter.load(device="cpu", dtype="float32")
    training, test = rows_of(options.data, ("train", "trial")), rows_of(options.data, ("test",))[: options.n]
    tuning, rest = training[: options.n_tune], training[options.n_tune :]
    settings, explained, found = {}, dict[str, list[Attribution]](), dict[str, list[set[int]]]()
    for name, setting in METHODS.items():
        explain = explainer(filter_, name, **setting).explain
        tuned = timed(f"{name}, tuning", lambda explain=explain: explain([row.text for row in tuning], CATEGORY))
        settings[name] = chosen(tuned, tuning)
        explained[name] = timed(name, lambda explain=explain: explain([row.text for row in test], CATEGORY))
        found[name] = [cut(one, *settings[name]) for one in explained[name]]
    found["locate"] = timed("locate", lambda: located(filter_, test))
    levels = {
        least: np.mean([f1(a, row.marked) for a, row in zip(by_lexicon(tuning, least), tuning, strict=True)])
        for least in (0.1, 0.3, 0.5, 0.7)
    }
    found["word list"] = by_lexicon(test, max(levels, key=levels.__getitem__))
    found["learnt list"] = by_list(test, learnt(rest))
    scores = {name: [f1(one, row.marked) for one, row in zip(some, test, strict=True)] for name, some in found.items()}
    return {
        "filter": filter_.name,
        "n": len(test),
        "texts in which nobody marked anything": sum(not row.marked for row in test),
        "n tuning": len(tuning),
        "share and least value, chosen on training and trial rows": settings,
        "span F1": {name: figure(paired_bootstrap(some, [0.0] * len(some))) for name, some in scores.items()},
        "span F1 less that of occlusion": _less(scores, "occlusion"),
        "span F1 less that of the word list": _less(scores, "word list"),
        "span F1 less that of the learnt list": _less(scores, "learnt list"),
        **trusted(filter_, explained),
    }


def _less(scores: Mapping[str, list[float]], other: str) -> dict[str, Any]:
    return {name: figure(paired_bootstrap(some, scores[other])) for name, some in scores.items() if name != other}


def trusted(filter_: EncoderFilter, explained: Mapping[str, list[Attribution]]) -> dict[str, Any]:
    """Measure faithfulness against random orders, and agreement."""
    any_ = next(iter(explained.values()))
    random = timed("random order", lambda: faithfulness(filter_, in_random_order(any_, seed=1)))
    against, means = {}, {}
    for name, some in explained.items():
        measures = timed(f"{name}, faithfulness", lambda some=some: faithfulness(filter_, some))
        against[name] = {key: figure(value) for key, value in against_random(measures, random).items()}
        known = [one for one in measures if one is not None]
        means[name] = {
            "comprehensiveness": round(float(np.mean([one.aopc_comprehensiveness for one in known])), 4),
            "sufficiency": round(float(np.mean([one.aopc_sufficiency for one in known])), 4),
        }
    agreement = {}
    for first, second in itertools.combinations(explained, 2):
        ranks = rank_agreement(explained[first], explained[second])
        agreement[f"{first} and {second}"] = figure(paired_bootstrap(ranks, [0.0] * len(ranks)))
    return {"faithfulness": means, "faithfulness less that of random order": against, "rank agreement": agreement}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="toxic_spans.csv.gz")
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--n-tune", type=int, default=150)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="keep no figures")
    options = parser.parse_args()
    report = measured(options)
    for key, value in report.items():
        print(f"{key}: {value}")
    if not options.dry_run:
        keep(report, RESULTS)


if __name__ == "__main__":
    main()
