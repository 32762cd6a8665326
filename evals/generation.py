"""What ``assay generate`` prints and writes: guarded answers to one prompt or to a file of them."""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from evals.rows import FORMATS, read_batches
from guard.errors import ConfigError, DataError, OutputError
from guard.guard import Guard
from guard.schema import Action, Response, Verdict
from guard.stream import GuardedStream

__all__ = [
    "Asked",
    "answer_all",
    "answer_line",
    "is_prompt_file",
    "json_line",
    "read_asked",
    "stream_events",
    "told",
    "written_whole",
]


@dataclass(frozen=True)
class Asked:
    """One prompt of a file.

    Parameters
    ----------
    row : int
        From 1, rows without a prompt counted.
    prompt : str
    """

    row: int
    prompt: str


def is_prompt_file(argument: str) -> bool:
    """Whether an argument names a file of prompts: it ends like one, and is one word or is there.

    Raises
    ------
    DataError
        When it can only be meant as a file, and is not there.
    """
    if not argument.lower().endswith((".txt", *FORMATS)) or "\n" in argument or "\0" in argument:
        return False
    if len(argument) < 4096 and Path(argument).is_file():
        return True
    if len(argument.split()) > 1:
        return False
    raise DataError(f"there is no file {argument}; to send these words as a prompt, pipe them in: assay generate -")


def read_asked(source: Path, *, column: str) -> list[Asked]:
    """Read the prompts of a file; rows without one are left out.

    Parameters
    ----------
    source : Path
        ``.txt`` with a prompt a line, or CSV, JSON Lines or Parquet; UTF-8.
    column : str
        Where the prompts are; not used for ``.txt``.

    Raises
    ------
    DataError
        Missing, broken, without that column, or without any prompt.
    """
    if source.name.lower().endswith(".txt"):
        texts: list[str | None] = list(_lines(source))
    else:
        texts = []
        for batch in read_batches(source, batch_rows=1024):
            if column not in batch.columns and batch.rows:
                raise DataError(f"{source} has no column {column!r}; it has {', '.join(batch.columns)}")
            texts += batch.texts(column, source=source)
    asked = [Asked(row, text) for row, text in enumerate(texts, 1) if text and text.strip()]
    if not asked:
        raise DataError(f"{source} holds no prompts; give one a line, or one a row in column {column!r}")
    return asked


def answer_all(
    guard: Guard,
    asked: Sequence[Asked],
    *,
    seed: int,
    batch_rows: int,
    write: Callable[[str], object],
    progress: Callable[[int, int], None],
) -> Counter[str]:
    """Answer every prompt and write one line of JSON for each, in their order.

    Parameters
    ----------
    guard : Guard
    asked : sequence of Asked
    seed : int
        The prompt of row n is drawn with ``seed + n - 1``, so that equal prompts get answers of their own and a single
        row can be drawn again.
    batch_rows : int
        Prompts answered together.
    write : callable
        Gets each line, with its end.
    progress : callable
        Gets how many are done, and of how many.

    Returns
    -------
    Counter
        How many answers came to each action, by its name in lower case.
    """
    actions: Counter[str] = Counter()
    for first in range(0, len(asked), batch_rows):
        batch = asked[first : first + batch_rows]
        seeds = [seed + one.row - 1 for one in batch]
        for one, drawn, response in zip(
            batch, seeds, guard.generate([o.prompt for o in batch], seed=seeds), strict=True
        ):
            write(json_line({"row": one.row, **answer_line(one.prompt, response, seed=drawn)}))
            actions[response.action.name.lower()] += 1
        progress(first + len(batch), len(asked))
    return actions


def answer_line(prompt: str, response: Response, *, seed: int) -> dict[str, Any]:
    """Return an answer for JSON: what was released, and why no more."""
    output = response.output_verdict
    return {
        "prompt": prompt,
        "text": response.text,
        "action": response.action.name.lower(),
        "blocked": response.action == Action.BLOCK,
        "seed": seed,
        "prompt_verdict": _plain(response.prompt_verdict),
        "output_verdict": None if output is None else _plain(output),
    }


def stream_events(stream: GuardedStream, message: str) -> Iterator[dict[str, Any]]:
    """Yield an event for each released piece, and at the end the verdict.

    Parameters
    ----------
    stream : GuardedStream
    message : str
        What users read where the policy stopped the text.

    Yields
    ------
    dict
        ``{"type": "text", "text": ...}`` any number of times, then once ``{"type": "verdict", ...}``.
    """
    for piece in stream:
        yield {"type": "text", "text": piece}
    prompt = stream.prompt_verdict
    yield {
        "type": "verdict",
        "action": ("block" if stream.blocked else _strictest(stream).name.lower()),
        "blocked": stream.blocked,
        "message": message if stream.blocked else None,
        "prompt_verdict": None if prompt is None else _plain(prompt),
        "output_verdict": None if stream.verdict is prompt else _plain(stream.verdict),
    }


def told(verdicts: Iterable[Verdict | None], *, blocked: bool) -> str:
    """Return in one line what the guard did and why, for people; empty where it did nothing."""
    real = [verdict for verdict in verdicts if verdict is not None]
    reasons = [
        f"{verdict.stage} {category} {verdict.scores.get(category, 0.0):.2f}"
        for verdict in real
        for category in verdict.triggered
    ] + [verdict.error for verdict in real if verdict.error]
    action = Action.BLOCK if blocked else max((verdict.action for verdict in real), default=Action.ALLOW)
    if action == Action.ALLOW and not reasons:
        return ""
    return f"{_DONE[action]}: {', '.join(reasons)}" if reasons else _DONE[action]


_DONE = {
    Action.ALLOW: "allowed",
    Action.REVIEW: "for review",
    Action.REDACT: "redacted",
    Action.REGENERATE: "written again",
    Action.BLOCK: "blocked",
}


def json_line(found: dict[str, Any]) -> str:
    """Return one line of JSON Lines. Only ASCII: it steers no terminal, and lone surrogates survive."""
    return json.dumps(found, ensure_ascii=True) + "\n"


@contextmanager
def written_whole(path: Path, *, source: Path) -> Iterator[TextIO]:
    """Open a file that is put in its place only when everything was written.

    Raises
    ------
    ConfigError
        It is the file that is read.
    OutputError
        It cannot be written.
    """
    if path.exists() and source.exists() and path.samefile(source):
        raise ConfigError(f"--out {path} is the file of prompts itself; give another name")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(draft, "x", encoding="ascii") as file:
            yield file
        os.replace(draft, path)
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error.strerror or error}): check the folder and the space") from error
    finally:
        draft.unlink(missing_ok=True)


def _lines(source: Path) -> Iterator[str]:
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {source} ({error.strerror or error}): check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{source} is not UTF-8 (byte {error.start}): convert it") from error
    for line in text.split("\n"):
        yield line.removesuffix("\r")


def _strictest(stream: GuardedStream) -> Action:
    prompt = stream.prompt_verdict
    return max(stream.verdict.action, prompt.action if prompt is not None else Action.ALLOW)


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {
        "action": verdict.action.name.lower(),
        "triggered": list(verdict.triggered),
        "scores": {category: round(score, 6) for category, score in verdict.scores.items()},
        "spans": [[span.start, span.end, span.category, round(span.score, 6)] for span in verdict.spans],
        "error": verdict.error,
    }
