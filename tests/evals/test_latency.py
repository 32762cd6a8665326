"""Times and cost by model and task, by hand."""

from __future__ import annotations

import json

from evals.latency import cost_sentence, latency
from evals.schema import Record, Sample
from guard.generators.endpoint_costs import Price


def _record(task: str, number: int, **times: float) -> Record:
    return Record(Sample(f"{task}/{number}", task, str(number), "p", "g", 0), "text", {}, times)


RECORDS = [
    _record("quality", 0, generate_ms=100.0, filter_ms=10.0, tokens=20.0, **{"tokens read": 5.0}),
    _record("quality", 1, generate_ms=300.0, filter_ms=10.0, tokens=20.0, **{"tokens read": 5.0}),
    _record("robustness", 0, generate_ms=0.0, filter_ms=5.0, tokens=0.0),
]


def test_quantiles_speed_and_cost_by_hand() -> None:
    found = latency({"m": RECORDS}, prices={"m": Price(1.0, 2.0, "EUR")})["m"]
    assert isinstance(found, dict)
    assert found["all"] == {
        "samples": 3,
        "ms a sample": {"p50": 110.0, "p90": 270.0},
        "generate ms a sample": 133.33,
        "filter ms a sample": 8.33,
        "tokens written": 40,
        "tokens read": 10,
        "tokens a second": 100.0,
        "cost EUR": 0.00009,
        "cost EUR per 1,000 samples": 0.03,
        "answers without usage": 0,
    }
    assert list(found["tasks"]) == ["quality", "robustness"]
    assert found["tasks"]["quality"]["ms a sample"] == {"p50": 210.0, "p90": 290.0}


def test_what_wrote_nothing_has_no_speed_and_without_a_price_there_is_no_cost() -> None:
    found = latency({"m": RECORDS})["m"]
    assert isinstance(found, dict)
    assert found["tasks"]["robustness"]["tokens a second"] is None
    assert not any("cost" in key for key in found["all"])
    assert cost_sentence({"m": RECORDS}, {}) == {}


def test_models_without_a_price_and_answers_without_usage_are_said() -> None:
    silent = [_record("quality", 0, **{"answers without usage": 1.0})] * 2
    half = [*RECORDS, *silent]
    records = {"priced": RECORDS, "silent": silent, "half": half, "local": RECORDS}
    prices = dict.fromkeys(("priced", "silent", "half"), Price(1.0, 2.0))
    found = latency(records, prices=prices)
    assert found["silent"]["all"]["cost USD"] is None  # type: ignore[index]
    assert found["half"]["all"]["answers without usage"] == 2  # type: ignore[index]
    assert cost_sentence(records, prices)["cost"] == (
        "priced cost 9e-05 USD, 0.03 USD per 1,000 samples; silent cost an unknown sum, since no answer said what it"
        " used; half cost 9e-05 USD, 0.018 USD per 1,000 samples, at least: 2 answers did not say what they used;"
        " local has no price."
    )


def test_no_samples_are_no_times() -> None:
    found = latency({"m": []})
    assert found["m"] == {
        "all": {
            "samples": 0,
            "ms a sample": {"p50": None, "p90": None},
            "generate ms a sample": None,
            "filter ms a sample": None,
            "tokens written": 0,
            "tokens read": 0,
            "tokens a second": None,
        },
        "tasks": {},
    }
    assert json.loads(json.dumps(found)) == found
