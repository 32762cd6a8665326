"""``assay generate`` as a user types it, on a small model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import evals.console
from cli import main
from guard.audit_log import verify

POLICY = """
message = "Not here."

[input.rude]
threshold = 0.5
action = "block"

[output.never]
threshold = 0.5
action = "block"
"""
WORDS = """
[[term]]
text = "zonk"
category = "rude"
score = 0.9

[[term]]
text = "neverneverland"
category = "never"
score = 0.9
"""


@pytest.fixture
def options(tmp_path: Path, tiny_llama: Path) -> list[str]:
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "words.toml").write_text(WORDS, encoding="utf-8")
    names = {"--policy": tmp_path / "policy.toml", "--filter": f"lexical:{tmp_path / 'words.toml'}"}
    names |= {"--model": tiny_llama, "--max-new-tokens": 12, "--device": "cpu", "--dtype": "float32"}
    return [str(part) for pair in names.items() for part in pair]


def _generate(*arguments: object, stdin: bytes | str | None = None) -> Result:
    return CliRunner().invoke(main, ["generate", *map(str, arguments)], input=stdin)


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_prompt_is_answered_the_same_in_every_way(options: list[str]) -> None:
    plain = _generate("Hello", *options)
    assert (plain.exit_code, plain.stderr) == (0, "")
    (answer,) = _lines(_generate("Hello", *options, "--json").stdout)
    assert answer["text"].encode("utf-8", "backslashreplace").decode() + "\n" == plain.stdout
    assert (answer["action"], answer["blocked"], answer["seed"], answer["prompt"]) == ("allow", False, 0, "Hello")
    assert _generate("Hello", *options, "--stream").stdout == plain.stdout
    *texts, verdict = _lines(_generate("Hello", *options, "--stream", "--json").stdout)
    assert "".join(event["text"] for event in texts) == answer["text"]
    assert {event["type"] for event in texts} == {"text"}
    assert (verdict["type"], verdict["blocked"], verdict["message"]) == ("verdict", False, None)
    assert verdict["prompt_verdict"]["action"] == "allow"
    assert _generate("-", *options, stdin="Hello\n").stdout == plain.stdout


@pytest.mark.parametrize("flags", [[], ["--stream"]])
def test_blocked_prompt_exits_zero_and_says_so(options: list[str], flags: list[str]) -> None:
    found = _generate("you zonk", *options, *flags)
    assert (found.exit_code, found.stdout) == (0, "Not here.\n")
    assert found.stderr == "assay: blocked: input rude 0.90\n"
    (event,) = _lines(_generate("you zonk", *options, *flags, "--json").stdout)
    assert event["blocked"] is True
    assert event["prompt_verdict"]["triggered"] == ["rude"]
    assert event["output_verdict"] is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "Hello\n\nyou zonk\r\nHello"),
        ("p.csv", "id,prompt\n1,Hello\n2,\n3,you zonk\n4,Hello\n"),
        ("p.jsonl", '{"prompt": "Hello"}\n{"prompt": null}\n{"prompt": "you zonk"}\n{"prompt": "Hello"}\n'),
    ],
)
def test_file_of_prompts(options: list[str], tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    out, log = tmp_path / "answers.jsonl", tmp_path / "log.jsonl"
    found = _generate(tmp_path / name, *options, "--out", out, "--batch-rows", 2, "--seed", 5, "--audit-log", log)
    assert (found.exit_code, found.stdout) == (0, "")
    assert f"3 prompts: 2 allow, 1 block; in {out}" in found.stderr
    answers = _lines(out.read_text("ascii"))
    assert [(a["row"], a["seed"], a["blocked"]) for a in answers] == [(1, 5, False), (3, 7, True), (4, 8, False)]
    (alone,) = _lines(_generate("Hello", *options, "--json", "--seed", 8).stdout)
    assert alone["text"] == answers[2]["text"]
    assert verify(log).n_records == 3
    assert _lines(_generate(tmp_path / name, *options, "--json", "--seed", 5).stdout) == answers
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (["missing.txt"], None, "there is no file missing.txt"),
        ([" "], None, "the prompt is empty"),
        (["-"], "\n", "the prompt is empty"),
        (["-"], b"\xff", "not UTF-8"),
        (["Hello", "--out", "x.jsonl"], None, "--out is for a FILE"),
        (["PROMPTS", "--stream", "--json"], None, "--stream is for one prompt"),
        (["PROMPTS"], None, "either --out FILE or --json"),
        (["PROMPTS", "--json", "--out", "x.jsonl"], None, "either --out FILE or --json"),
        (["PROMPTS", "--out", "PROMPTS"], None, "is the file of prompts itself"),
        (["EMPTY", "--json"], None, "holds no prompts"),
        (["TABLE", "--json"], None, "no column 'prompt'"),
        (["Hello", "--policy", "nowhere"], None, "nowhere"),
        (["Hello", "--temperature", "-1"], None, "temperature"),
        ([], None, "Missing argument"),
    ],
)
def test_what_cannot_be_is_refused(
    options: list[str], tmp_path: Path, arguments: list[str], stdin: str | None, says: str
) -> None:
    files = {"PROMPTS": ("p.txt", "Hello"), "EMPTY": ("e.txt", " \n"), "TABLE": ("t.csv", "a,b\n1,2\n")}
    for name, content in files.values():
        (tmp_path / name).write_text(content, encoding="utf-8")
    named = [str(tmp_path / files[a][0]) if a in files else a for a in arguments]
    found = _generate(*named[:1], *options, *named[1:], stdin=stdin)
    assert found.exit_code == 2, found.output
    assert says in " ".join(found.stderr.split())
    assert "Traceback" not in found.output
    assert (tmp_path / "p.txt").read_text() == "Hello"


def test_words_that_end_like_a_file_are_a_prompt(options: list[str]) -> None:
    assert _generate("what is a requirements.txt", *options).exit_code == 0


def test_nothing_steers_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(evals.console.sys, "stdout", Terminal())
    shown = evals.console.shown("a\x1b[2Jb\x9bc\u202ed\n")
    monkeypatch.undo()
    assert shown == "a‹U+001B›[2Jb‹U+009B›c‹U+202E›d\n"
