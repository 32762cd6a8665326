"""Labelled rows in three parts that share no wording, and unlabelled ones beside them: read, checked and counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evals.attacking.labelled import label_reader
from evals.finetune_filter.request import FinetuneRequest, LabelledTable
from evals.rows import Batch, read_batches
from guard.errors import DataError
from guard.policy_values import nearest
from guard.train.near_duplicates import near_duplicate_groups
from guard.train.rows import hash_fraction, normal_form

__all__ = ["LEAST", "Counts", "FinetuneRows", "read_rows", "read_texts"]

LEAST = 8
"""Rows of a label that each part must have."""

_TEST, _VALIDATION = 0.25, 0.25


@dataclass
class Counts:
    """What was left out, and why.

    Parameters
    ----------
    empty : int
        Rows without a text.
    repeated : int
        Rows whose text, but for case, spacing and punctuation, an earlier row has with the same label.
    contradicting : int
        Rows of a text that has both labels: all of them are left out.
    leaking : int
        Rows to train on, labelled or not, whose text is also one to choose by or to measure on.
    """

    empty: int = 0
    repeated: int = 0
    contradicting: int = 0
    leaking: int = 0

    def sentence(self) -> str:
        """Say what was left out, in one line; nothing where nothing was."""
        said = [f"{n:,} {name}" for name, n in asdict(self).items() if n]
        return f"left out: {', '.join(said)}" if said else ""


@dataclass(frozen=True)
class FinetuneRows:
    """The rows, apart, each part in an order that says nothing about them.

    Parameters
    ----------
    train, validation, test : tuple of (str, int)
        Text and label.
    unlabelled : tuple of str
    counts : Counts
    """

    train: tuple[tuple[str, int], ...]
    validation: tuple[tuple[str, int], ...]
    test: tuple[tuple[str, int], ...]
    unlabelled: tuple[str, ...] = ()
    counts: Counts = field(default_factory=Counts)


def read_rows(request: FinetuneRequest) -> FinetuneRows:
    """Read and check every table of a request.

    Near-duplicates fall in one part. A table of its own for validation or test is taken whole, and rows to train on
    whose text is in it are left out.

    Raises
    ------
    DataError
        A table that is missing, damaged or empty, a label that means nothing, or fewer than 8 rows of a label in a
        part.
    """
    counts, seed = Counts(), request.training.seed
    table = request.table
    rows = _labelled(table, counts)
    held = {
        name: _labelled(LabelledTable(source, table.column, table.label_column, table.positive), counts)
        for name, source in (("test", request.test), ("validation", request.validation))
        if source is not None
    }
    if len(held) == 2:
        held["validation"] = _apart(held["validation"], held["test"], counts)
    for part in held.values():
        rows = _apart(rows, part, counts)
    shares = {name: share for name, share in (("test", _TEST), ("validation", _VALIDATION)) if name not in held}
    parts = {**_parted(rows, shares, seed), **held}
    for name in ("train", "validation", "test"):
        _require_both(parts[name], name, table.source)
        parts[name] = sorted(parts[name], key=lambda row: hash_fraction(row[0], salt=f"order/{seed}"))
    unlabelled = () if request.unlabelled is None else _unlabelled(request.unlabelled, table.column, parts, counts)
    train, validation, test = (tuple(parts[name]) for name in ("train", "validation", "test"))
    return FinetuneRows(train, validation, test, unlabelled, counts)


def _labelled(table: LabelledTable, counts: Counts) -> list[tuple[str, int]]:
    """Read a table; of copies the first is kept, of contradicting ones none."""
    read_label = label_reader(("absent", "present"), table.positive)
    found: dict[str, tuple[str, int]] = {}
    contradicting: set[str] = set()
    for batch in _batches(table.source, (table.column, table.label_column)):
        texts = batch.texts(table.column, source=table.source)
        for number, text, cells in zip(range(batch.first, batch.first + len(texts)), texts, batch.rows, strict=True):
            if text is None or not text.strip():
                counts.empty += 1
                continue
            label = read_label(cells.get(table.label_column), f"{table.source}, row {number}")
            form = normal_form(text) or text
            if form not in found:
                found[form] = (text, label)
            elif found[form][1] == label and form not in contradicting:
                counts.repeated += 1
            else:
                counts.contradicting += 1 if form in contradicting else 2
                contradicting.add(form)
    if not found:
        raise DataError(f"{table.source} has no text in column {table.column!r}: give at least {2 * LEAST} rows a part")
    return [row for form, row in found.items() if form not in contradicting]


def read_texts(source: Path, column: str, counts: Counts) -> list[tuple[int, str]]:
    """Read the texts of a table with the number of their row, each once but for case, spacing and punctuation.

    Raises
    ------
    DataError
        Missing, damaged, or without that column.
    """
    found: dict[str, tuple[int, str]] = {}
    for batch in _batches(source, (column,)):
        for number, text in enumerate(batch.texts(column, source=source), batch.first):
            if text is None or not text.strip():
                counts.empty += 1
            elif (form := normal_form(text) or text) in found:
                counts.repeated += 1
            else:
                found[form] = (number, text)
    return list(found.values())


def _batches(source: Path, columns: Sequence[str]) -> Iterable[Batch]:
    for batch in read_batches(source, batch_rows=1024):
        for name in columns if batch.first == 1 else ():
            if name not in batch.columns:
                hint = nearest(name, batch.columns)
                raise DataError(f"{source} has no column {name!r}{hint}; it has {', '.join(batch.columns) or 'none'}")
        yield batch


def _apart(rows: list[tuple[str, int]], held: Sequence[tuple[str, int]], counts: Counts) -> list[tuple[str, int]]:
    """Leave out rows whose text is among held-out ones."""
    forms = {normal_form(text) or text for text, _ in held}
    kept = [row for row in rows if (normal_form(row[0]) or row[0]) not in forms]
    counts.leaking += len(rows) - len(kept)
    return kept


def _parted(rows: Sequence[tuple[str, int]], shares: dict[str, float], seed: int) -> dict[str, list[tuple[str, int]]]:
    """Part rows by groups of near-duplicates, each label in its shares; who goes where is a matter of hashes."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for name, row in zip(near_duplicate_groups([text for text, _ in rows]), rows, strict=True):
        groups.setdefault(name, []).append(row)
    parts: dict[str, list[tuple[str, int]]] = {name: [] for name in (*shares, "train")}
    for label in (0, 1):
        own = [name for name, members in groups.items() if round(sum(r[1] for r in members) / len(members)) == label]
        total = sum(len(groups[name]) for name in own)
        quotas = {name: round(share * total) for name, share in shares.items()}
        for name in sorted(own, key=lambda one: hash_fraction(one, salt=f"finetune/{seed}")):
            size = len(groups[name])
            # A group that is larger than what is missing of a part trains: held-out rows should not be all alike.
            part = next((part for part, quota in quotas.items() if quota >= size), "train")
            if part != "train":
                quotas[part] -= size
            parts[part] += groups[name]
    return parts


def _require_both(rows: Sequence[tuple[str, int]], name: str, source: Path) -> None:
    for label, word in ((1, "where the category applies"), (0, "where it does not")):
        n = sum(row[1] == label for row in rows)
        if n < LEAST:
            raise DataError(
                f"{source}: {n} rows {word} to {_USES[name]}, and the rule is {LEAST}: give about {4 * LEAST + 8} of"
                " each label that are worded differently, or tables of their own with --validation and --test"
            )


_USES = {"train": "train on", "validation": "choose by", "test": "measure on"}


def _unlabelled(source: Path, column: str, parts: dict[str, list[tuple[str, int]]], counts: Counts) -> tuple[str, ...]:
    """Read texts without labels; those that are labelled are no news, and those held out must stay so."""
    forms = {name: {normal_form(text) or text for text, _ in rows} for name, rows in parts.items()}
    kept = []
    for _, text in read_texts(source, column, counts):
        form = normal_form(text) or text
        if form in forms["validation"] or form in forms["test"]:
            counts.leaking += 1
        elif form in forms["train"]:
            counts.repeated += 1
        else:
            kept.append(text)
    if not kept:
        raise DataError(f"{source} has no text in column {column!r} that is not labelled already: give others")
    return tuple(kept)
