from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from evals.imports.imported import ImportedLog
from evals.imports.lm_eval import read_lm_eval, read_lm_eval_samples
from evals.imports.reporting import to_report
from evals.schema import Metric
from guard.errors import DataError
from tests.evals.imports.logs import DATE, lm_sample, write_lm_results, write_lm_samples


def figures(log: ImportedLog) -> dict[str, Metric]:
    return {f"{metric.task}/{metric.name}": metric for metric in to_report(log).models[0].metrics}


def test_no_right_answer_of_20_is_not_certainty(tmp_path: Path) -> None:
    """The harness prints 0.0 ± 0.0 here."""
    write_lm_samples(tmp_path, "mc", [lm_sample(i, acc=0.0) for i in range(20)])
    table = {"acc,none": 0.0, "acc_stderr,none": 0.0}
    log = read_lm_eval(write_lm_results(tmp_path, {"mc": table}, n={"mc": 20}))
    found = figures(log)["mc/acc"]
    assert (found.value, found.interval) == (0.0, (0.0, pytest.approx(0.1684, abs=1e-4)))
    assert (log.name, log.model, log.seed) == ("lm-evaluation-harness 0.4.13", "org/model", 7)
    assert log.date == "2026-11-25T04:28:06+00:00"
    assert len(log.files) == 2
    assert log.notes == ()


def test_filters_are_metrics_of_their_own(tmp_path: Path) -> None:
    samples = [
        lm_sample(i, filter_=name, exact_match=float(i < n))
        for name, n in (("strict", 2), ("loose", 5))
        for i in range(10)
    ]
    write_lm_samples(tmp_path, "gsm8k", samples)
    table = {"exact_match,strict": 0.2, "exact_match,loose": 0.5}
    found = figures(read_lm_eval(write_lm_results(tmp_path, {"gsm8k": table}, n={"gsm8k": 10})))
    assert {name: m.value for name, m in found.items()} == {
        "gsm8k/exact_match_strict": 0.2,
        "gsm8k/exact_match_loose": 0.5,
    }
    assert all(metric.n_prompts == 10 and metric.interval is not None for metric in found.values())


def test_what_is_no_mean_over_samples_keeps_the_harness_figure_without_interval(tmp_path: Path) -> None:
    samples = [lm_sample(i, bleu=["gold", "guess"], word_perplexity=[-3.2, 4], f1=[0, 1], acc=1.0) for i in range(10)]
    write_lm_samples(tmp_path, "task", samples)
    table = {"bleu,none": 12.5, "word_perplexity,none": 31.2, "f1,none": 0.4, "acc,none": 1.0}
    log = read_lm_eval(write_lm_results(tmp_path, {"task": table}, n={"task": 10}))
    found = figures(log)
    assert {n: (m.value, m.interval) for n, m in found.items() if n != "task/acc"} == {
        "task/bleu": (12.5, None),
        "task/word_perplexity": (31.2, None),  # which is not what these log-likelihoods give
        "task/f1": (0.4, None),
    }
    assert found["task/acc"].interval is not None
    assert set(log.values().unpaired) == {"task/bleu", "task/word_perplexity", "task/f1"}


def test_a_perplexity_has_the_interval_of_its_ratio(tmp_path: Path) -> None:
    """Two kinds of documents: 1 nat a word on 4 words, 3 nats a word on 2 words; pooled 10 nats on 6 words."""
    pairs = [[-4.0, 4], [-6.0, 2]] * 10
    samples = [
        lm_sample(i, word_perplexity=pair, bits_per_byte=pair, perplexity=pair[0]) for i, pair in enumerate(pairs)
    ]
    path = write_lm_samples(tmp_path, "wiki", samples)
    words = math.exp(10 / 6)
    table = {"word_perplexity,none": words, "bits_per_byte,none": 10 / 6 / math.log(2), "perplexity,none": math.exp(5)}
    log = read_lm_eval(write_lm_results(tmp_path, {"wiki": table}, n={"wiki": 20}))
    found = figures(log)
    assert found["wiki/word_perplexity"].value == pytest.approx(words)
    low, high = found["wiki/word_perplexity"].interval or (0, 0)
    # A document is off the ratio by (1 - 10/6) * 4 or (3 - 10/6) * 2 nats; there are 60 words in all.
    error = math.sqrt(sum(((w * (-n / w - 10 / 6)) / 60) ** 2 for n, w in pairs))
    assert (math.log(low), math.log(high)) == pytest.approx((10 / 6 - 2.1 * error, 10 / 6 + 2.1 * error), rel=0.03)
    assert found["wiki/perplexity"].value == pytest.approx(math.exp(5))
    assert found["wiki/bits_per_byte"].n_prompts == 20
    assert not any("Without an interval" in note for note in to_report(log).notes)
    alone = figures(read_lm_eval_samples(path))
    assert alone["wiki/word_perplexity"].value == pytest.approx(words)


