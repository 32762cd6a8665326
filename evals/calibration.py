"""A table of labelled texts to a calibrated policy: read, score as the guard does, choose the threshold, write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from evals.rows import Batch, read_batches
from guard.calibrate import Calibration, calibrate
from guard.calibrated_policy import calibrated_policy, uncertified_policy, write_policy
from guard.certificate import Certificate, Method, Risk
from guard.errors import ConfigError, DataError, OutputError
from guard.judge import Judge
from guard.policy import Policy
from guard.policy_file import SHIPPED
from guard.policy_values import nearest
from guard.schema import Action, Filter, Stage

__all__ = ["CalibratedPolicy", "Columns", "Promise", "calibrate_policy", "describe", "to_json"]

_TRUE, _FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Columns:
    """Where a table has what.

    Parameters
    ----------
    text, label : str
    group : str or None
        Rows with the same value count as one observation.
    positive : str or None
        The label of a harmful text, every other being harmless. None where labels are 0 and 1, or false and true.
    """

    text: str = "text"
    label: str = "label"
    group: str | None = None
    positive: str | None = None


@dataclass(frozen=True)
class Promise:
    """What the threshold shall keep; see :func:`guard.calibrate.calibrate`.

    Parameters
    ----------
    risk : {"miss", "false_alarm"}
    level : float
    confidence : float
    method : {"clopper-pearson", "conformal-risk-control"}
    future_n : int or None
    """

    risk: Risk
    level: float
    confidence: float = 0.95
    method: Method = "clopper-pearson"
    future_n: int | None = None


@dataclass(frozen=True)
class CalibratedPolicy:
    """What came of a calibration.

    Parameters
    ----------
    stage : {"input", "output"}
    category : str
    action : Action
        What the rule does.
    calibration : Calibration
    certificate : Certificate
    n_empty : int
        Rows without a text, which were left out.
    n_repeated : int
        Texts that stand in an earlier row too, in the same words. They count, as repeats among independent draws do.
    out : pathlib.Path
        The policy that was written.
    """

    stage: Stage
    category: str
    action: Action
    calibration: Calibration
    certificate: Certificate
    n_empty: int
    n_repeated: int
    out: Path


@dataclass
class _Rows:
    """Columns of the rows that have a text."""

    texts: list[str]
    labels: list[int]
    groups: list[str] | None
    n_empty: int = 0


def calibrate_policy(
    source: Path,
    out: Path,
    *,
    stage: Stage,
    category: str,
    promise: Promise,
    filters: Sequence[Filter[str]],
    columns: Columns | None = None,
    policy: str | Path = "standard",
    action: Action = Action.BLOCK,
    batch_rows: int = 256,
    on_progress: Callable[[int], None] | None = None,
) -> CalibratedPolicy:
    """Set the threshold of one rule from labelled texts and write the policy with its certificate.

    Texts are scored as the guard scores them: canonical form and other readings, segment by segment for outputs, the
    highest score of any filter.

    Parameters
    ----------
    source : pathlib.Path
        ``.csv``, ``.csv.gz``, ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.
    out : pathlib.Path
        The TOML file to write; it may be `policy` itself.
    stage : {"input", "output"}
    category : str
        One that the filters provide.
    promise : Promise
    filters : sequence of Filter
    columns : Columns, optional
    policy : str or Path
        A shipped policy or a TOML file; all but this threshold stays as it is.
    action : Action
        What the rule does where the policy has none for the category.
    batch_rows : int
        Texts scored at a time.
    on_progress : callable, optional
        Called with the number of texts scored after each batch.

    Returns
    -------
    CalibratedPolicy

    Raises
    ------
    ConfigError
        An impossible option, policy or filter.
    DataError
        A file that cannot be read, a missing column, a label that is none, or too few texts of the class at risk.
    FilterError
        A filter failed on a text: a threshold from the others alone would promise too much.
    OutputError
        The policy cannot be written.
    """
    columns = columns or Columns()
    if out.suffix.lower() != ".toml":
        raise ConfigError(f"{out} does not end in .toml: a policy is a TOML file")
    if not out.parent.is_dir():
        raise OutputError(f"cannot write {out}: there is no folder {out.parent}")
    before = uncertified_policy(policy, stage, category)
    names = _providers(filters, category)
    rows = _read(source, columns)
    _check_enough(rows, promise, source)
    judge = Judge(Policy("calibration"), {stage: filters}, timeout_s=before.filter_timeout_s or 30.0)
    scores = list(_scores(judge, rows.texts, stage, category, batch_rows=batch_rows, on_progress=on_progress))
    found = _calibrated(scores, rows, promise, source)
    record = found.certificate(data=_digest(source), filters=names, created_by=f"assay {version('assay')}")
    name = out.stem if str(policy) in SHIPPED else None
    write_policy(calibrated_policy(policy, stage, category, record, action=action, name=name), out)
    kept = before.thresholds.get((stage, category), (0.0, action))[1]
    n_repeated = len(rows.texts) - len(set(rows.texts))
    return CalibratedPolicy(stage, category, kept, found, record, rows.n_empty, n_repeated, out)


def describe(result: CalibratedPolicy) -> list[str]:
    """Return in plain words what a calibration found and promises, a sentence a line."""
    found = result.calibration
    bad, other = ("harmful", "harmless") if found.risk == "miss" else ("harmless", "harmful")
    wrong, price = ("missed", "flagged") if found.risk == "miss" else ("flagged", "missed")
    units = f"{bad} texts" if found.unit == "text" else f"groups with {bad} texts"
    lines = [
        f"{result.stage}.{result.category}: threshold {found.threshold:.7g}, action {result.action.name.lower()}",
        f"here: {found.n_events:,} of {found.n:,} {units} {wrong}",
        _promised(found, units, wrong),
    ]
    if found.n_other:
        lines.append(
            f"price: {found.n_other_events:,} of {found.n_other:,} {other} texts {price} "
            f"({_percent(found.n_other_events / found.n_other)}); nothing is promised of this"
        )
    else:
        lines.append(f"price: unknown, since no text is labelled {other}")
    lines.append("the promise holds for texts drawn as these were, judged by the same filters, and for no others")
    if result.n_repeated and found.unit == "text":
        repeats = f"{result.n_repeated:,} texts repeat an earlier one"
        lines.append(f"{repeats}: give --group-column unless they were drawn apart from each other")
    if result.n_empty:
        lines.append(f"{result.n_empty:,} rows without a text were left out")
    return lines


def to_json(result: CalibratedPolicy) -> str:
    """Return what a calibration found as one JSON object: the certificate, the price, and the policy's path."""
    found = result.calibration
    record = {
        "stage": result.stage,
        "category": result.category,
        "action": result.action.name.lower(),
        "threshold": found.threshold,
        "certificate": result.certificate.table(),
        "upper_bound": found.upper_bound,
        "mean_bound": found.mean_bound,
        "n_other": found.n_other,
        "n_other_events": found.n_other_events,
        "n_empty": result.n_empty,
        "n_repeated": result.n_repeated,
        "policy": str(result.out),
    }
    return json.dumps(record, ensure_ascii=False)


