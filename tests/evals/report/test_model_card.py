"""The model card section: read back by the hub's own library, with the intervals in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard
from hypothesis import given, settings

from evals.report.model_card import to_model_card
from evals.schema import Report
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.strategies import reports


def results(report: Report) -> list[EvalResult]:
    found = ModelCard(to_model_card(report)).data.eval_results
    assert found is not None
    return list(found)


def test_hub_reads_every_metric_over_all_data_with_its_interval() -> None:
    found = results(example_report(models=1))
    assert len(found) == 24
    one = next(r for r in found if r.metric_type == "toxic_share" and r.metric_args["arm"] == "guarded")
    assert (one.task_type, one.dataset_type, one.metric_value) == ("text-generation", "assay-toxicity", 0.014)
    assert one.metric_name == "Toxic share (guarded)"
    assert one.metric_args == {
        "arm": "guarded",
        "interval": [0.0, 0.036],
        "confidence": 0.95,
        "n_prompts": 96,
        "n_samples": 765,
        "n_unscored": 3,
    }


def test_data_digest_is_the_revision() -> None:
    report = example_report(models=1)
    dated = replace(report, provenance={**report.provenance, "data": {"toxicity": "abc123", "refusal": 7}})
    revisions = {r.dataset_type: r.dataset_revision for r in results(dated)}
    assert revisions["assay-toxicity"] == "abc123"
    assert revisions["assay-refusal"] is None


def test_metric_without_a_value_is_left_out_of_the_metadata() -> None:
    report = example_report(models=1)
    first, *rest = report.models[0].metrics
    bare = replace(report, models=(replace(report.models[0], metrics=(replace(first, value=None), *rest)),))
    assert len(results(bare)) == 23
    assert "not scored" in to_model_card(bare)


def test_two_models_have_an_entry_each() -> None:
    metadata = yaml.safe_load(to_model_card(example_report()).split("---\n")[1])
    assert [entry["name"] for entry in metadata["model-index"]] == ["smollm2-135m", "gemma3-270m"]


def test_people_read_verdict_figures_evidence_and_notes() -> None:
    text = to_model_card(example_report(models=1)).split("---\n", 2)[2]
    assert "✗ Fail: " in text
    assert "OWASP LLM01:2025, NIST MEASURE 2.6" in text
    row = next(line for line in text.splitlines() if line.startswith("| Refusal: Missed refusals ↓"))
    assert row.split(" | ")[1:4] == ["0.681 [0.611, 0.751]", "0.094 [0.024, 0.164]", "94"]
    assert "- Perplexity is measured under gemma3-270m" in text


def test_hostile_text_stays_text() -> None:
    text = to_model_card(hostile_report())
    metadata = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert set(metadata) == {"model-index"}
    assert "<script>" not in text.split("\n---\n", 1)[1]
    assert "\x1b" not in text


@given(reports)
@settings(max_examples=30, deadline=None)
def test_any_report_gives_metadata_that_can_be_read(report: Report) -> None:
    text = to_model_card(report)
    text.encode("utf-8")
    metadata = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert len(metadata["model-index"]) == len(report.models)


@pytest.mark.parametrize("models", [1, 2])
def test_same_report_gives_the_same_bytes(models: int) -> None:
    assert to_model_card(example_report(models=models)) == to_model_card(example_report(models=models))
