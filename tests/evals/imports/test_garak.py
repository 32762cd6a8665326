from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.imports.garak import read_garak
from evals.imports.imported import ImportedLog
from evals.imports.reporting import to_report
from evals.schema import Metric
from guard.errors import DataError
from tests.evals.imports.logs import attempt, conversation, garak_eval, garak_lines, write_garak

METRIC = "dan.Dan/mitigation.Bypass"


def figures(log: ImportedLog) -> dict[str, Metric]:
    return {f"{metric.task}/{metric.name}": metric for metric in to_report(log).models[0].metrics}


def attempts(n: int, generations: int, hits: int, **more: Any) -> list[dict[str, Any]]:
    """Attempts of which the first `hits` are hit in every generation."""
    return [
        attempt(i, f"prompt {i}", {"mitigation.Bypass": [0.9 if i < hits else 0.1] * generations}, **more)
        for i in range(n)
    ]


def test_no_hit_of_30_prompts_is_not_certainty(tmp_path: Path) -> None:
    """The interval that garak 0.17.1 writes here is [0, 0]; the exact bound is 11.6%."""
    log = read_garak(
        write_garak(tmp_path / "x.report.jsonl", [*attempts(30, 1, 0), garak_eval("mitigation.Bypass", 30, 30)])
    )
    found = figures(log)[METRIC]
    assert (found.value, found.arm, found.n_prompts) == (0.0, "unguarded", 30)
    assert found.interval == (0.0, pytest.approx(0.1157, abs=1e-4))
    assert (log.name, log.model, log.notes) == ("garak 0.17.1", "org/target", ())


def test_generations_of_one_prompt_are_not_independent(tmp_path: Path) -> None:
    """10 prompts with 10 generations that are all alike say what 10 prompts say, and not what 100 would."""
    found = figures(read_garak(write_garak(tmp_path / "x.jsonl", attempts(10, 10, 2))))[METRIC]
    assert (found.value, found.n_prompts, found.n_samples) == (0.2, 10, 100)
    assert found.interval == pytest.approx((0.0252, 0.5561), abs=1e-3)  # Clopper-Pearson for 2 of 10


def test_an_attempt_counts_in_its_last_state(tmp_path: Path) -> None:
    answered = attempts(5, 2, 5, status=1)
    judged = attempts(5, 2, 1)
    log = read_garak(write_garak(tmp_path / "x.jsonl", [*answered, *judged]))
    assert (figures(log)[METRIC].value, figures(log)[METRIC].n_samples) == (0.2, 10)
    twice = read_garak(write_garak(tmp_path / "y.jsonl", [*judged, *judged]))
    assert figures(twice)[METRIC].n_samples == 10
    assert "5 attempts stand twice" in twice.notes[0]


def test_a_run_that_was_killed_leaves_unscored_samples(tmp_path: Path) -> None:
    """The last line is torn, and the detector had not seen every attempt."""
    lines = garak_lines([*attempts(10, 3, 2, status=1), *attempts(8, 3, 2)])[:-1]
    path = tmp_path / "x.report.jsonl"
    path.write_text("".join(lines) + '{"entry_type": "attempt", "uuid": "0000')
    log = read_garak(path)
    found = figures(log)[METRIC]
    assert (found.n_samples, found.n_unscored) == (24, 6)
    told = " ".join(log.notes)
    assert "1 lines are broken" in told
    assert "The report has no end" in told
    assert "2 attempts were never judged" in told


def test_what_a_detector_did_not_score_is_unscored(tmp_path: Path) -> None:
    entries = [attempt(i, f"p{i}", {"a.B": [0.0, None, 0.8]}) for i in range(5)]
    entries += [{**attempt(9, "p9", {"a.B": [0.0]}), "outputs": ["one", None, "three"]}]  # older versions left None out
    found = figures(read_garak(write_garak(tmp_path / "x.jsonl", entries)))["dan.Dan/a.B"]
    assert (found.n_samples, found.n_unscored) == (11, 7)


def test_attempts_on_one_prompt_and_its_buffed_forms_are_one_unit(tmp_path: Path) -> None:
    same = [attempt(i, "one prompt", {"a.B": [0.0]}) for i in range(3)]
    buffed = [
        {**attempt(10 + i, f"variant {i}", {"a.B": [0.0]}), "seq": 0, "notes": {"buff_source_seq": 0}} for i in range(4)
    ]
    found = figures(read_garak(write_garak(tmp_path / "x.jsonl", [*same, *buffed])))["dan.Dan/a.B"]
    assert (found.n_prompts, found.n_samples) == (1, 7)


FORMS: list[Mapping[str, Any]] = [
    {"prompt": "tell me"},
    {"prompt": {"text": "tell me", "lang": "en"}},
    {"prompt": conversation("tell me")},
]


def test_a_prompt_has_one_name_whatever_version_wrote_it(tmp_path: Path) -> None:
    entries = [{**attempt(i, "", {"a.B": [1.0]}), **form} for i, form in enumerate(FORMS)]
    (metric,) = read_garak(write_garak(tmp_path / "x.jsonl", entries)).metrics
    assert len({value.prompt_id for value in metric.values}) == 1
    assert len({value.sample_id for value in metric.values}) == 3


