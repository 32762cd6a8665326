"""What a generator is fine-tuned on: texts, prompts with answers, or dialogues, read from a table or a text file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals.own_data import HUB
from evals.rows import read_batches
from guard.errors import DataError
from guard.train.generator.encoding import Turn

__all__ = ["TextColumns", "TrainingText", "read_texts"]

_BATCH_ROWS = 1024
_GUESSES: tuple[dict[str, str], ...] = (
    {"messages": "messages"},
    {"messages": "conversations"},
    {"prompt": "prompt", "answer": "answer"},
    {"prompt": "prompt", "answer": "completion"},
    {"prompt": "prompt", "answer": "response"},
    {"prompt": "instruction", "answer": "output"},
    {"prompt": "question", "answer": "answer"},
    {"text": "text"},
)
_ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}


@dataclass(frozen=True)
class TextColumns:
    """Where things are; with none of the first three named, they are guessed from the usual names.

    Parameters
    ----------
    text : str or None
        Plain text.
    prompt, answer : str or None
        A question and what is to be learnt.
    messages : str or None
        Dialogues: a list of ``{"role": ..., "content": ...}``, or of ``{"from": ..., "value": ...}``, or its JSON.
    group : str or None
        Rows with the same value are one unit, which is never parted between training and validation.
    """

    text: str | None = None
    prompt: str | None = None
    answer: str | None = None
    messages: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        kinds = [bool(self.text), bool(self.prompt or self.answer), bool(self.messages)]
        if sum(kinds) > 1 or bool(self.prompt) != bool(self.answer):
            raise DataError("name one of: a column of text; columns of prompt and answer; a column of messages")

    @property
    def roles(self) -> dict[str, str]:
        """What is learnt from, by role."""
        named = {role: getattr(self, role) for role in ("text", "prompt", "answer", "messages")}
        return {role: column for role, column in named.items() if column}


@dataclass(frozen=True)
class TrainingText:
    """One row.

    Parameters
    ----------
    id : str
        ``row-<number>``, from 1 and counting every row.
    unit : str
        Value of the group column; empty where there is none.
    turns : tuple of Turn
        A plain text is one turn of the role ``text``.
    """

    id: str
    unit: str
    turns: tuple[Turn, ...]

    @property
    def is_plain(self) -> bool:
        """Whether it is a text and no dialogue."""
        return len(self.turns) == 1 and self.turns[0].role == "text"

    @property
    def whole(self) -> str:
        """All of it as one text."""
        return "\n".join(turn.content for turn in self.turns)

    def with_contents(self, contents: Sequence[str]) -> TrainingText:
        """Return it with other words in its turns."""
        turns = tuple(Turn(turn.role, text) for turn, text in zip(self.turns, contents, strict=True))
        return replace(self, turns=turns)


def read_texts(source: str, columns: TextColumns) -> list[TrainingText]:
    """Read a data set; empty rows come back with empty turns.

    Parameters
    ----------
    source : str
        A file ending in ``.csv``, ``.jsonl`` (both perhaps with ``.gz``), ``.parquet`` or ``.txt``, whose paragraphs
        are its rows; or ``hub:ORGANISATION/NAME[@REVISION][:SPLIT]``.
    columns : TextColumns

    Raises
    ------
    DataError
        No such file, data set or column, no rows, or a row with something wrong in it: the message has its number.
    """
    if not source.startswith(HUB) and source.lower().endswith(".txt"):
        found = list(_paragraphs(Path(source)))
    else:
        found = []
        for file in _files(source):
            for cells, named, where in _cells(file, columns):
                found.append(_training_text(f"row-{len(found) + 1:06d}", cells, named, columns.group, where))
    if not found:
        raise DataError(f"{source} has no rows: give at least one")
    return found


def _files(source: str) -> list[Path]:
    if not source.startswith(HUB):
        return [Path(source)]
    from evals.hub_data import hub_table

    return hub_table(source.removeprefix(HUB))


def _paragraphs(file: Path) -> Iterator[TrainingText]:
    try:
        content = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 (byte {error.object[error.start]:#04x}): convert it first") from error
    except OSError as error:
        raise DataError(f"cannot read {file} ({error.strerror}): check the path") from error
    paragraphs = (part.strip() for part in re.split(r"\n[ \t]*\n", content.replace("\r\n", "\n")))
    for number, part in enumerate((part for part in paragraphs if part), 1):
        yield TrainingText(f"row-{number:06d}", "", (Turn("text", part),))


def _cells(file: Path, columns: TextColumns) -> Iterator[tuple[Mapping[str, object], Mapping[str, str], str]]:
    """Yield each row, the columns that are learnt from, and where the row stands, for messages."""
    named: Mapping[str, str] = {}
    for batch in read_batches(file, batch_rows=_BATCH_ROWS):
        if batch.first == 1:
            named = _named(file, columns, batch.columns)
        for number, row in enumerate(batch.rows, batch.first):
            yield row, named, f"{file}, row {number}"


def _named(file: Path, columns: TextColumns, known: Sequence[str]) -> Mapping[str, str]:
    wanted = {**columns.roles, **({"group": columns.group} if columns.group else {})}
    listed = ", ".join(known[:20]) or "none"
    for role, column in wanted.items():
        if column not in known:
            raise DataError(f"{file} has no column {column!r} for the {role}; it has {listed}: name another")
    if columns.roles:
        return columns.roles
    guess = next((one for one in _GUESSES if set(one.values()) <= set(known)), None)
    if guess is None:
        raise DataError(
            f"{file} has the columns {listed}, and none of them is called text, prompt and answer, or messages: name"
            " them with --text-column, --prompt-column and --answer-column, or --messages-column"
        )
    return guess


def _training_text(
    row_id: str, cells: Mapping[str, object], named: Mapping[str, str], group: str | None, where: str
) -> TrainingText:
    unit = "" if group is None else str(cells.get(group) if cells.get(group) is not None else "")
    if "messages" in named:
        return TrainingText(row_id, unit, _turns(cells.get(named["messages"]), where))
    texts = {role: _text(cells.get(column), column, where) for role, column in named.items()}
    if "text" in texts:
        return TrainingText(row_id, unit, (Turn("text", texts["text"]),))
    return TrainingText(row_id, unit, (Turn("user", texts["prompt"]), Turn("assistant", texts["answer"])))


def _text(value: object, column: str, where: str) -> str:
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {column!r} is a {type(value).__name__}, not text")
    return value or ""


def _turns(value: Any, where: str) -> tuple[Turn, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataError(f"{where}: the messages are not JSON ({error}): give a list of turns") from error
    if not isinstance(value, list):
        raise DataError(f"{where}: the messages are a {type(value).__name__}: give a list of turns")
    return tuple(_turn(one, where) for one in value)


def _turn(value: Any, where: str) -> Turn:
    found = value if isinstance(value, dict) else {}
    role, content = found.get("role", found.get("from")), found.get("content", found.get("value"))
    if role not in _ROLES or not isinstance(content, str):
        raise DataError(
            f"{where}: a turn is {str(value)[:60]!r}: give a role (system, user or assistant) and its content as text"
        )
    return Turn(_ROLES[role], content)
