"""Which rows of a pool a person should label next, written with scores and reasons; and what labelled ones tell."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evals.attacking.files import write_texts
from evals.attacking.labelled import label_reader
from evals.curves import Share, exact_share
from evals.finetune_filter.rows import Counts, read_texts
from evals.rows import file_format, read_batches
from guard import assets
from guard.errors import ConfigError, DataError
from guard.filters.table import load_filter
from guard.schema import Filter, check_scores
from guard.train.classifier.parted_encoder import PartedEncoder
from guard.train.classifier.picks import Pick, Strategy, select
from guard.train.rows import hash_fraction, normal_form

__all__ = ["ControlEstimate", "NextRequest", "NextResult", "control_estimate", "next_rows"]

Floats = npt.NDArray[np.float64]
Progress = Callable[[str, int, int], None]

ADDED = ("label", "score", "uncertainty", "distance", "picked_as", "weight", "reason")
"""Columns behind the number of the row and the text, which keeps the name of its column."""

_CHUNK = 256


@dataclass(frozen=True)
class NextRequest:
    """What a user asks for.

    Parameters
    ----------
    pool : pathlib.Path
        Texts without labels.
    out : pathlib.Path
        CSV or JSON Lines to write.
    column : str
        Of the texts, in the pool, in `labelled` and in what is written.
    filter_name : str
        As in the table of filters; of an encoder filter the states that its own head reads are compared, else those
        of the shipped encoder.
    category : str or None
        None takes the filter's last: the one that was added by fine-tuning.
    n : int
    labelled : pathlib.Path or None
        Rows that have a label: they are not picked again, and rows like them are left for last.
    strategy : str
    control : float
    threshold : float
    seed : int
    device : str
    """

    pool: Path
    out: Path
    column: str = "text"
    filter_name: str = "encoder"
    category: str | None = None
    n: int = 100
    labelled: Path | None = None
    strategy: Strategy = "badge"
    control: float = 0.2
    threshold: float = 0.5
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if file_format(self.out, role="the output") == "parquet" or self.out.name.lower().endswith(".gz"):
            raise ConfigError(f"--out {self.out}: a person labels it, so the rule is .csv or .jsonl")
        if self.column in ("row", *ADDED):
            raise ConfigError(f"column {self.column!r} is one that is written beside the text: rename it in the pool")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}: the rule is strictly between 0 and 1")


@dataclass(frozen=True)
class ControlEstimate:
    """What labelled control rows tell of the filter that picked them, at one threshold.

    Parameters
    ----------
    error, missed, false_alarm : Share
        Of the control rows; of those to which the category applies; of the others.
    n_unlabelled : int
        Control rows that have no label yet.
    """

    error: Share
    missed: Share
    false_alarm: Share
    n_unlabelled: int


@dataclass(frozen=True)
class NextResult:
    """What was picked.

    Parameters
    ----------
    request : NextRequest
    filter, category : str
    n_pool : int
        Different texts without a label.
    counts : Counts
        `repeated` counts copies, within the pool and of labelled rows.
    picks : tuple of Pick
        Their places are in the pool as it was read.
    estimate : ControlEstimate or None
        Of the labelled rows, where they hold control rows.
    """

    request: NextRequest
    filter: str
    category: str
    n_pool: int
    counts: Counts
    picks: tuple[Pick, ...]
    estimate: ControlEstimate | None


def next_rows(request: NextRequest, *, progress: Progress | None = None, base: Path | None = None) -> NextResult:
    """Pick rows of a pool and write them.

    The rows come in an order that says nothing about them, so that whoever labels does not see what the filter thinks
    in the order. The same seed picks the same rows, however the pool is ordered.

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense, or more rows are asked for than there are.
    OutputError
        The file cannot be written.
    """
    tell = progress or (lambda name, done, whole: None)
    counts = Counts()
    labelled = [] if request.labelled is None else read_texts(request.labelled, request.column, Counts())
    pool = _pool(request, labelled, counts)
    if request.n > len(pool):
        raise DataError(
            f"{request.pool} has {len(pool)} different texts without a label, and {request.n} are asked for"
        )
    loaded = load_filter(request.filter_name, device=request.device)
    category = request.category or loaded.categories[-1]
    if category not in loaded.categories:
        raise ConfigError(f"the filter has no {category!r}; it has {', '.join(loaded.categories)}")
    texts = [text for _, text in pool]
    scores = _scores(loaded, loaded.categories.index(category), texts, tell)
    states = _States(request, category, texts, base, tell)
    covered = states.of([text for _, text in labelled]) if labelled and request.strategy == "k-center" else None
    picks = select(
        scores,
        states.at,
        request.n,
        strategy=request.strategy,
        control=request.control,
        threshold=request.threshold,
        covered=covered,
        seed=request.seed,
    )
    _write(request, pool, scores, picks)
    estimate = None if request.labelled is None else control_estimate(request.labelled, threshold=request.threshold)
    return NextResult(request, loaded.name, category, len(pool), counts, tuple(picks), estimate)


def _pool(request: NextRequest, labelled: Sequence[tuple[int, str]], counts: Counts) -> list[tuple[int, str]]:
    """Return the rows to pick from, each text once, in an order that the seed and the texts give."""
    known = {normal_form(text) or text for _, text in labelled}
    rows = read_texts(request.pool, request.column, counts)
    kept = [row for row in rows if (normal_form(row[1]) or row[1]) not in known]
    counts.repeated += len(rows) - len(kept)
    if not kept:
        raise DataError(f"{request.pool} has no text in column {request.column!r} without a label: give more")
    return sorted(kept, key=lambda row: (hash_fraction(row[1], salt=f"next/{request.seed}"), row[1]))


def _scores(loaded: Filter[str], column: int, texts: Sequence[str], tell: Progress) -> Floats:
    """Score the pool, some hundred texts at a time."""
    found = np.zeros(len(texts))
    for start in range(0, len(texts), _CHUNK):
        part = texts[start : start + _CHUNK]
        found[start : start + len(part)] = check_scores(loaded.score_batch(part), n_items=len(part), filter_=loaded)[
            :, column
        ]
        tell("scoring", start + len(part), len(texts))
    return found


class _States:
    """What the head of the category reads of texts, from one encoder that is loaded when it is first asked."""

    def __init__(
        self, request: NextRequest, category: str, texts: Sequence[str], base: Path | None, tell: Progress
    ) -> None:
        self._request, self._category, self._texts, self._base, self._tell = request, category, texts, base, tell
        self._encoder: PartedEncoder | None = None

    def at(self, places: Sequence[int]) -> Floats:
        """Return the states of some texts of the pool."""
        return self.of([self._texts[place] for place in places])

    def of(self, texts: Sequence[str]) -> Floats:
        """Return states, float64, shape (n, hidden)."""
        encoder = self._loaded()
        found = []
        for start in range(0, len(texts), _CHUNK):
            part = texts[start : start + _CHUNK]
            found.append(encoder.read_all(encoder.states(part))[1].double().numpy())
            self._tell("comparing", start + len(part), len(texts))
        return np.concatenate(found)

    def _loaded(self) -> PartedEncoder:
        if self._encoder is None:
            from guard.filters.encoder import SHIPPED_WEIGHTS

            kind, _, folder = self._request.filter_name.partition(":")
            weights = Path(folder) if kind == "encoder" and folder else SHIPPED_WEIGHTS
            name = self._category if kind == "encoder" else "toxicity"
            self._encoder = PartedEncoder.load(self._base or assets.path("minilm"), weights, category=name, upper=0)
        return self._encoder


def _write(request: NextRequest, pool: Sequence[tuple[int, str]], scores: Floats, picks: Sequence[Pick]) -> None:
    """Write the picks in the order of the pool, which is that of hashes."""
    rows = [_row(pool[pick.at], float(scores[pick.at]), pick, request) for pick in sorted(picks, key=lambda p: p.at)]
    if file_format(request.out, role="the output") == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = buffer.getvalue()
    write_texts(request.out.parent, {request.out.name: text})


def _row(row: tuple[int, str], score: float, pick: Pick, request: NextRequest) -> dict[str, object]:
    cells = (
        row[0],
        row[1],
        "",
        round(score, 6),
        round(pick.uncertainty, 4),
        "" if pick.distance is None else round(pick.distance, 4),
        pick.kind,
        round(pick.weight, 4),
        _reason(pick, score, request),
    )
    return dict(zip(("row", request.column, *ADDED), cells, strict=True))


def _reason(pick: Pick, score: float, request: NextRequest) -> str:
    """Say in words why a row was picked."""
    if pick.kind == "control":
        return f"drawn at random, to estimate the error rate: stands for {pick.weight:.1f} rows of the pool"
    near = f"score {score:.3f} beside the threshold {request.threshold:g}"
    if request.strategy == "k-center":
        return f"unlike every row that is labelled or picked before it ({near})"
    if request.strategy == "badge":
        return f"uncertain ({near}) and unlike the rows picked before it"
    return f"uncertain ({near})"


def control_estimate(source: Path, *, threshold: float) -> ControlEstimate | None:
    """Estimate the error rate of the filter that picked rows from those control rows that were labelled since.

    Parameters
    ----------
    source : pathlib.Path
        As :func:`next_rows` wrote it, with the labels filled in: the scores in it are those of that filter.
    threshold : float

    Returns
    -------
    ControlEstimate or None
        None where the table has no control rows.

    Raises
    ------
    DataError
        A label or a score that means nothing.
    """
    read_label = label_reader(("absent", "present"))
    counted = {True: [0, 0], False: [0, 0]}  # applies -> wrong, all
    n_unlabelled = n_control = 0
    for batch in read_batches(source, batch_rows=1024):
        for number, cells in enumerate(batch.rows, batch.first):
            if cells.get("picked_as") != "control":
                continue
            n_control += 1
            if not str(cells.get("label") or "").strip() and cells.get("label") not in (0, False):
                n_unlabelled += 1
                continue
            applies = bool(read_label(cells["label"], f"{source}, row {number}"))
            fired = _score(cells, f"{source}, row {number}") >= threshold
            counted[applies][0] += fired != applies
            counted[applies][1] += 1
    if not n_control:
        return None
    (missed, n_applies), (alarms, n_other) = counted[True], counted[False]
    return ControlEstimate(
        exact_share(missed + alarms, n_applies + n_other),
        exact_share(missed, n_applies),
        exact_share(alarms, n_other),
        n_unlabelled,
    )


def _score(cells: Mapping[str, object], where: str) -> float:
    try:
        found = float(str(cells.get("score")))
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1:
        raise DataError(f"{where}: the score {cells.get('score')!r} is no number in [0, 1]: leave it as it was written")
    return found
