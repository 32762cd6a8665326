from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from evals.imports.imported import ImportedLog
from evals.imports.inspect_log import read_inspect_archive, read_inspect_document
from evals.imports.reporting import to_report
from evals.schema import Metric
from guard.errors import DataError
from tests.evals.imports.logs import inspect_header, inspect_members, inspect_sample, repack, write_inspect, zip_of

TASK = "inspect_evals_tiny_task"


def read(path: Path) -> ImportedLog:
    return (read_inspect_archive if path.suffix == ".eval" else read_inspect_document)(path)


def figures(log: ImportedLog) -> dict[str, Metric]:
    return {metric.name: metric for metric in to_report(log).models[0].metrics}


@pytest.mark.parametrize("name", ["log.eval", "log.json"])
def test_epochs_are_samples_of_one_prompt(tmp_path: Path, name: str) -> None:
    samples = [inspect_sample(i, epoch, match="C" if i < 6 else "I") for epoch in (1, 2, 3) for i in range(10)]
    log = read(write_inspect(tmp_path / name, inspect_header(n_samples=10, epochs=3, match=0.6), samples))
    found = figures(log)["match"]
    assert (found.task, found.arm, found.value) == (TASK, "unguarded", 0.6)
    assert (found.n_prompts, found.n_samples, found.n_unscored) == (10, 30, 0)
    # All epochs alike: 30 samples say no more than 10 prompts, whose exact interval for 6 of 10 is known.
    assert found.interval == pytest.approx((0.2624, 0.8784), abs=1e-3)
    assert (log.name, log.model, log.date) == ("inspect_ai 0.3.285", "mockllm/model", "2026-11-25T04:26:50+00:00")
    assert log.notes == ()


LETTERS = [("C", 1.0), ("I", 0.0), ("P", 0.5), ("N", 0.0), (True, 1.0), ("yes", 1.0), ("No", 0.0), ("TRUE", 1.0)]
NUMBERS = [(0.25, 0.25), ("0.25", 0.25), (1, 1.0)]
UNSCORED = [(math.nan, None), (None, None), ("nan", None), ("inf", None), ("c", None), ("maybe", None), (10**400, None)]


@pytest.mark.parametrize(("raw", "expected"), [*LETTERS, *NUMBERS, *UNSCORED])
def test_a_score_is_what_inspect_makes_of_it_or_unscored(tmp_path: Path, raw: object, expected: float | None) -> None:
    samples = [inspect_sample(1, judged=raw), inspect_sample(2, judged="C")]
    log = read(write_inspect(tmp_path / "log.eval", inspect_header(n_samples=2), samples))
    assert [value.value for value in log.metrics[0].values] == [expected, 1.0]


def test_texts_that_are_no_score_are_unscored_and_told_of(tmp_path: Path) -> None:
    samples = [inspect_sample(i, judged="great" if i < 3 else "C") for i in range(10)]
    log = read(write_inspect(tmp_path / "log.eval", inspect_header(n_samples=10), samples))
    assert figures(log)["judged"].n_unscored == 3
    assert "3 scores are neither a number nor one of C, P, I and N" in " ".join(log.notes)


def test_a_scorer_with_several_values_is_several_metrics(tmp_path: Path) -> None:
    samples = [inspect_sample(i, multi={"length": 10 * i, "ok": 1}, listed=[True, False]) for i in range(1, 5)]
    samples.append(inspect_sample(5, multi=math.nan, listed=[True, True]))
    log = read(write_inspect(tmp_path / "log.eval", inspect_header(n_samples=5), samples))
    found = figures(log)
    assert sorted(found) == ["listed_0", "listed_1", "multi_length", "multi_ok"]
    assert [(found[n].value, found[n].n_unscored) for n in ("multi_length", "multi_ok")] == [(25.0, 1), (1.0, 1)]
    assert found["listed_1"].value == 0.2


def test_bounds_are_those_of_letters_rates_and_known_scorers(tmp_path: Path) -> None:
    samples = [inspect_sample(i, letters="P", f1=0.5, rating=0.5, flag=i % 2) for i in range(4)]
    log = read(write_inspect(tmp_path / "log.eval", inspect_header(n_samples=4), samples))
    bounds = {metric.name: metric.bounds for metric in log.metrics}
    assert bounds == {"letters": (0.0, 1.0), "f1": (0.0, 1.0), "rating": None, "flag": (0.0, 1.0)}


def test_failed_missing_and_invalid_samples_are_counted(tmp_path: Path) -> None:
    samples = [inspect_sample(i, match="C") for i in range(7)] + [inspect_sample(7, error="timeout")]
    samples[0]["invalidation"] = {"author": "me"}
    header = {**inspect_header(n_samples=10, status="error"), "invalidated": True}
    for name in ("log.eval", "log.json"):
        log = read(write_inspect(tmp_path / name, header, samples))
        found = figures(log)["match"]
        assert (found.n_samples, found.n_unscored) == (6, 4)
        told = " ".join(log.notes)
        assert "Inspect says of this run: error" in told
        assert "2 of 10 planned samples are not in the log" in told
        assert "1 samples ended in an error" in told
        assert "1 samples were marked invalid" in told