def test_documents_that_are_all_alike_bound_no_perplexity(tmp_path: Path) -> None:
    write_lm_samples(tmp_path, "wiki", [lm_sample(i, byte_perplexity=[-2.0, 2]) for i in range(5)])
    log = read_lm_eval(write_lm_results(tmp_path, {"wiki": {"byte_perplexity,none": math.e}}, n={"wiki": 5}))
    assert (figures(log)["wiki/byte_perplexity"].value, figures(log)["wiki/byte_perplexity"].interval) == (
        pytest.approx(math.e),
        None,
    )


def test_a_figure_that_the_samples_do_not_give_stands_without_interval(tmp_path: Path) -> None:
    write_lm_samples(tmp_path, "task", [lm_sample(i, score=float(i)) for i in range(11)])
    log = read_lm_eval(write_lm_results(tmp_path, {"task": {"score,none": 4.0}}, n={"task": 11}))  # a median, say
    assert (figures(log)["task/score"].value, figures(log)["task/score"].interval) == (4.0, None)
    assert "lm-eval says 4, and the mean over the samples in the log is 5" in log.notes[0]


def test_instructions_of_one_document_are_samples_of_one_prompt(tmp_path: Path) -> None:
    samples = [lm_sample(i, inst_level_strict_acc=[i % 2 == 0] * 3) for i in range(10)]
    write_lm_samples(tmp_path, "ifeval", samples)
    log = read_lm_eval(write_lm_results(tmp_path, {"ifeval": {"inst_level_strict_acc,none": 0.5}}, n={"ifeval": 10}))
    found = figures(log)["ifeval/inst_level_strict_acc"]
    assert (found.n_prompts, found.n_samples) == (10, 30)
    assert found.interval == pytest.approx((0.187, 0.813), abs=1e-3)  # Clopper-Pearson for 5 of 10


def test_a_group_is_pooled_where_that_gives_its_figure(tmp_path: Path) -> None:
    write_lm_samples(tmp_path, "a", [lm_sample(i, acc=1.0) for i in range(10)])
    write_lm_samples(tmp_path, "b", [lm_sample(i, acc=0.0) for i in range(30)])
    results = {"a": {"acc,none": 1.0}, "b": {"acc,none": 0.0}, "micro": {"acc,none": 0.25}, "macro": {"acc,none": 0.5}}
    children = {"micro": ["a", "inner"], "inner": ["b"], "macro": ["a", "b"]}
    groups = {"micro": {"acc,none": 0.25}, "macro": {"acc,none": 0.5}}
    log = read_lm_eval(
        write_lm_results(tmp_path, results, n={"a": 10, "b": 30}, group_subtasks=children, groups=groups)
    )
    found = figures(log)
    assert (found["micro/acc"].value, found["micro/acc"].n_prompts) == (0.25, 40)
    assert found["micro/acc"].interval == pytest.approx((0.1269, 0.4120), abs=1e-3)
    assert (found["macro/acc"].value, found["macro/acc"].interval) == (0.5, None)


def test_groups_that_hold_each_other_end(tmp_path: Path) -> None:
    children = {"x": ["y", "y"], "y": ["x", "x", "a"], "a": []}
    log = read_lm_eval(write_lm_results(tmp_path, {"x": {"acc,none": 0.5}}, n={"a": 10}, group_subtasks=children))
    assert figures(log)["x/acc"].interval == pytest.approx((0.187, 0.813), abs=1e-3)


def test_without_samples_a_rate_is_exact_binomial_and_anything_else_has_no_interval(tmp_path: Path) -> None:
    table = {"acc,none": 0.3, "acc_stderr,none": 0.1, "f1,none": 0.0, "mc2,none": 0.123456, "exact,none": 55.0}
    log = read_lm_eval(write_lm_results(tmp_path, {"task": table}, n={"task": 20}))
    found = figures(log)
    assert found["task/acc"].interval == pytest.approx((0.1189, 0.5428), abs=1e-4)
    assert (found["task/acc"].n_prompts, found["task/acc"].n_samples) == (20, 20)
    assert [found[f"task/{name}"].interval for name in ("f1", "mc2", "exact")] == [None, None, None]
    told = to_report(log).notes
    assert any(note.startswith("Exact binomial, unclustered") and "task/acc" in note for note in told)
    assert any(note.startswith("Without an interval") for note in told)


@pytest.mark.parametrize("value", [0.31, -0.5, 1.5, 1e300])
def test_a_rate_that_is_no_count_of_hits_has_no_interval(tmp_path: Path, value: float) -> None:
    log = read_lm_eval(write_lm_results(tmp_path, {"task": {"acc,none": value}}, n={"task": 20}))
    assert (figures(log)["task/acc"].value, figures(log)["task/acc"].interval) == (value, None)