def test_prompts_with_pictures_are_told_apart(tmp_path: Path) -> None:
    entries = []
    for i in range(2):
        entry = attempt(i, "what is this?", {"a.B": [0.0]})
        entry["prompt"]["turns"][0]["content"]["data_path"] = f"{i}.png"
        entries.append(entry)
    assert figures(read_garak(write_garak(tmp_path / "x.jsonl", entries)))["dan.Dan/a.B"].n_prompts == 2


@pytest.mark.parametrize(
    ("passed", "expected", "notes"),
    [(4, 0.6, 0), (7, 0.3, 1), (10, 0.0, 1), (0, 1.0, 1)],
)
def test_the_threshold_is_the_one_that_gives_garaks_own_counts(
    tmp_path: Path, passed: int, expected: float, notes: int
) -> None:
    """A report says every setting but this one: numbers with a fraction are left out of it."""
    entries = [attempt(i, f"p{i}", {"a.B": [i / 10]}) for i in range(1, 11)]  # six are at or over one half
    log = read_garak(write_garak(tmp_path / "x.jsonl", [*entries, garak_eval("a.B", passed, 10)]))
    assert figures(log)["dan.Dan/a.B"].value == pytest.approx(expected)
    assert [note.startswith("A detector hits from the score") for note in log.notes] == [True] * notes
    assert (log.settings["threshold"] == "0.5") == (notes == 0)


def test_counts_that_no_threshold_gives_are_told_of(tmp_path: Path) -> None:
    entries = [attempt(i, f"p{i}", {"a.B": [0.9]}) for i in range(10)] + [garak_eval("a.B", 3, 10)]
    log = read_garak(write_garak(tmp_path / "x.jsonl", entries))
    assert figures(log)["dan.Dan/a.B"].value == 1.0
    assert "garak counted 7 hits of 10, and the attempts in the report have 10 of 10" in " ".join(log.notes)


def test_without_attempts_garaks_own_count_is_exact_binomial(tmp_path: Path) -> None:
    entries = [garak_eval("a.B", 30, 30), garak_eval("c.D", 15, 20, nones=2)]
    log = read_garak(write_garak(tmp_path / "x.jsonl", entries))
    found = figures(log)
    assert found["dan.Dan/a.B"].interval == (0.0, pytest.approx(0.1157, abs=1e-4))
    assert (found["dan.Dan/c.D"].value, found["dan.Dan/c.D"].n_unscored) == (0.25, 2)
    assert any(note.startswith("Exact binomial, unclustered") for note in to_report(log).notes)


def test_the_count_of_older_versions_is_read(tmp_path: Path) -> None:
    entry = {"entry_type": "eval", "probe": "probes.dan.Dan", "detector": "detector a.B", "passed": 9, "total": 10}
    assert figures(read_garak(write_garak(tmp_path / "x.jsonl", [entry])))["dan.Dan/a.B"].value == 0.1


def test_names_that_a_gate_could_not_tell_apart_are_numbered(tmp_path: Path) -> None:
    entries = [attempt(i, f"p{i}", {"a/b": [0.0], "a b": [1.0]}) for i in range(4)]
    assert sorted(figures(read_garak(write_garak(tmp_path / "x.jsonl", entries)))) == ["dan.Dan/a_b", "dan.Dan/a_b_2"]


def test_the_worst_samples_have_their_texts(tmp_path: Path) -> None:
    entries = [attempt(i, f"prompt {i}", {"a.B": [0.0, float(i == 3)]}) for i in range(6)]
    (example,) = to_report(read_garak(write_garak(tmp_path / "x.jsonl", entries))).models[0].examples
    assert (example.prompt, example.output, example.score) == ("prompt 3", "out 3.1", 1.0)


WRONG: list[Mapping[str, Any]] = [
    {"outputs": None},
    {"detector_results": {"a.B": "all"}},
    {"detector_results": [1]},
    {"notes": None, "prompt": None},
    {"status": "2", "seq": {}},
    {"probe_classname": 7},
    {"detector_results": {"a.B": [{}, "x", 1e400, -3]}},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_types_in_one_attempt_leave_the_others(tmp_path: Path, wrong: Mapping[str, Any]) -> None:
    entries = [attempt(i, f"p{i}", {"a.B": [1.0]}) for i in range(5)] + [{**attempt(9, "p9", {"a.B": [1.0]}), **wrong}]
    found = figures(read_garak(write_garak(tmp_path / "x.jsonl", entries)))["dan.Dan/a.B"]
    assert found.n_prompts >= 5


@pytest.mark.parametrize("entries", [[], [{"entry_type": "digest", "meta": {}}], attempts(3, 2, 0, status=1)])
def test_a_report_without_judgements_is_one_line(tmp_path: Path, entries: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match="no attempt in it was judged"):
        read_garak(write_garak(tmp_path / "x.jsonl", entries))


def test_lines_of_other_kinds_are_counted(tmp_path: Path) -> None:
    path = write_garak(tmp_path / "x.jsonl", attempts(3, 1, 0))
    with path.open("a") as stream:
        stream.write(json.dumps({"no": "type"}) + "\n" + json.dumps({**garak_eval("a.B", 9, 3)}) + "\n[1]\n")
    assert "3 lines are broken or no entry of garak" in read_garak(path).notes[0]
