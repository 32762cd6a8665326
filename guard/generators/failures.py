"""What stands in the place of an output that could not be had, so that one row does not cost the others theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from guard.errors import GeneratorError

__all__ = [
    "FailureKind",
    "GenerationFailure",
    "OutputMissingError",
    "Row",
    "Streak",
    "is_out_of_memory",
    "one_line",
    "texts_of",
]

FailureKind = Literal[
    "connection",
    "content_filter",
    "malformed",
    "no_text",
    "raised",
    "rate_limit",
    "rejected",
    "server",
    "timeout",
    "too_long",
]
"""Why there is no output. With ``content_filter`` and ``too_long`` the reason is the prompt: the other side is well."""

_SHOWN = 160


@dataclass(frozen=True)
class GenerationFailure:
    """A prompt for which no output could be had.

    Parameters
    ----------
    kind : FailureKind
    reason : str
        One printable line, without secrets.
    attempts : int
        How often it was tried.
    """

    kind: FailureKind
    reason: str
    attempts: int = 1


Row = str | GenerationFailure
"""What a generator that can fail by the row gives for a prompt."""


class OutputMissingError(GeneratorError):
    """The output of one prompt could not be had, while those of others can.

    Parameters
    ----------
    message : str
    failure : GenerationFailure
    """

    def __init__(self, message: str, failure: GenerationFailure) -> None:
        super().__init__(message)
        self.failure = failure


def texts_of(rows: Sequence[Row], *, name: str) -> list[str]:
    """Return the texts where every row has one.

    Parameters
    ----------
    rows : sequence of (str or GenerationFailure)
    name : str
        Of the generator.

    Raises
    ------
    OutputMissingError
        A row has none.
    """
    failures = [row for row in rows if isinstance(row, GenerationFailure)]
    if failures:
        count = f"{len(failures)} of {len(rows)} prompts"
        raise OutputMissingError(f"{name} gave no output for {count}: {failures[0].reason}", failures[0])
    return [row for row in rows if isinstance(row, str)]


class Streak:
    """Counts the rows that failed one after the other, to tell a generator that is gone from one that stumbles.

    Parameters
    ----------
    limit : int
        So many in a row are the end.
    name : str
        What is gone, for the message.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit, self._name, self._length = limit, name, 0

    def note(self, row: Row) -> None:
        """Count a finished row.

        Raises
        ------
        GeneratorError
            It is one failure too many.
        """
        if isinstance(row, str) or row.kind in ("content_filter", "too_long"):
            self._length = 0
            return
        self._length += 1
        if self._length >= self._limit:
            raise GeneratorError(
                f"{self._name} failed {self._length} times in a row, the last time because {row.reason}; what was made"
                " before is kept: mend it and go on with --resume"
            )


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether memory ran out, on the processor or on an accelerator."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


def one_line(text: object, *, secret: str | None = None) -> str:
    """Return foreign text as one short printable line.

    Parameters
    ----------
    text : object
    secret : str, optional
        Taken out wherever it occurs.
    """
    line = str(text)
    if secret:
        line = line.replace(secret, "[key]")
    line = " ".join("".join(c if c.isprintable() else " " for c in line).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."
