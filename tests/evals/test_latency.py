"""Times and cost by model and task, by hand."""

from __future__ import annotations

import json

from evals.latency import latency
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
    found = latency({"m": RECORDS}, price=Price(1.0, 2.0))["m"]
    assert isinstance(found, dict)
    assert found["all"] == {
        "samples": 3,
        "ms a sample": {"p50": 110.0, "p90": 270.0},
        "generate ms a sample": 133.33,
        "filter ms a sample": 8.33,
        "tokens written": 40,
        "tokens read": 10,
        "tokens a second": 100.0,
        "cost": 0.00009,
    }
    assert list(found["tasks"]) == ["quality", "robustness"]
    assert found["tasks"]["quality"]["ms a sample"] == {"p50": 210.0, "p90": 290.0}


def test_what_wrote_nothing_has_no_speed_and_without_a_price_there_is_no_cost() -> None:
    found = latency({"m": RECORDS})["m"]
    assert isinstance(found, dict)
    assert found["tasks"]["robustness"]["tokens a second"] is None
    assert "cost" not in found["all"]


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
