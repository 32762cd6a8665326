"""Texts to attack, from a table: which they are, what is right about them, and what is wrong with the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.datasets import Prompt, sample_prompts
from evals.rows import Batch, read_batches
from guard.attacks.schema import Example
from guard.errors import DataError
from guard.policy_values import nearest

__all__ = ["LabelledTexts", "label_reader", "read_labelled"]

_TRUE = frozenset({"1", "1.0", "true", "yes", "harmful", "unsafe", "toxic"})
_FALSE = frozenset({"0", "0.0", "false", "no", "harmless", "safe", "benign"})


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their right labels.

    Parameters
    ----------
    examples : tuple of Example
        Their ids are ``row-<number>``, rows counted from 1.
    n_empty : int
        Rows without a text, left out.
    n_repeated : int
        Rows whose text an earlier one has, left out: they would not be independent.
    """

    examples: tuple[Example, ...]
    n_empty: int
    n_repeated: int

    def only(self, label: int) -> LabelledTexts:
        """Return those of one label."""
        kept = tuple(one for one in self.examples if one.label == label)
        return LabelledTexts(kept, self.n_empty, self.n_repeated)

    def drawn(self, n: int | None, *, seed: int) -> LabelledTexts:
        """Return at most `n` of them, of each label about equally many; a function of the seed and the ids."""
        if n is None or n >= len(self.examples):
            return self
        known = {one.id: one for one in self.examples}
        drawn = sample_prompts([Prompt(one.id, one.text, str(one.label)) for one in self.examples], n, seed=seed)
        return LabelledTexts(tuple(known[prompt.id] for prompt in drawn), self.n_empty, self.n_repeated)


def read_labelled(
    source: Path, *, column: str, label_column: str | None, labels: Sequence[str], positive: str | None = None
) -> LabelledTexts:
    """Read the texts of a table.

    Parameters
    ----------
    source : pathlib.Path
        CSV, JSON Lines or Parquet.
    column : str
        Where the texts are.
    label_column : str or None
        Where the labels are; None calls every text harmful, which is label 1.
    labels : sequence of str
        Of the target, in its order: a cell may name one or give its number.
    positive : str or None
        The cell that means label 1, every other meaning 0.

    Raises
    ------
    DataError
        Missing, damaged, without that column, with a label that means nothing, or without any text.
    """
    examples, seen, n_empty, n_repeated = list[Example](), set[str](), 0, 0
    meanings = _meanings(labels)
    for batch in read_batches(source, batch_rows=1024):
        _check_columns(batch, (column, label_column), source)
        texts = batch.texts(column, source=source)
        for number, text, row in zip(range(batch.first, batch.first + len(texts)), texts, batch.rows, strict=True):
            if text is None or not text.strip():
                n_empty += 1
            elif text in seen:
                n_repeated += 1
            else:
                seen.add(text)
                cell = None if label_column is None else row.get(label_column)
                label = 1 if label_column is None else _label(cell, meanings, positive, f"{source}, row {number}")
                examples.append(Example(f"row-{number:06d}", text, label))
    if not examples:
        raise DataError(f"{source} has no text in column {column!r}: give at least one")
    return LabelledTexts(tuple(examples), n_empty, n_repeated)


def label_reader(labels: Sequence[str], positive: str | None = None) -> Callable[[object, str], int]:
    """Return what reads a cell, given where it stands, as a label's number, in the way of :func:`read_labelled`."""
    meanings = _meanings(labels)
    return lambda cell, where: _label(cell, meanings, positive, where)


def _meanings(labels: Sequence[str]) -> Mapping[str, int]:
    """Return what a cell may say: the label's name or its number, and of two labels also yes and no."""
    found = {str(index): index for index in range(len(labels))}
    if len(labels) == 2:
        found |= dict.fromkeys(_TRUE, 1) | dict.fromkeys(_FALSE, 0)
    return found | {label.lower(): index for index, label in enumerate(labels)}


def _label(cell: object, meanings: Mapping[str, int], positive: str | None, where: str) -> int:
    word = (
        str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str("" if cell is None else cell).strip()
    )
    if not word:
        raise DataError(f"{where}: its label is empty: every row needs one")
    if positive is not None:
        return int(word == positive)
    if word.lower() not in meanings:
        shown = ", ".join(list(meanings)[:8])
        raise DataError(
            f"{where}: the label {word[:40]!r} is none of {shown}: say which one is harmful with --positive"
        )
    return meanings[word.lower()]


def _check_columns(batch: Batch, columns: Sequence[str | None], source: Path) -> None:
    if batch.first != 1:
        return  # an object of JSON Lines may lack a key later on, which is then a missing value
    for name in columns:
        if name is not None and name not in batch.columns:
            hint = nearest(name, batch.columns)
            raise DataError(f"{source} has no column {name!r}{hint}; it has {', '.join(batch.columns) or 'none'}")
