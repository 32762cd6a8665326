"""``assay generate``: guarded answers to one prompt, or to a file of them, told to whoever asked."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.console import shown, tell
from evals.generation import (
    answer_all,
    answer_line,
    is_prompt_file,
    json_line,
    read_asked,
    stream_events,
    told,
    written_whole,
)
from evals.progress import show_progress
from guard.assembled import assemble_guard
from guard.audit_log import AuditLog
from guard.errors import DataError
from guard.schema import Action, Decoding

if TYPE_CHECKING:
    from guard.guard import Guard

__all__ = ["answer"]


def answer(prompt: str, *, stream: bool, as_json: bool, out: Path | None, options: dict[str, Any]) -> None:
    """Answer what the command line was given.

    Parameters
    ----------
    prompt : str
        The prompt, the name of a file of prompts, or - for standard input.
    stream, as_json : bool
    out : Path or None
    options : dict
        Of the command: model, policy, filters, device, dtype, steer, max_new_tokens, temperature, top_p, chat, seed,
        column, batch_rows, audit_log.

    Raises
    ------
    click.UsageError
        When the options do not go together.
    AssayError
        When the model, the policy, a filter or the file cannot be had, or the generator fails.
    """
    with ExitStack() as stack:
        source = Path(prompt) if prompt != "-" and is_prompt_file(prompt) else None
        _check(source, stream=stream, as_json=as_json, out=out)
        asked = read_asked(source, column=options["column"]) if source else []
        text = "" if source else _prompt(prompt)
        with show_progress(quiet=as_json) as bars, bars.busy("loading"):
            guard = _guard(options, stack)
        if source:
            _answer_file(guard, source, asked, as_json=as_json, out=out, options=options)
        elif stream:
            _stream(guard, text, seed=options["seed"], as_json=as_json)
        else:
            _answer(guard, text, seed=options["seed"], as_json=as_json)


def _check(source: Path | None, *, stream: bool, as_json: bool, out: Path | None) -> None:
    if source is None and out is not None:
        raise click.UsageError("--out is for a FILE of prompts")
    if source is not None and stream:
        raise click.UsageError("--stream is for one prompt, not for a FILE")
    if source is not None and (out is None) != as_json:
        raise click.UsageError("a FILE of prompts wants either --out FILE or --json")


def _prompt(argument: str) -> str:
    text = argument
    if argument == "-":
        try:
            text = sys.stdin.buffer.read().decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise DataError(f"standard input is not UTF-8 (byte {error.start}): convert it") from error
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    return text


def _guard(options: dict[str, Any], stack: ExitStack) -> Guard:
    path = options["audit_log"]
    log = None if path is None else stack.enter_context(AuditLog(path))
    decoding = Decoding(options["max_new_tokens"], options["temperature"], options["top_p"], options["chat"])
    names = {name: options[name] for name in ("policy", "filters", "device", "dtype", "steer")}
    return assemble_guard(options["model"], **names, decoding=decoding, audit_log=log)


def _answer(guard: Guard, text: str, *, seed: int, as_json: bool) -> None:
    (response,) = guard.generate([text], seed=seed)
    if as_json:
        click.echo(json_line(answer_line(text, response, seed=seed)), nl=False)
        return
    click.echo(shown(response.text))
    tell(told([response.prompt_verdict, response.output_verdict], blocked=response.action == Action.BLOCK))


def _stream(guard: Guard, text: str, *, seed: int, as_json: bool) -> None:
    said = False
    with guard.stream(text, seed=seed) as pieces:
        for event in stream_events(pieces, guard.policy.message):
            if as_json:
                click.echo(json_line(event), nl=False)
            elif event["type"] == "text":
                said = True
                click.echo(shown(event["text"]), nl=False)
            sys.stdout.flush()
    if not as_json:
        click.echo(f"{chr(10) * 2 if said else ''}{shown(guard.policy.message)}" if pieces.blocked else "")
        tell(told({id(v): v for v in (pieces.prompt_verdict, pieces.verdict)}.values(), blocked=pieces.blocked))


def _answer_file(
    guard: Guard, source: Path, asked: list[Any], *, as_json: bool, out: Path | None, options: dict[str, Any]
) -> None:
    with ExitStack() as stack:
        bars = stack.enter_context(show_progress(quiet=as_json))
        file = sys.stdout if out is None else stack.enter_context(written_whole(out, source=source))
        actions = answer_all(
            guard,
            asked,
            seed=options["seed"],
            batch_rows=options["batch_rows"],
            write=file.write,
            progress=lambda done, total: bars.show("prompts", done, total),
        )
    counted = ", ".join(f"{n} {action}" for action, n in sorted(actions.items()))
    tell(f"{len(asked)} prompts: {counted}" + (f"; in {out}" if out is not None else ""))
