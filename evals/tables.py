"""Scores of a table's texts, streamed: the rows come back with one column a category."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.row_writers import Cells, open_writer
from evals.rows import Batch, file_format, read_batches
from guard.errors import ConfigError, DataError, OutputError
from guard.schema import Filter, check_scores

__all__ = ["TableSummary", "score_table"]


@dataclass(frozen=True)
class TableSummary:
    """What became of a table.

    Parameters
    ----------
    n_rows : int
    n_unscored : int
        Rows without a text: their score cells are empty.
    categories : tuple of str
        The added columns, in order.
    """

    n_rows: int
    n_unscored: int
    categories: tuple[str, ...]


def score_table(
    source: Path,
    out: Path,
    *,
    column: str,
    filters: Sequence[Filter[str]],
    batch_rows: int = 256,
    on_progress: Callable[[int], None] | None = None,
) -> TableSummary:
    """Score one column of texts and write every row back with its scores.

    Rows keep their order and their own columns as they stand in the file: a CSV value stays the string that it is, a
    JSON object keeps its spelling, a Parquet column its type. Only `batch_rows` rows are held at a time. The output
    appears whole under its name, or not at all.

    Parameters
    ----------
    source, out : pathlib.Path
        ``.csv``, ``.csv.gz``, ``.jsonl``, ``.jsonl.gz`` or ``.parquet``, in UTF-8. They may differ in format.
    column : str
        Where the texts are.
    filters : sequence of Filter
        At least one; no two with a category in common.
    batch_rows : int
        Rows read and scored at a time.
    on_progress : callable, optional
        Called with the number of rows done after each batch.

    Returns
    -------
    TableSummary

    Raises
    ------
    DataError
        A file that cannot be read, a missing column, a bad row, or a category that is a column already.
    ConfigError
        No filter, a category that two filters have, or `batch_rows` below 1.
    FilterError
        A filter failed.
    OutputError
        The output cannot be written.
    """
    categories = _categories(filters)
    if batch_rows < 1:
        raise ConfigError(f"batch_rows is {batch_rows}: it must be at least 1")
    kind = file_format(out, role="the output")
    batches = _checked(read_batches(source, batch_rows=batch_rows), source, column, categories)
    n_rows = n_unscored = 0
    with _replacing(out) as draft:
        compressed = out.name.lower().endswith(".gz")
        with open_writer(draft, categories, kind=kind, compressed=compressed, source=source) as writer:
            for batch in batches:
                texts = batch.texts(column, source=source)
                writer.write(batch, _score(texts, filters))
                n_rows += len(texts)
                n_unscored += texts.count(None)
                if on_progress is not None:
                    on_progress(n_rows)
    return TableSummary(n_rows, n_unscored, categories)


def _categories(filters: Sequence[Filter[str]]) -> tuple[str, ...]:
    categories = tuple(category for one in filters for category in one.categories)
    if not categories:
        raise ConfigError("there is no filter to score with: name at least one")
    twice = sorted({name for name in categories if categories.count(name) > 1})
    if twice:
        raise ConfigError(f"two filters give {', '.join(twice)}: score with one of them at a time")
    return categories


def _checked(batches: Iterator[Batch], source: Path, column: str, categories: Sequence[str]) -> Iterator[Batch]:
    """Hold each batch to the columns it must and must not have."""
    for batch in batches:
        taken = [name for name in categories if name in batch.columns]
        if taken:
            raise DataError(f"{source} has a column {taken[0]!r} already, which the scores would take: rename it first")
        # An object of JSON Lines may lack the key; then its text is missing. The first batch must have it somewhere.
        if batch.first == 1 and column not in batch.columns:
            raise DataError(f"{source} has no column {column!r}; it has {', '.join(batch.columns)}")
        yield batch


def _score(texts: Sequence[str | None], filters: Sequence[Filter[str]]) -> Cells:
    """Score the texts there are; a row without one gets None in each category."""
    present = [text for text in texts if text is not None]
    parts = [check_scores(one.score_batch(present), n_items=len(present), filter_=one) for one in filters]
    scored: Iterator[list[float | None]] = iter(np.concatenate(parts, axis=1).tolist())
    width = sum(part.shape[1] for part in parts)
    return [[None] * width if text is None else next(scored) for text in texts]


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Yield a draft beside `out` that takes its place at the end, and is removed if anything fails."""
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        yield draft
        with draft.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(draft, out)
    except OSError as error:
        raise OutputError(
            f"cannot write {out} ({error.strerror or error}): check the folder and its free space"
        ) from error
    finally:
        with suppress(OSError):  # there is none after success, nor where the folder itself was at fault
            draft.unlink()