def _promised(found: Calibration, units: str, wrong: str) -> str:
    if found.method == "conformal-risk-control":
        return f"promise: on average over calibrations, at most {_percent(found.mean_bound)} of {units} {wrong}"
    later = f", and at most {_percent(found.level)} of the next {found.future_n:,}" if found.future_n else ""
    sure, bound = _percent(found.confidence), _percent(found.upper_bound)
    return f"promise: with {sure} confidence, at most {bound} of {units} {wrong}{later}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _providers(filters: Sequence[Filter[str]], category: str) -> tuple[str, ...]:
    """Return the names of the filters whose scores the threshold will be held against."""
    names = tuple(str(one.name) for one in filters if category in one.categories)
    if not names:
        provided = sorted({name for one in filters for name in one.categories})
        raise ConfigError(
            f"no filter gives {category!r}{nearest(category, provided)}; they give: {', '.join(provided) or 'nothing'}"
        )
    return names


def _read(source: Path, columns: Columns) -> _Rows:
    rows = _Rows([], [], None if columns.group is None else [])
    seen: set[str] = set()
    for batch in read_batches(source, batch_rows=1024):
        _check_columns(batch, columns, source)
        texts = batch.texts(columns.text, source=source)
        for number, text, row in zip(range(batch.first, batch.first + len(texts)), texts, batch.rows, strict=True):
            where = f"{source}, row {number}"
            label = _word(row.get(columns.label), f"{where}: {columns.label!r}")
            seen.add(label)
            harmful = _is_harmful(label, columns, where)
            if text is None:
                rows.n_empty += 1
                continue
            rows.texts.append(text)
            rows.labels.append(harmful)
            if rows.groups is not None and columns.group is not None:
                rows.groups.append(_word(row.get(columns.group), f"{where}: {columns.group!r}"))
    if columns.positive is not None and columns.positive not in seen:
        shown = ", ".join(repr(label[:40]) for label in sorted(seen)[:_MOST_SHOWN])
        more = ", ..." if len(seen) > _MOST_SHOWN else ""
        raise DataError(f"{source}: no {columns.label!r} is {columns.positive!r}; there are {shown or 'none'}{more}")
    return rows


