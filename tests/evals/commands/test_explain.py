"""``assay explain`` as a user types it: texts, answers of models near and far, samples of a run, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import main
from evals import report as reports
from evals.audit import audit
from tests.evals.small_audit import plan
from tests.guard.generators.endpoint_server import serve

_TERMS = {"rotten": 0.9, "darn": 0.8}
WORDS = "".join(f'[[term]]\ntext = "{word}"\ncategory = "rude"\nscore = {score}\n' for word, score in _TERMS.items())
POLICY = "".join(f'[{stage}.rude]\nthreshold = 0.5\naction = "block"\n' for stage in ("input", "output"))
HOSTILE = 'You <script>alert(1)</script> rotten \x1b[31m\u202e "liar" \ud800 [/bold]'


def assay(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


def found(*arguments: object) -> dict[str, Any]:
    result = assay(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def values(explanation: dict[str, Any]) -> dict[str, float]:
    return {part["text"]: part["value"] for part in explanation["parts"]}


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Options of a word list and of a policy for it."""
    (tmp_path / "words.toml").write_text(WORDS, encoding="utf-8")
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
    return ["--filter", f"lexical:{tmp_path / 'words.toml'}", "--policy", str(tmp_path / "policy.toml")]


def test_text_is_marked_where_its_score_comes_from(words: list[str]) -> None:
    result = assay("What a rotten day", *words, "--method", "occlusion")
    assert result.exit_code == 0, result.output
    assert "What a [+0.90 rotten] day" in result.stdout
    assert "score: 0.900, at or over the threshold 0.5" in result.stdout


def test_json_has_every_word_with_its_value(words: list[str]) -> None:
    document = found("What a rotten day", *words, "--method", "occlusion")
    (one,) = document["explanations"]
    assert document["schema"] == "assay.explain/1"
    assert values(one) == pytest.approx({"What": 0, "a": 0, "rotten": 0.9, "day": 0}, abs=1e-6)
    assert (one["category"], one["unit"], one["n_scored"] > 0) == ("rude", "score", True)
    assert one["text"][one["parts"][2]["start"] : one["parts"][2]["end"]] == "rotten"


def test_file_is_explained_row_by_row(words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    file.write_text("text\na rotten one\n\nfine\nrotten\n", encoding="utf-8")
    document = found(file, *words, "--method", "occlusion", "--limit", "2")
    assert [one["title"] for one in document["explanations"]] == ["row 1", "row 2"]
    assert [max(values(one).values()) for one in document["explanations"]] == pytest.approx([0.9, 0.0])


def test_standard_input(words: list[str]) -> None:
    result = CliRunner().invoke(main, ["explain", "-", *words, "--method", "occlusion"], input="so rotten\n")
    assert "so [+0.90 rotten]" in result.stdout


def test_faithfulness_is_measured_by_text_and_over_all(words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"the weather of day {n} was rotten all along and more\n" for n in range(6)), "utf-8")
    document = found(file, *words, "--method", "occlusion", "--faithfulness")
    for one in document["explanations"]:
        comprehensive, sufficient, agreement = one["trust"]
        assert (comprehensive["n"], sufficient["n"]) == (8, 8)
        assert comprehensive["value"] > 0
        assert agreement["name"] == "agreement with shapley"
    comprehensive = document["overall"][0]
    assert (comprehensive["n"], comprehensive["interval"][0] > 0) == (6, True)
    assert "Over all texts, sufficiency" in assay(file, *words, "--method", "occlusion", "--faithfulness").stdout


def test_least_edit_is_told(words: list[str]) -> None:
    document = found("a rotten darn day", *words, "--method", "occlusion", "--counterfactual")
    edit = document["explanations"][0]["counterfactual"]
    assert {change["word"] for change in edit["changes"]} == {"rotten", "darn"}
    assert (edit["before"], edit["after"], edit["threshold"]) == (pytest.approx(0.9), 0.0, 0.5)
    shown = assay("a rotten day", *words, "--method", "occlusion", "--counterfactual").stdout
    assert "Least edit: " in shown


