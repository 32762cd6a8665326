"""A table of labelled texts in three parts that share no text: to train on, to choose by, and to measure on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evals.attacking.labelled import read_labelled
from guard.attacks.schema import Example
from guard.errors import DataError
from guard.train.rows import hash_fraction

__all__ = ["Parts", "Table", "read_parts"]

_VALIDATION, _TEST = 0.15, 0.25
_LEAST = 20


@dataclass(frozen=True)
class Table:
    """Where the labelled texts are.

    Parameters
    ----------
    source : pathlib.Path
        CSV, JSON Lines or Parquet.
    column, label_column : str
    positive : str or None
        The label of a harmful text, where labels are not 0 and 1.
    """

    source: Path
    column: str = "text"
    label_column: str = "label"
    positive: str | None = None


@dataclass(frozen=True)
class Parts:
    """The rows, apart.

    Parameters
    ----------
    train, validation, test : tuple of Example
        Label 1 is harmful.
    n_empty, n_repeated : int
        Rows without a text, and rows whose text an earlier one has; both are left out.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    n_empty: int
    n_repeated: int


def read_parts(table: Table, *, seed: int) -> Parts:
    """Read a table and part it: a text's part depends on its words and the seed alone.

    Texts that differ only in case, spacing and punctuation fall in one part.

    Parameters
    ----------
    table : Table
    seed : int

    Raises
    ------
    DataError
        Missing, damaged, a label that means nothing, or fewer than 20 texts of a class in a part.
    """
    read = read_labelled(
        table.source,
        column=table.column,
        label_column=table.label_column,
        labels=("harmless", "harmful"),
        positive=table.positive,
    )
    parts: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    for one in read.examples:
        fraction = hash_fraction(one.text, salt=f"harden/{seed}")
        name = "test" if fraction < _TEST else "validation" if fraction < _TEST + _VALIDATION else "train"
        parts[name].append(one)
    for name, rows in parts.items():
        for label, word in ((1, "harmful"), (0, "harmless")):
            n = sum(one.label == label for one in rows)
            if n < _LEAST:
                raise DataError(
                    f"{table.source}: {n} {word} texts to {_USES[name]}, and the rule is {_LEAST}: give more rows,"
                    f" about {round(_LEAST / _VALIDATION)} of each label at least"
                )
    train, validation, test = (tuple(rows) for rows in parts.values())
    return Parts(train, validation, test, read.n_empty, read.n_repeated)


_USES = {"train": "train on", "validation": "choose by", "test": "measure on"}
