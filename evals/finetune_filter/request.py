"""What a user asks of ``assay finetune filter``, and what is wrong with it, told before anything is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from guard.errors import ConfigError
from guard.train.classifier.settings import FilterTraining

__all__ = ["FinetuneRequest", "LabelledTable", "check_category"]

_CATEGORY = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class LabelledTable:
    """Where labelled texts are.

    Parameters
    ----------
    source : pathlib.Path
        CSV, JSON Lines or Parquet.
    column, label_column : str
    positive : str or None
        The label that says that the category applies, where labels are not 0 and 1.
    """

    source: Path
    column: str = "text"
    label_column: str = "label"
    positive: str | None = None


@dataclass(frozen=True)
class FinetuneRequest:
    """What a user asks for.

    Parameters
    ----------
    table : LabelledTable
    out : pathlib.Path
        Folder to write.
    category : str
        One of the filter's, whose head is trained on, or a new one.
    filter_name : str
        ``encoder``, ``encoder:FOLDER``, or ``fresh``: the frozen encoder without updates and with this head alone.
    unlabelled : pathlib.Path or None
        More texts in the same column.
    validation, test : pathlib.Path or None
        Tables of the same columns; by default a part of `table`.
    training : FilterTraining
    resume : bool
        Whether to go on with what is in `out`.
    device : str
        That the filter is measured on; it is trained on the CPU.
    """

    table: LabelledTable
    out: Path
    category: str = "custom"
    filter_name: str = "encoder"
    unlabelled: Path | None = None
    validation: Path | None = None
    test: Path | None = None
    training: FilterTraining = field(default_factory=FilterTraining)
    resume: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        check_category(self.category)

    def weights(self) -> Path | None:
        """Return the folder of the filter to start from; None for a fresh one.

        Raises
        ------
        ConfigError
            Another kind of filter, or no such folder.
        """
        from evals.harden_filter.request import weights_folder

        return None if self.filter_name == "fresh" else weights_folder(self.filter_name)


def check_category(name: str) -> None:
    """Refuse a name that a policy could not hold."""
    if not _CATEGORY.fullmatch(name):
        raise ConfigError(f"category {name[:60]!r}: the rule is 1 to 40 small letters, digits and _, a letter first")