def _check_columns(batch: Batch, columns: Columns, source: Path) -> None:
    if batch.first != 1:
        return  # an object of JSON Lines may lack a key later on, which is then a missing value
    for name in (columns.text, columns.label, columns.group):
        if name is not None and name not in batch.columns:
            hint = nearest(name, batch.columns)
            raise DataError(f"{source} has no column {name!r}{hint}; it has {', '.join(batch.columns)}")


def _word(value: object, where: str) -> str:
    """Return a label or group as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if value is None or value != value or not str(value).strip():  # NaN is how Parquet may say nothing
        raise DataError(f"{where} is empty: every row needs one")
    return str(value).strip()


def _is_harmful(label: str, columns: Columns, where: str) -> int:
    if columns.positive is not None:
        return int(label == columns.positive)
    if label.lower() not in (*_TRUE, *_FALSE):
        raise DataError(
            f"{where}: {columns.label!r} is {label[:40]!r}, neither 0 nor 1: say which label is harmful (--positive)"
        )
    return int(label.lower() in _TRUE)


def _check_enough(rows: _Rows, promise: Promise, source: Path) -> None:
    """Refuse a table that is too small before any text is scored."""
    _calibrated([0.5] * len(rows.texts), rows, promise, source)


def _calibrated(scores: Sequence[float], rows: _Rows, promise: Promise, source: Path) -> Calibration:
    try:
        return calibrate(
            scores,
            rows.labels,
            risk=promise.risk,
            level=promise.level,
            confidence=promise.confidence,
            method=promise.method,
            future_n=promise.future_n,
            groups=rows.groups,
        )
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def _scores(
    judge: Judge,
    texts: Sequence[str],
    stage: Stage,
    category: str,
    *,
    batch_rows: int,
    on_progress: Callable[[int], None] | None,
) -> Iterator[float]:
    if batch_rows < 1:
        raise ConfigError(f"batch_rows is {batch_rows}: it must be at least 1")
    for start in range(0, len(texts), batch_rows):
        found = judge.scores(texts[start : start + batch_rows], stage)
        yield from (scores[category] for scores in found)
        if on_progress is not None:
            on_progress(start + len(found))


def _digest(source: Path) -> str:
    with source.open("rb") as handle:
        return f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"
