from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evals.calibration import Columns, Promise, calibrate_policy, describe, to_json
from guard.errors import AssayError, ConfigError, DataError, FilterError, OutputError
from guard.filters.callable import CallableFilter
from guard.policy import Policy
from guard.schema import Action

MISS = Promise("miss", 0.05, future_n=0)


def _stated(text: str) -> float:
    """The score that a text says it has, as in ``"text 37"``: 0.37."""
    return int(text.split()[1]) / 100


STATED = CallableFilter(_stated, categories=["toxicity"], name="stated@1")
OTHER = CallableFilter(lambda _text: 0.0, categories=["rude"], name="other@1")


def _rows(n: int = 100) -> list[dict[str, Any]]:
    harmful = [{"text": f"text {i + 1}", "label": 1} for i in range(n)]
    return harmful + [{"text": f"text {i}", "label": 0} for i in range(n)]


def _csv(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path = folder / "labelled.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def _calibrate(source: Path, folder: Path, **changed: Any) -> Any:
    options: dict[str, Any] = {"stage": "output", "category": "toxicity", "promise": MISS, "filters": [STATED, OTHER]}
    return calibrate_policy(source, folder / "mine.toml", **{**options, **changed})


def test_policy_gets_the_threshold_and_its_certificate(tmp_path: Path) -> None:
    source = _csv(tmp_path, _rows())
    result = _calibrate(source, tmp_path)
    assert result.calibration.threshold == 0.02  # of .01, .02, ... one may be missed
    written, standard = Policy.load(result.out), Policy.load("standard")
    assert written.name == "mine"
    assert written.thresholds == {**standard.thresholds, ("output", "toxicity"): (0.02, Action.BLOCK)}
    record = written.certificates["output", "toxicity"]
    assert record == result.certificate
    assert record.data == "sha256:" + hashlib.sha256(source.read_bytes()).hexdigest()
    assert record.filters == ("stated@1",)
    assert record.created_by.startswith("assay ")
    assert (record.n, record.n_events, record.level) == (100, 1, 0.05)


def test_description_says_it_in_words(tmp_path: Path) -> None:
    lines = describe(_calibrate(_csv(tmp_path, [*_rows(), {"text": "", "label": 1}]), tmp_path))
    assert lines == [
        "output.toxicity: threshold 0.02, action block",
        "here: 1 of 100 harmful texts missed",
        "promise: with 95% confidence, at most 4.656% of harmful texts missed",
        "price: 98 of 100 harmless texts flagged (98%); nothing is promised of this",
        "the promise holds for texts drawn as these were, judged by the same filters, and for no others",
        "99 texts repeat an earlier one: give --group-column unless they were drawn apart from each other",
        "1 rows without a text were left out",
    ]


@pytest.mark.parametrize(
    ("promise", "line"),
    [
        (
            Promise("miss", 0.05),
            "with 95% confidence, at most 2.951% of harmful texts missed, and at most 5% of the next",
        ),
        (
            Promise("false_alarm", 0.05, 0.9, future_n=0),
            "with 90% confidence, at most 3.834% of harmless texts flagged",
        ),
        (
            Promise("miss", 0.05, method="conformal-risk-control"),
            "on average over calibrations, at most 4.95% of harmful texts missed",
        ),
    ],
)
def test_description_of_each_promise(tmp_path: Path, promise: Promise, line: str) -> None:
    assert line in "\n".join(describe(_calibrate(_csv(tmp_path, _rows()), tmp_path, promise=promise)))


def test_price_without_the_other_class_is_unknown(tmp_path: Path) -> None:
    rows = [row for row in _rows() if row["label"] == 0]
    result = _calibrate(_csv(tmp_path, rows), tmp_path, promise=Promise("false_alarm", 0.05))
    assert "price: unknown, since no text is labelled harmful" in describe(result)


def test_json_is_the_result(tmp_path: Path) -> None:
    result = _calibrate(_csv(tmp_path, _rows()), tmp_path)
    found = json.loads(to_json(result))
    assert found["threshold"] == found["certificate"]["threshold"] == 0.02
    assert (found["stage"], found["category"], found["action"]) == ("output", "toxicity", "block")
    assert (found["n_other"], found["n_other_events"], found["policy"]) == (100, 98, str(result.out))


@pytest.mark.parametrize("form", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("true", "false", "positive"),
    [(1, 0, None), (True, False, None), (1.0, 0.0, None), ("True", "false", None), ("bad", "fine", "bad"), (3, 7, "3")],
)
def test_every_form_and_label_gives_one_threshold(
    tmp_path: Path, form: str, true: Any, false: Any, positive: str | None
) -> None:
    rows = [{"prompt": row["text"], "kind": true if row["label"] else false} for row in _rows()]
    source, frame = tmp_path / f"labelled{form}", pd.DataFrame(rows)
    if form == ".csv":
        frame.to_csv(source, index=False)
    elif form == ".jsonl":
        frame.to_json(source, orient="records", lines=True)
    else:
        frame.to_parquet(source)
    result = _calibrate(source, tmp_path, columns=Columns("prompt", "kind", positive=positive))
    assert (result.calibration.threshold, result.calibration.n_other_events) == (0.02, 98)


def test_groups_are_the_unit(tmp_path: Path) -> None:
    rows = [{**row, "of": index // 2} for index, row in enumerate(_rows() * 2)]
    result = _calibrate(_csv(tmp_path, rows), tmp_path, columns=Columns(group="of"))
    assert (result.calibration.n, result.certificate.unit) == (100, "group")
    assert "groups with harmful texts missed" in describe(result)[1]


def test_rule_that_is_there_keeps_its_action_and_a_new_one_takes_the_one_given(tmp_path: Path) -> None:
    policy = tmp_path / "given.toml"
    policy.write_text("[output.toxicity]\nthreshold = 0.5\naction = 'redact'\n", encoding="utf-8")
    source = _csv(tmp_path, _rows())
    result = _calibrate(source, tmp_path, policy=policy, action=Action.REVIEW)
    assert Policy.load(result.out).thresholds == {("output", "toxicity"): (0.02, Action.REDACT)}
    assert result.action == Action.REDACT
    result = _calibrate(source, tmp_path, policy=policy, stage="input", action=Action.REVIEW)
    assert Policy.load(result.out).thresholds["input", "toxicity"] == (0.02, Action.REVIEW)
    assert result.action == Action.REVIEW


def test_policy_may_be_written_over_itself(tmp_path: Path) -> None:
    source = _csv(tmp_path, _rows())
    first = _calibrate(source, tmp_path).out.read_text(encoding="utf-8")
    second = _calibrate(source, tmp_path, policy=tmp_path / "mine.toml").out.read_text(encoding="utf-8")
    assert first == second


def test_texts_are_scored_as_the_guard_reads_them(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(text: str) -> float:
        seen.append(text)
        return 0.5

    rows = [{"text": "b\u200ba\u200bd", "label": 1}] * 100
    source = _csv(tmp_path, rows)
    _calibrate(source, tmp_path, filters=[CallableFilter(look, categories=["toxicity"], name="look@1")])
    assert "bad" in seen


def test_progress_ends_at_the_number_of_texts(tmp_path: Path) -> None:
    told: list[int] = []
    _calibrate(_csv(tmp_path, _rows()), tmp_path, batch_rows=64, on_progress=told.append)
    assert told == [64, 128, 192, 200]


@pytest.mark.parametrize(
    ("rows", "changed", "error", "message"),
    [
        (_rows(), {"columns": Columns("txt")}, DataError, r"no column 'txt' .did you mean 'text'.*it has text, label"),
        (_rows(), {"columns": Columns(label="labels")}, DataError, r"no column 'labels' .did you mean 'label'"),
        (_rows(), {"columns": Columns(group="prompt")}, DataError, "no column 'prompt'; it has text, label"),
        (_rows(), {"columns": Columns(positive="yes")}, DataError, r"no 'label' is 'yes'; there are '0', '1'$"),
        (_rows(40), {}, DataError, "needs at least 59 harmful texts for a bound of 5% at 95% confidence: found 40"),
        (_rows()[100:], {}, DataError, "needs at least 59 harmful texts .* found 0"),
        (
            [*_rows(), {"text": "a 1", "label": "2"}],
            {},
            DataError,
            "row 201: 'label' is '2', neither 0 nor 1: say which",
        ),
        ([*_rows(), {"text": "a 1", "label": None}], {}, DataError, "row 201: 'label' is empty: every row needs one"),
        (
            [{**row, "of": ""} for row in _rows()],
            {"columns": Columns(group="of")},
            DataError,
            "row 1: 'of' is empty: every row needs one",
        ),
        (_rows(), {"category": "toxicty"}, ConfigError, "no filter gives 'toxicty' .did you mean 'toxicity'"),
        (_rows(), {"filters": []}, ConfigError, "no filter gives 'toxicity'; they give: nothing"),
        (_rows(), {"policy": "standart"}, ConfigError, "no policy named 'standart'"),
        (_rows(), {"promise": Promise("miss", 5)}, ConfigError, "level is 5: expected a number between 0 and 1"),
        (_rows(), {"batch_rows": 0}, ConfigError, "batch_rows is 0"),
        ([{"text": "text 0", "label": 1}] * 100, {}, DataError, "100 of 100 harmful texts score 0"),
        ([*_rows(), {"text": "nothing", "label": 0}], {}, FilterError, "stated@1"),
    ],
)
def test_refusal_is_one_line_and_writes_nothing(
    tmp_path: Path, rows: list[dict[str, Any]], changed: dict[str, Any], error: type[AssayError], message: str
) -> None:
    source = _csv(tmp_path, rows)
    with pytest.raises(error, match=message) as caught:
        _calibrate(source, tmp_path, **changed)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["labelled.csv"]


def test_too_few_is_said_before_a_text_is_scored(tmp_path: Path) -> None:
    called: list[str] = []
    counting = CallableFilter(lambda text: float(bool(called.append(text))), categories=["toxicity"], name="c@1")
    with pytest.raises(DataError, match="needs at least"):
        _calibrate(_csv(tmp_path, _rows(20)), tmp_path, filters=[counting])
    assert called == []


def test_output_in_no_folder_is_refused_before_a_text_is_scored(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*mine\.toml: there is no folder .*nowhere"):
        _calibrate(_csv(tmp_path, _rows(1)), tmp_path / "nowhere")


def test_output_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.json does not end in \.toml"):
        calibrate_policy(
            _csv(tmp_path, _rows()),
            tmp_path / "mine.json",
            stage="output",
            category="toxicity",
            promise=MISS,
            filters=[STATED],
        )
