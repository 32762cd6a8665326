"""Samples packed for the page come out as they went in, and hold no letter that could act."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.curves import curves
from evals.report.browser_data import pack, pack_curves, pack_samples
from evals.schema import Record
from guard.schema import Action, Span, Verdict
from tests.evals.report.example_records import THRESHOLDS, Value, example_records, example_values


def _unpacked(packed: str) -> Any:
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def _with_output(text: str, spans: tuple[Span, ...]) -> list[tuple[str, Record]]:
    model, record = example_records(n=1)[0]
    made = record.arms["guarded"]
    verdict = Verdict(Action.BLOCK, "output", {"toxicity": 0.9}, ("toxicity",), spans)
    arms = {"guarded": replace(made, text=text, output_verdict=verdict)}
    return [(model, replace(record, output=text, arms=arms))]


def _spans(packed: str) -> list[list[float]]:
    document = _unpacked(packed)
    flat = document["tables"]["verdicts"][document["rows"][0][8][0][4]][3]
    return [flat[i : i + 6] for i in range(0, len(flat), 6)]


def test_pack_samples_holds_every_record() -> None:
    records = example_records(n=4)
    document = _unpacked(pack_samples(records, values=example_values(records)))
    tables = document["tables"]
    assert len(document["rows"]) == len(records) == 16
    for (model, record), row in zip(records, document["rows"], strict=True):
        named = (tables["models"][row[0]], tables["tasks"][row[1]], tables["groups"][row[2]], row[3], row[4])
        sample = record.sample
        assert named == (model, sample.task, sample.group, sample.prompt_id, sample.id)
        assert tables["texts"][row[5]] == [sample.prompt, 0]
        assert (None if row[6] is None else tables["texts"][row[6]][0]) == record.output
        assert row[7] == (None if sample.task == "toxicity" else int(sample.harmful))
        for (arm, made), packed in zip(record.arms.items(), row[8], strict=True):
            assert (tables["arms"][packed[0]], packed[1]) == (arm, int(made.action))
            verdict = tables["verdicts"][packed[3]]
            scores = {tables["categories"][c]: s for c, s in zip(verdict[1][::2], verdict[1][1::2], strict=True)}
            assert scores == pytest.approx(dict(made.prompt_verdict.scores), abs=1e-4)
            assert [tables["categories"][c] for c in verdict[2]] == list(made.prompt_verdict.triggered)


def test_pack_samples_stores_a_repeated_text_once() -> None:
    tables = _unpacked(pack_samples([*example_records(n=9), *example_records(n=9, model="other")]))["tables"]
    assert tables["models"] == ["smollm2-135m", "other"]
    assert len({text for text, _ in tables["texts"]}) == len(tables["texts"])


def test_pack_samples_same_records_give_the_same_text() -> None:
    records = example_records(n=5)
    assert pack_samples(records) == pack_samples(records)


def test_pack_samples_values_find_their_sample() -> None:
    records = example_records(n=1)
    sample_id = records[0][1].sample.id
    values = [
        Value("smollm2-135m", "toxicity", "toxic_share", "guarded", sample_id, 0.25),
        Value("smollm2-135m", "toxicity", "perplexity", "guarded", sample_id, float("nan")),
        Value("smollm2-135m", "toxicity", "toxicity_probability", "guarded", sample_id, 0.5),
        Value("smollm2-135m", "toxicity", "toxic_share", "guarded", "no such sample", 1.0),
        Value("another model", "toxicity", "toxic_share", "guarded", sample_id, 1.0),
    ]
    document = _unpacked(pack_samples(records, values=values))
    assert document["tables"]["metrics"] == ["toxic_share", "perplexity", "toxicity_probability"]
    assert [packed[5] for packed in document["rows"][0][8]] == [[], [0, 0.25, 0, 1, None, 0, 2, 0.5, 1]]


def test_pack_samples_keeps_what_a_span_is_worth() -> None:
    packed = pack_samples(_with_output("idiot", (Span(0, 5, "toxicity", 0.9, 2.25, "masking"),)))
    ((*_, value, method),) = _spans(packed)
    assert (value, _unpacked(packed)["tables"]["methods"][int(method)]) == (2.25, "masking")


def test_pack_samples_spans_count_as_a_browser_does() -> None:
    text = "a😀b😀idiot"
    span = Span(4, 9, "toxicity", 0.9)
    assert text[span.start : span.end] == "idiot"
    ((start, end, *_),) = _spans(pack_samples(_with_output(text, (span,))))
    units = text.encode("utf-16-le")
    assert units[2 * int(start) : 2 * int(end)].decode("utf-16-le") == "idiot"


@given(st.text(max_size=30), st.integers(-3, 40), st.integers(-3, 40))
@settings(max_examples=50, deadline=None)
def test_pack_samples_any_span_lies_inside(text: str, start: int, end: int) -> None:
    for first, last, *_ in _spans(pack_samples(_with_output(text, (Span(start, end, "toxicity", 0.5),)))):
        assert first >= 0
        assert max(first, last) <= len(text.encode("utf-16-le", "surrogatepass")) / 2


def test_pack_samples_keeps_options_with_their_likelihoods() -> None:
    model, record = example_records(n=1)[0]
    sample = replace(record.sample, options=("yes", "no"), target="no")
    document = _unpacked(pack_samples([(model, replace(record, sample=sample, likelihoods=(-1.5, None)))]))
    texts, row = document["tables"]["texts"], document["rows"][0]
    assert [texts[row[9][0]][0], row[9][1], texts[row[9][2]][0], row[9][3]] == ["yes", -1.5, "no", None]
    assert texts[row[10]] == ["no", 0]


def test_pack_samples_long_text_is_cut_and_counted() -> None:
    spans = (Span(3990, 4010, "toxicity", 0.9), Span(5000, 5010, "toxicity", 0.9))
    packed = pack_samples(_with_output("y" * 10_000, spans))
    document = _unpacked(packed)
    assert document["tables"]["texts"][document["rows"][0][6]] == ["y" * 4000, 6000]
    assert [row[:2] for row in _spans(packed)] == [[3990, 4000]]


def test_pack_samples_very_many_long_texts_are_cut_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evals.report.browser_data._MOST_CHARACTERS", 1500)
    document = _unpacked(pack_samples(_with_output("y" * 10_000, ())))
    assert document["tables"]["texts"][document["rows"][0][6]] == ["y" * 1000, 9000]


def test_pack_keeps_what_json_can_say() -> None:
    assert _unpacked(pack("</script><!-- \ud800")) == "</script><!-- \ud800"
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack(float("nan"))


def test_pack_curves_marks_the_thresholds_of_the_policy() -> None:
    found = curves(record for _, record in example_records(n=8))
    packed = _unpacked(pack_curves(found, thresholds={("output", "toxicity"): 0.3, ("input", "jailbreak"): 0.5}))
    assert [(c["title"], c["category"], c["threshold"]) for c in packed] == [
        (title, category, threshold)
        for title in ("Refusal", "Robustness: clean", "Robustness: homoglyph")
        for category, threshold in (("jailbreak", 0.5), ("toxicity", None))
    ]
    assert packed[0]["harmful"] == list(found[0].harmful)
    assert THRESHOLDS["input", "jailbreak"] == 0.5