def test_hostile_text_acts_nowhere(words: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = assay(HOSTILE, *words, "--method", "occlusion", "--html", page)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "[/bold]" in result.stdout
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;" in text
    assert "‹U+202E›" in text


def test_answer_of_a_model_is_explained(tiny_llama: Path) -> None:
    options = ["--model", tiny_llama, "--prompt", "one two", "--max-new-tokens", 4]
    (one,) = found(*options, "--output", "yes", "--faithfulness")["explanations"]
    assert (one["category"], one["unit"], one["method"]) == ("log p(output)", "nats", "leave-one-out")
    assert [*values(one)] == ["one", "two"]
    assert [figure["n"] for figure in one["trust"]] == [8, 8]
    assert all(figure["interval"][0] <= figure["value"] <= figure["interval"][1] for figure in one["trust"])
    (this,) = found(*options, "--output", "yes", "--against", "no")["explanations"]
    (that,) = found(*options, "--output", "no", "--against", "yes")["explanations"]
    assert values(this) == {word: -value for word, value in values(that).items()}
    shown = assay(*options).stdout
    assert "output: " in shown


def test_only_flagged_words_of_the_answer_count(tiny_llama: Path, words: list[str]) -> None:
    options = ["--model", tiny_llama, "--prompt", "one two", *words, "--category", "rude", "--why", "flagged"]
    (one,) = found(*options, "--output", "a rotten day")["explanations"]
    assert one["category"] == "log p(output) in part"
    assert one["facts"]["of which counts"] == "rotten"
    result = assay(*options, "--output", "a fine day")
    assert result.exit_code == 2
    assert "no word of the answer" in result.stderr


def test_score_of_answers_and_least_edit_of_the_prompt(words: list[str]) -> None:
    options = ["--model", "python:tests.evals.commands.answering:rotten_when_asked", "--prompt", "be a pirate today"]
    (one,) = found(*options, *words, "--counterfactual")["explanations"]
    assert one["method"] == "resampled"
    assert values(one) == pytest.approx({"be": 0, "a": 0, "pirate": 0.9, "today": 0}, abs=1e-6)
    assert one["counterfactual"]["edited"] == "be a today"
    assert any("gives no log-probabilities" in note for note in one["notes"])
    assert one["facts"]["answers a wording"] == "8, of this prompt 8 had"


def test_endpoint_is_asked_again(words: list[str]) -> None:
    with serve() as server:
        options = ["--model", f"endpoint:{server.url}#tiny", "--prompt", "a rotten day", "--samples", 2]
        (one,) = found(*options, *words, "--why", "score")["explanations"]
        seeds = {body["seed"] for body in server.asked}
    assert values(one) == pytest.approx({"a": 0, "rotten": 0.9, "day": 0}, abs=1e-6)
    assert len(seeds) == 2
    assert [part["standard_error"] for part in one["parts"]] == [0, 0, 0]


def test_prompts_of_a_file_are_explained_together(tiny_llama: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("one two\nthree\n", encoding="utf-8")
    both = found(file, "--model", tiny_llama, "--output", "yes")["explanations"]
    (alone,) = found("--prompt", "three", "--model", tiny_llama, "--output", "yes")["explanations"]
    assert [one["text"] for one in both] == ["one two", "three"]
    assert values(both[1]) == values(alone)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--why", "likely", "--counterfactual"], "turns the verdict on answers"),
        (["--why", "score", "--output", "x"], "leave them out"),
        (["--why", "score", "--faithfulness"], "have standard errors instead"),
        (["--why", "score", "--method", "shapley"], "not by 'shapley'"),
        (["--method", "guess"], "take one of"),
        (["--why", "score", "--category", "kindness"], "has no category 'kindness'"),
    ],
)
def test_what_a_model_cannot_be_asked_is_one_line(
    tiny_llama: Path, words: list[str], options: list[str], complaint: str
) -> None:
    result = assay("--model", tiny_llama, "--prompt", "one", "--max-new-tokens", 2, *words, *options)
    assert result.exit_code == 2, result.output
    assert complaint in result.stderr
    assert "Traceback" not in result.output


def test_model_without_weights_says_what_cannot_be_had() -> None:
    model = "python:tests.evals.commands.answering:rotten_when_asked"
    result = assay("--model", model, "--prompt", "x", "--output", "y")
    assert result.exit_code == 2
    assert "no log-probabilities and no gradients" in result.stderr
    assert "Traceback" not in result.output


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of the scripted model."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    made = plan(folder=folder)
    reports.write(audit(made, folder, rows=None, progress=lambda *_: None), folder)
    return folder


