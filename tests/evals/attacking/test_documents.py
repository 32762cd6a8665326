"""The files of an attack: the published schema, Markdown that no text can break out of, colours, folders."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from evals.attacking.files import discard_unbegun, open_folder, write_texts
from evals.attacking.labelled import read_labelled
from evals.attacking.markdown import to_markdown
from evals.attacking.summary import (
    AttackSummary,
    Group,
    PowerLaw,
    Rate,
    RecipeSummary,
    Shown,
    Step,
    from_json,
    json_schema,
    spread_of,
    to_json,
)
from evals.attacking.terminal import coloured_diff, show_summary
from evals.schema import Outcome
from guard.errors import ConfigError, DataError, OutputError

PUBLISHED = Path(__file__).parents[3] / "evals" / "report" / "schemas" / "attack.schema.json"
RATE = Rate(0.25, (0.1, 0.5), 4, 4, 0)
TEXTS = st.text(max_size=60)


def summary(text: str = "you\u202e rotten") -> AttackSummary:
    recipe = RecipeSummary(
        "best-of-n",
        "best-of-n@1",
        4,
        0,
        1,
        3,
        0,
        {"attack_success": RATE, "blocked": Rate(None, None, 0, 0, 3)},
        {"queries": spread_of([1, 2])},
        (Step(1, RATE), Step(2, RATE)),
        (Group("a|b", "group", RATE), Group("c", "strategy", RATE)),
        PowerLaw(1.0, 0.5, 0.9, 3),
        (f"note: {text}",),
    )
    return AttackSummary(
        "generator",
        f"model:`{text}`",
        (recipe,),
        {"seed": "0"},
        Outcome.FAIL,
        0.2,
        (Shown("best-of-n", "g1", text, f"{text} changed", "an answer"),),
        (text,),
    )


def test_the_published_schema_is_that_of_the_records(pytestconfig: pytest.Config) -> None:
    text = json.dumps(json_schema(), indent=2) + "\n"
    if pytestconfig.getoption("--rewrite-golden", default=False):
        PUBLISHED.write_text(text, encoding="utf-8", newline="\n")
    assert PUBLISHED.read_text(encoding="utf-8") == text, "--rewrite-golden writes it; is it a new version?"
    jsonschema.Draft202012Validator.check_schema(json_schema())


@given(text=TEXTS)
def test_any_summary_keeps_the_schema_and_reads_back(text: str) -> None:
    written = to_json(summary(text))
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(written))
    assert to_json(from_json(written)) == written


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": "assay.attack/2"}', '{"schema": "assay.attack/1"}'])
def test_what_is_no_summary_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        from_json(text)


@given(text=TEXTS)
def test_markdown_holds_no_line_that_a_text_made(text: str) -> None:
    page = to_markdown(summary(text))
    free = [line for line in page.splitlines() if not line.startswith("    ")]
    assert sum(line.startswith("#") for line in free) == 4
    assert "\u202e" not in page
    start = next(i for i, line in enumerate(free) if line.startswith("| recipe"))
    assert len({line.count("|") for line in free[start : start + 3]}) == 1


def test_markdown_says_what_there_is() -> None:
    page = to_markdown(summary())
    for part in ("0.250 [0.100, 0.500]", "no data", "n^-0.5", "a\\|b", "‹U+202E›", "Fail", "an answer"):
        assert part in page


def test_a_diff_shows_whole_words_and_nothing_that_steers_a_terminal() -> None:
    found = coloured_diff("you rotten liar", "you r0tten \x1b[31mliar")
    assert found.plain == "you rottenr0tten liar‹U+001B›[31mliar"
    assert {str(span.style) for span in found.spans} == {"red strike", "green"}


def test_the_terminal_gets_table_verdict_and_example() -> None:
    out = StringIO()
    show_summary(summary("[bold]x[/bold]"), Console(file=out, width=100))
    for part in ("best-of-n", "0.250 [0.100, 0.500]", "Fail", "[bold]x[/bold] changed", "an answer"):
        assert part in out.getvalue()


def test_folders_are_not_written_over(tmp_path: Path) -> None:
    made = open_folder(tmp_path / "a" / "b", resume=False)
    write_texts(made, {"x.txt": "\ud800 lone"})
    assert [path.name for path in made.iterdir()] == ["x.txt"]
    with pytest.raises(ConfigError, match="not empty"):
        open_folder(made, resume=False)
    assert open_folder(made, resume=True) == made
    with pytest.raises(DataError, match="no run to resume"):
        open_folder(tmp_path / "new", resume=True)
    with pytest.raises(OutputError):
        open_folder(made / "x.txt", resume=False)


def test_only_a_folder_without_attempts_is_removed(tmp_path: Path) -> None:
    empty, begun = tmp_path / "empty", tmp_path / "begun"
    for folder, lines in ((empty, 1), (begun, 2)):
        folder.mkdir()
        (folder / "attempts.jsonl").write_text("{}\n" * lines)
        discard_unbegun(folder)
    assert not empty.exists()
    assert (begun / "attempts.jsonl").exists()


def test_labels_may_be_numbers_names_or_a_value_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    rows = [("one", 1), ("two", "NEG"), ("three", "pos"), ("three", 0), (" ", 1), ("four", 0.0)]
    file.write_text("".join(json.dumps({"t": text, "y": label}) + "\n" for text, label in rows), encoding="utf-8")
    found = read_labelled(file, column="t", label_column="y", labels=("neg", "pos"))
    assert [(one.id, one.text, one.label) for one in found.examples] == [
        ("row-000001", "one", 1),
        ("row-000002", "two", 0),
        ("row-000003", "three", 1),
        ("row-000006", "four", 0),
    ]
    assert (found.n_empty, found.n_repeated) == (1, 1)
    named = read_labelled(file, column="t", label_column="y", labels=("neg", "pos"), positive="NEG")
    assert [one.label for one in named.examples] == [0, 1, 0, 0]
    assert [one.label for one in read_labelled(file, column="t", label_column=None, labels=("n", "p")).examples] == [
        1
    ] * 4
    assert found.drawn(2, seed=0) == found.drawn(2, seed=0)
    assert sorted(one.label for one in found.drawn(2, seed=0).examples) == [0, 1]