def test_a_torn_file_of_samples_leaves_unscored_ones(tmp_path: Path) -> None:
    path = write_lm_samples(tmp_path, "mc", [lm_sample(i, acc=float(i < 60)) for i in range(100)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.8)])
    log = read_lm_eval(write_lm_results(tmp_path, {"mc": {"acc,none": 0.6}}, n={"mc": 100}))
    found = figures(log)["mc/acc"]
    assert found.n_samples + found.n_unscored == 100
    assert found.n_unscored in (20, 21)
    assert "lines are broken" in log.notes[0]
    assert "are not in the log; they count as unscored" in log.notes[1]


def test_a_document_twice_under_one_filter_counts_once(tmp_path: Path) -> None:
    write_lm_samples(tmp_path, "mc", [lm_sample(i % 10, acc=float(i < 10)) for i in range(20)])
    log = read_lm_eval(write_lm_results(tmp_path, {"mc": {"acc,none": 1.0}}, n={"mc": 10}))
    assert (figures(log)["mc/acc"].n_samples, figures(log)["mc/acc"].value) == (10, 1.0)
    assert "10 values of a document came twice" in log.notes[0]


@pytest.mark.parametrize(("raw", "n_unscored"), [("0.5", 0), ("True", 0), ("n/a", 10), (None, 10), (float("nan"), 10)])
def test_values_written_as_text_are_numbers_or_unscored(tmp_path: Path, raw: object, n_unscored: int) -> None:
    log = read_lm_eval_samples(write_lm_samples(tmp_path, "mc", [lm_sample(i, acc=raw) for i in range(10)]))
    assert figures(log)["mc/acc"].n_unscored == n_unscored


def test_samples_alone_take_what_the_results_beside_them_say(tmp_path: Path) -> None:
    folder = tmp_path / "org__model"
    folder.mkdir()
    path = write_lm_samples(folder, "mc_one", [lm_sample(i, ppl=float(i), acc=1.0) for i in range(10)])
    alone = read_lm_eval_samples(path)
    assert (alone.model, alone.version, alone.tasks) == ("org/model", "unknown", ("mc_one",))
    write_lm_results(
        folder, {"mc_one": {"acc,none": 1.0}, "other": {"acc,none": 0.5}}, better={"mc_one": {"ppl": False}}
    )
    beside = read_lm_eval_samples(path)
    assert (beside.version, beside.tasks) == ("0.4.13", ("mc_one",))
    assert [metric.worse for metric in beside.metrics] == ["high", "low"]


@pytest.mark.parametrize("arguments", ["dtype=auto,pretrained=org/old,x=1", {"pretrained": "org/old", "dtype": "auto"}])
def test_a_model_is_found_among_the_arguments(tmp_path: Path, arguments: object) -> None:
    config = {"model": "hf", "model_args": arguments}
    path = write_lm_results(tmp_path, {"t": {"acc,none": 0.5}}, config=config, model_name=None)
    assert read_lm_eval(path).model == "org/old"


def test_samples_inside_the_results_are_read(tmp_path: Path) -> None:
    listed = {"mc": [lm_sample(i, acc=float(i < 5)) for i in range(10)]}
    log = read_lm_eval(write_lm_results(tmp_path, {"mc": {"acc,none": 0.5}}, n={"mc": 10}, samples=listed))
    assert figures(log)["mc/acc"].n_prompts == 10
    assert len(log.values().series[0].values) == 10


def test_the_form_before_filters_is_read(tmp_path: Path) -> None:
    old = [
        {"doc_id": i, "doc": {}, "target": "a", "arguments": [["q", " a"]], "resps": [], "filtered_resps": [], "acc": 1}
        for i in range(5)
    ]
    write_lm_samples(tmp_path, "arc", old)
    log = read_lm_eval(write_lm_results(tmp_path, {"arc": {"acc": 1.0, "acc_stderr": 0.0}}, n={"arc": 5}))
    assert figures(log)["arc/acc"].n_samples == 5
    assert log.texts([("arc", "0")])["arc", "0"].prompt == "q"


def test_the_worst_samples_have_their_texts(tmp_path: Path) -> None:
    write_lm_samples(tmp_path, "mc", [lm_sample(i, acc=float(i != 3)) for i in range(10)])
    report = to_report(read_lm_eval(write_lm_results(tmp_path, {"mc": {"acc,none": 0.9}}, n={"mc": 10})))
    (example,) = report.models[0].examples
    assert (example.sample_id, example.prompt, example.output) == ("3-00000003", "3+1=", "reply 3")


@pytest.mark.parametrize("document", [{}, {"results": []}, {"results": {}}, {"results": {"a": {"acc,none": "N/A"}}}])
def test_no_results_are_one_line(tmp_path: Path, document: object) -> None:
    path = tmp_path / f"results_{DATE}.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"no table 'results'|no metric"):
        read_lm_eval(path)