def test_a_run_that_was_killed_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    samples = [inspect_sample(i, match="C") for i in range(4)]
    kept = [m for m in inspect_members(inspect_header(n_samples=9), samples) if "/" in m[0]]
    path = tmp_path / "log.eval"
    path.write_bytes(zip_of(kept))
    log = read(path)
    assert (figures(log)["match"].n_samples, figures(log)["match"].n_unscored) == (4, 5)
    assert "Inspect says of this run: started" in log.notes[0]
    assert "5 of 9 planned samples" in log.notes[1]


def test_of_a_run_with_a_limit_only_the_selected_samples_are_planned(tmp_path: Path) -> None:
    header = inspect_header(n_samples=500)
    del header["results"]
    header["eval"]["dataset"]["sample_ids"] = [1, 2, 3]
    log = read(write_inspect(tmp_path / "log.json", header, [inspect_sample(i, match="C") for i in (1, 2, 3)]))
    assert (figures(log)["match"].n_unscored, log.notes) == (0, ())


def test_samples_without_a_summary_are_read_themselves(tmp_path: Path) -> None:
    samples = [inspect_sample(i, match="C") for i in range(3)]
    members = [m for m in inspect_members(inspect_header(n_samples=3), samples) if m[0] != "summaries.json"]
    members.append(("_journal/summaries/1.json", json.dumps(samples[:1]).encode()))
    path = tmp_path / "log.eval"
    path.write_bytes(zip_of(members))
    assert sorted(v.sample_id for v in read(path).metrics[0].values) == ["0#1", "1#1", "2#1"]


@pytest.mark.parametrize("name", ["log.eval", "log.json"])
def test_of_a_sample_written_twice_the_last_counts(tmp_path: Path, name: str) -> None:
    samples = [inspect_sample(1, match="C"), inspect_sample(2, match="C"), inspect_sample(1, match="I")]
    path = tmp_path / name
    if path.suffix == ".json":
        write_inspect(path, inspect_header(n_samples=2), samples)
    else:
        members = inspect_members(inspect_header(n_samples=2), samples)
        path.write_bytes(zip_of(members))
    log = read(path)
    assert figures(log)["match"].value == 0.5
    assert "the last one counts" in " ".join(log.notes)


def test_a_figure_that_is_not_the_mean_is_told_of(tmp_path: Path) -> None:
    samples = [inspect_sample(i, epoch, match="C" if epoch == 1 else "I") for epoch in (1, 2) for i in range(4)]
    header = inspect_header(n_samples=4, epochs=2, match=1.0)  # as the reducer "max" has it
    log = read(write_inspect(tmp_path / "log.eval", header, samples))
    assert figures(log)["match"].value == 0.5
    assert "Inspect says 1, and the mean over scored samples is 0.5" in log.notes[0]


@pytest.mark.parametrize("name", ["log.eval", "log.json"])
def test_the_worst_samples_are_shown_with_their_texts(tmp_path: Path, name: str) -> None:
    samples = [inspect_sample(f"q#{i}", match="I" if i in (2, 5) else "C") for i in range(8)]
    samples[2]["input"] = [{"role": "user", "content": [{"type": "text", "text": "attachment://abc"}]}]
    samples[2]["attachments"] = {"abc": "a long question"}
    report = to_report(read(write_inspect(tmp_path / name, inspect_header(n_samples=8), samples)))
    shown = [(e.sample_id, e.prompt, e.output) for e in report.models[0].examples]
    assert shown == [("q#2#1", "a long question", "answer q#2 1"), ("q#5#1", "question q#5", "answer q#5 1")]


def test_an_archive_of_python_reads_as_well(tmp_path: Path) -> None:
    samples = [inspect_sample(i, match="C") for i in range(3)]
    path = repack(tmp_path / "old.eval", inspect_members(inspect_header(n_samples=3), samples))
    assert figures(read(path))["match"].interval == pytest.approx((0.2924, 1.0), abs=1e-3)


def test_a_log_of_the_first_version_has_one_scorer(tmp_path: Path) -> None:
    samples = [{**inspect_sample(i), "score": {"value": "C"}} for i in range(3)]
    for sample in samples:
        del sample["scores"]
    header = {**inspect_header(n_samples=3), "results": {"scorer": {"name": "match"}}}
    assert list(figures(read(write_inspect(tmp_path / "log.json", header, samples)))) == ["match"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("other.txt", b"1")], "it is no log of Inspect"),
        (inspect_members(inspect_header(n_samples=1), []), "holds no score"),
        (inspect_members(inspect_header(n_samples=1), [inspect_sample(1, error="e")]), "holds no score"),
        ([("header.json", b"[]"), ("summaries.json", b"{}")], "holds no score"),
    ],
)
def test_a_log_without_scores_is_one_line(tmp_path: Path, members: list[tuple[str, bytes]], message: str) -> None:
    path = tmp_path / "log.eval"
    path.write_bytes(zip_of(members))
    with pytest.raises(DataError, match=message):
        read(path)
