"""A policy file with one threshold set by calibration: comments and all other rules stay as they stand."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import tomllib
from contextlib import suppress
from pathlib import Path

from guard.certificate import Certificate
from guard.errors import ConfigError, OutputError
from guard.policy import Policy
from guard.policy_file import read_policy
from guard.schema import Action, Stage

__all__ = ["calibrated_policy", "uncertified_policy", "write_policy"]


_Names = tuple[str, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def uncertified_policy(policy: str | Path, stage: Stage, category: str) -> Policy:
    """Read a policy without the certificate of one rule, so that a threshold which has left it does not refuse to load.

    Parameters
    ----------
    policy : str or Path
        A shipped policy or a TOML file.
    stage : {"input", "output"}
    category : str

    Raises
    ------
    ConfigError
        See :meth:`guard.policy.Policy.load`.
    """
    data, source = read_policy(policy)
    try:
        lines = _lines(data.decode("utf-8"))
    except UnicodeDecodeError:
        return Policy.parse(data, source)  # which says what is wrong
    found = Policy.parse("\n".join(_without(lines, (stage, category, "certificate"))).encode("utf-8"), source)
    rest = {key: certificate for key, certificate in found.certificates.items() if key != (stage, category)}
    return dataclasses.replace(found, certificates=rest)


def calibrated_policy(
    policy: str | Path,
    stage: Stage,
    category: str,
    certificate: Certificate,
    *,
    action: Action = Action.BLOCK,
    name: str | None = None,
) -> str:
    """Return the text of a policy with the threshold that a certificate is of, and the certificate.

    Parameters
    ----------
    policy : str or Path
        A shipped policy or a TOML file.
    stage : {"input", "output"}
    category : str
    certificate : Certificate
        Takes the place of one that is there.
    action : Action
        What the rule does where the policy has none for the category; a rule that is there keeps its action.
    name : str, optional
        Takes the place of the policy's name.

    Returns
    -------
    str
        TOML. Comments, order and every other value are those of `policy`.

    Raises
    ------
    ConfigError
        `policy` cannot be read, or is written so that the threshold cannot be set in place.
    """
    before, rule = uncertified_policy(policy, stage, category), (stage, category)
    action = before.thresholds.get(rule, (0.0, action))[1]
    meant = dataclasses.replace(
        before,
        name=name or before.name,
        thresholds={**before.thresholds, rule: (certificate.threshold, action)},
        certificates={**before.certificates, rule: certificate},
    )
    data, source = read_policy(policy)
    text = data.decode("utf-8")
    lines = _with_rule(_lines(text), rule, certificate, action)
    if name is not None:
        lines = _with_value(lines, 0, _section_end(lines, 0), "name", _toml(name))
    text = ("\r\n" if "\r\n" in text else "\n").join([*lines, ""])
    # The lines were changed by their looks: what is handed out must read back as what is meant.
    if not _reads_as(text, source, meant):
        where = f"[{stage}.{_key(category)}]"
        raise ConfigError(f"policy {source}: {stage}.{category} cannot be set in place: write its rule under {where}")
    return text


def write_policy(text: str, out: Path) -> None:
    """Write a policy whole under its name, or not at all.

    Parameters
    ----------
    text : str
    out : pathlib.Path

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as handle:
            handle.write(text.encode("utf-8"))
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(draft, out)
    except OSError as error:
        raise OutputError(f"cannot write {out} ({error.strerror or error}): check the folder and its space") from error
    finally:
        with suppress(OSError):  # there is none after success, nor where the folder itself was at fault
            draft.unlink()


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")


def _reads_as(text: str, source: str, meant: Policy) -> bool:
    try:
        return Policy.parse(text.encode("utf-8"), source) == meant
    except ConfigError:
        return False


def _with_rule(lines: list[str], rule: tuple[Stage, str], certificate: Certificate, action: Action) -> list[str]:
    """Set the threshold of a rule and put the certificate behind its last key; the rule itself where there is none."""
    lines = _without(lines, (*rule, "certificate"))
    start = _header(lines, rule)
    if start is None:
        lines = [*lines, "", _head(rule), "threshold = 0", f"action = {_toml(action.name.lower())}"]
        start = len(lines) - 3
    lines = _with_value(lines, start + 1, _section_end(lines, start + 1), "threshold", _toml(certificate.threshold))
    last = _last_key(lines, start)
    table = [f"{key} = {_toml(value)}" for key, value in certificate.table().items()]
    return [*lines[: last + 1], "", _head((*rule, "certificate")), *table, *lines[last + 1 :]]


def _with_value(lines: list[str], start: int, end: int, key: str, value: str) -> list[str]:
    """Set a value that stands on one line, and keep what follows it there."""
    pattern = re.compile(rf"(\s*{key}\s*=\s*)(\"[^\"]*\"|[^#\s]+)(.*)")
    for place in range(start, end):
        found = pattern.fullmatch(lines[place])
        if found is not None:
            return [*lines[:place], f"{found[1]}{value}{found[3]}", *lines[place + 1 :]]
    return lines


def _without(lines: list[str], path: _Names) -> list[str]:
    """Take out a table, but for what follows its last key."""
    start = _header(lines, path)
    if start is None:
        return lines
    before = start - 1 if start and not lines[start - 1].strip() else start
    return [*lines[:before], *lines[_last_key(lines, start) + 1 :]]


def _header(lines: list[str], path: _Names) -> int | None:
    return next((place for place, line in enumerate(lines) if _path(line) == path), None)


def _section_end(lines: list[str], start: int) -> int:
    return next((place for place in range(start, len(lines)) if _path(lines[place])), len(lines))


def _last_key(lines: list[str], start: int) -> int:
    """Return the place of the last line of a table that is neither blank nor a comment."""
    section = range(start, _section_end(lines, start + 1))
    return max(place for place in section if lines[place].strip() and not lines[place].lstrip().startswith("#"))


def _path(line: str) -> _Names:
    """Return the names in the head of a table; none where the line is no such head."""
    if not line.lstrip().startswith("[") or line.lstrip().startswith("[["):
        return ()
    try:
        table = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while table:
        path += table
        table = table[path[-1]]
    return tuple(path)


def _head(path: _Names) -> str:
    return f"[{'.'.join(map(_key, path))}]"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _toml(name)


def _toml(value: object) -> str:
    """Write a text, number or list of texts; what JSON escapes, TOML escapes alike."""
    return json.dumps(value, ensure_ascii=False)