def _blocked(folder: Path) -> str:
    for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()[1:]:
        record = json.loads(line)
        verdict = record["arms"].get("guarded", {}).get("output_verdict")
        if verdict and verdict["triggered"]:
            return str(record["sample"]["id"])
    raise AssertionError("nothing was blocked")


def test_sample_of_a_run_says_why_it_fired(finished: Path, words: list[str]) -> None:
    sample = _blocked(finished)
    (one,) = found("--run", finished, "--sample", sample, *words, "--method", "occlusion")["explanations"]
    assert max(values(one), key=lambda word: values(one)[word]) == "darn"
    assert one["facts"]["recorded"] == "block, rude 0.800"
    assert one["facts"]["located"] == "'darn' rude"
    assert any("the run's filters were" in note for note in one["notes"])
    assert one["title"] == f"{sample}, output of scripted, guarded"
    options = ["--run", finished, "--sample", sample, *words, "--method", "occlusion", "--faithfulness"]
    assert [figure["n"] for figure in found(*options)["explanations"][0]["trust"]] == [8, 8, 1]


@pytest.mark.parametrize(
    ("sample", "more", "complaint"),
    [
        ("no-such", (), "no sample 'no-such'"),
        (None, ("--category", "kindness"), "has no score of kindness"),
        (None, ("--model", "other"), "of other"),
    ],
)
def test_sample_that_is_not_there(
    finished: Path, words: list[str], sample: str | None, more: tuple[str, ...], complaint: str
) -> None:
    result = assay("--run", finished, "--sample", sample or _blocked(finished), *words, *more)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_exchange_of_terms_beside_their_attribution(words: list[str], tmp_path: Path) -> None:
    terms = tmp_path / "terms.toml"
    terms.write_text("[weather.kind]\ngroups = ['bad', 'good']\nforms = [['rotten', 'lovely']]\n", encoding="utf-8")
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"a rotten day {n}\n" for n in range(12)), encoding="utf-8")
    options = [file, *words, "--swap", terms, "--method", "occlusion"]
    (effect,) = found(*options)["swaps"]
    assert (effect["group"], effect["effect"]["n"]) == ("bad", 12)
    assert effect["effect"]["value"] == pytest.approx(0.9)
    assert (effect["flips"]["value"], effect["disagree"]["value"]) == (1.0, 0.0)
    page = tmp_path / "page.html"
    assert "bad" in assay(*options, "--html", page).stdout
    assert "What the words do, by exchange" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give one of"),
        (["text", "--prompt", "x", "--model", "m"], "give one of"),
        (["  "], "the text is empty"),
        (["--prompt", "x"], "--prompt is for a --model"),
        (["--run", "r"], "--run and --sample go together"),
        (["text", "--output", "x"], "--output is about the answer"),
        (["text", "--why", "likely"], "--why is about the answer"),
        (["--model", "m", "--prompt", "x", "--swap", "identity"], "--swap is about a filter"),
        (["text", "--filter", "a", "--filter", "b"], "one --filter explains"),
        (["text", "--swap", "identity", "--counterfactual"], "--counterfactual is about one explanation"),
        (["--run", "nowhere", "--sample", "x"], "no report at nowhere"),
        (["no.csv"], "there is no file no.csv"),
        (["text", "--filter", "nothing"], "unknown filter 'nothing'"),
        (["text", "--swap", "nothing"], "neither identity nor topic"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments: list[str], complaint: str, words: list[str]) -> None:
    filters = [] if "--filter" in arguments or "--model" in arguments else words
    result = assay(*arguments, *filters)
    assert result.exit_code == 2, result.output
    assert complaint in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--category", "kindness"], "has no category 'kindness'"),
        (["--method", "guess"], "method 'guess'"),
        (["--counterfactual", "--policy", "standard"], "give --threshold"),
    ],
)
def test_what_the_filter_does_not_have_is_one_line(words: list[str], options: list[str], complaint: str) -> None:
    result = assay("a rotten day", *words, *options)
    assert result.exit_code == 2, result.output
    assert complaint in result.stderr


def test_page_that_cannot_be_written_is_one_line(words: list[str], tmp_path: Path) -> None:
    result = assay("a rotten day", *words, "--html", tmp_path / "none" / "page.html")
    assert result.exit_code == 4
    assert "cannot write" in result.stderr
