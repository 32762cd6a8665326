"""What a CI job does, in Python that can be tested: ``python -P -m evals.ci assets``, ``audit`` and ``comment``.

The GitHub Action hands its inputs over in the environment, so that no input is ever part of a shell program.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from evals.ci_comment import forge_of, upsert
from evals.console import one_line
from guard.errors import AssayError, ConfigError, ToolError

__all__ = ["assets", "audit", "audit_arguments", "comment", "main"]

_PROGRAM = (sys.executable, "-P", "-m", "cli")
"""Without the working directory on the path: a repository may well have an ``evals`` or a ``cli`` of its own."""
_ONCE = ("suite", "policy", "gate", "scorer", "prompts", "column", "limit", "seed", "device", "baseline")
_REPEATED = ("model", "filter", "max-drop")
_FILES: Mapping[str, str] = {"junit": "junit.xml", "sarif": "assay.sarif", "summary": "summary.md"}
_OUTCOMES: Mapping[int, str] = {0: "pass", 1: "fail", 3: "inconclusive"}


def audit_arguments(environ: Mapping[str, str]) -> list[str]:
    """Return the arguments of ``assay`` for the inputs of the Action, which are in ``ASSAY_*``.

    An empty input leaves the option's own default. ``ASSAY_MODEL``, ``ASSAY_FILTER`` and ``ASSAY_MAX_DROP`` take one a
    line.

    Raises
    ------
    ConfigError
        ``ASSAY_ARGS`` has an open quote.
    """
    folder = _folder(environ)
    arguments = ["audit", "--out", str(folder / "runs")]
    for name, file in _FILES.items():
        arguments += [f"--{name}", str(folder / file)]
    for name in _ONCE:
        if value := environ.get(f"ASSAY_{name.upper()}", "").strip():
            arguments += [f"--{name}={value}"]
    for name in _REPEATED:
        lines = environ.get(f"ASSAY_{name.upper().replace('-', '_')}", "").splitlines()
        arguments += [f"--{name}={line.strip()}" for line in lines if line.strip()]
    try:
        return arguments + shlex.split(environ.get("ASSAY_ARGS", ""))
    except ValueError as error:
        raise ConfigError(f"the input args cannot be split into words ({error}); close the quote") from error


def assets(environ: Mapping[str, str], *, program: Sequence[str] = _PROGRAM) -> int:
    """Pull the assets that ``ASSAY_ASSETS`` names, or those that the quick suite needs; nothing for ``none``."""
    names = environ.get("ASSAY_ASSETS", "").split()
    if names == ["none"]:
        return 0
    return subprocess.run([*program, "assets", "pull", "--", *names], check=False).returncode


def audit(environ: Mapping[str, str], *, program: Sequence[str] = _PROGRAM) -> int:
    """Run the audit, tell the workflow where its files are, and return the exit code of the step.

    The code is that of ``assay audit``: 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 the tool failed. With
    ``ASSAY_INCONCLUSIVE=pass`` an inconclusive run is 0 with a warning. What is written to the job's summary is there
    whatever the code is.

    Parameters
    ----------
    environ : mapping of str to str
    program : sequence of str
        What is run with the arguments.
    """
    allowed = environ.get("ASSAY_INCONCLUSIVE", "fail") or "fail"
    if allowed not in ("fail", "pass"):
        raise ConfigError(f"the input inconclusive is {allowed!r}; give fail or pass")
    arguments = audit_arguments(environ)
    folder = _folder(environ)
    for file in _FILES.values():  # of an earlier step: never to be taken for those of this one
        (folder / file).unlink(missing_ok=True)
    code = subprocess.run([*program, *arguments], check=False).returncode
    # A process killed by a signal has a negative code, and no verdict.
    code = code if code in (0, 1, 2, 3, 4) else 4
    _append(environ, "GITHUB_OUTPUT", "".join(f"{key}={value}\n" for key, value in _outputs(folder, code)))
    summary = folder / _FILES["summary"]
    if summary.exists():
        _append(environ, "GITHUB_STEP_SUMMARY", summary.read_text(encoding="utf-8"))
    if code == 3 and allowed == "pass":
        _tell("warning", "the audit is inconclusive: no limit is known to be broken, but one is open")
        return 0
    return code


def _outputs(folder: Path, code: int) -> Iterator[tuple[str, str]]:
    yield "exit-code", str(code)
    yield "outcome", _OUTCOMES.get(code, "error")
    yield "folder", str(folder)
    for name, file in _FILES.items():
        yield name, str(folder / file) if (folder / file).exists() else ""


def _folder(environ: Mapping[str, str]) -> Path:
    name = environ.get("ASSAY_OUT", "").strip() or "assay-reports"
    if not name.isprintable():  # a line break would end the line of an output
        raise ConfigError(f"the input out is {name!r}; give the name of a folder")
    return Path(name)


def _append(environ: Mapping[str, str], variable: str, text: str) -> None:
    """Append to a file that the runner named; outside of a workflow there is none."""
    if path := environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(text)


def comment(environ: Mapping[str, str]) -> int:
    """Write the summary as a comment on the pull or merge request, or update the one that is there.

    Without a request, a summary, or the permission (the token of a fork may not write) nothing is written and a line
    says so: the verdict of the job does not hang on a comment.

    Returns
    -------
    int
        0.
    """
    forge = forge_of(environ)
    summary = _folder(environ) / _FILES["summary"]
    if forge is None or not summary.exists():
        _tell("notice", f"no comment was written: {'no pull request' if forge is None else 'no summary'}")
        return 0
    try:
        upsert(forge, summary.read_text(encoding="utf-8"))
    except ToolError as error:
        _tell("warning", f"the comment was not written: {error}")
    return 0


def _tell(kind: str, text: str) -> None:
    """Say something that a workflow shows as an annotation."""
    click.echo(f"::{kind} title=Assay::{one_line(text).replace('%', '%25')}")


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the step that is named, and return its exit code."""
    steps = {"assets": assets, "audit": audit, "comment": comment}
    try:
        if len(arguments) != 1 or arguments[0] not in steps:
            raise ConfigError(f"give one of {', '.join(steps)}")
        return steps[arguments[0]](environ)
    except AssayError as error:
        _tell("error", str(error))
        return error.exit_code


if __name__ == "__main__":
    import os

    sys.exit(main(sys.argv[1:], os.environ))
