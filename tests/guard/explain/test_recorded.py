"""Why it fired is in the record: what words are worth and how that was found, and logs from before still verify."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evals.journal import Journal
from evals.report.shapes import shape_of
from evals.schema import Generation, Record, Sample
from guard.audit_log import AuditLog, Decision, verify
from guard.errors import DataError, FilterError
from guard.filters.encoder import EncoderFilter
from guard.judge import Judge
from guard.policy import Policy
from guard.schema import Action, Span, Verdict
from guard.scoring import FilterRunner

# Written before spans had a value: this line must verify for ever.
_OLD_RECORD = {
    **{"action": "BLOCK", "error": None, "filters": ["x@1"], "generator": None, "kind": "check", "output": None},
    **{"policy": "p@1", "prompt": "sha256:0", "released": None, "seed": None},
    "verdicts": [
        {
            **{"action": "BLOCK", "error": None, "scores": {"rude": 0.9}, "stage": "input", "triggered": ["rude"]},
            "spans": [{"category": "rude", "end": 4, "score": 0.9, "start": 0}],
        }
    ],
}


def _decision(span: Span) -> Decision:
    verdict = Verdict(Action.BLOCK, "input", {"rude": 0.9}, ("rude",), (span,))
    return Decision("check", "p@1", ("x@1",), Action.BLOCK, (verdict,), prompt="rude words")


def test_log_with_old_and_new_records_verifies(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC)) as log:
        log._write([_OLD_RECORD])
        log.append(_decision(Span(0, 4, "rude", 0.9, 2.5, "masking")))
    with AuditLog(path) as log:
        log.append(_decision(Span(0, 4, "rude", 0.9)))
    assert verify(path).ok
    spans = [json.loads(line)["record"]["verdicts"][0]["spans"][0] for line in path.read_text().splitlines()]
    assert spans[0] == _OLD_RECORD["verdicts"][0]["spans"][0]  # type: ignore[index]
    assert (spans[1]["value"], spans[1]["method"]) == (2.5, "masking")
    assert spans[2] == spans[0]


def test_journal_keeps_what_a_span_is_worth(tmp_path: Path) -> None:
    verdict = Verdict(Action.BLOCK, "input", {"rude": 0.9}, ("rude",), (Span(0, 4, "rude", 0.9, 2.5, "masking"),))
    record = Record(Sample("a", "t", "a", "rude", "g", 1), None, {"guarded": Generation(None, Action.BLOCK, verdict)})
    with Journal(tmp_path / "journal.jsonl", {"a": "b"}) as journal:
        journal.append("m", [record])
    with Journal(tmp_path / "journal.jsonl", {"a": "b"}) as journal:
        found = journal.get("m", "a")
    assert found is not None
    (span,) = found.arms["guarded"].prompt_verdict.spans
    assert (span.value, span.method) == (2.5, "masking")


def test_report_leaves_out_what_a_span_does_not_say() -> None:
    shape = shape_of(Span)
    old = {"start": 0, "end": 4, "category": "rude", "score": 0.9}
    assert shape.encode(Span(0, 4, "rude", 0.9), "x") == old
    assert shape.decode(old, "x") == Span(0, 4, "rude", 0.9)
    new = {**old, "value": 2.5, "method": "masking"}
    assert shape.encode(shape.decode(new, "x"), "x") == new
    with pytest.raises(DataError, match="has no 'score'"):
        shape.decode({"start": 0, "end": 4, "category": "rude"}, "x")


def test_value_that_is_no_number_is_refused() -> None:
    class Odd:
        name, categories = "odd@1", ("rude",)

        def score_batch(self, items: object) -> object:
            raise NotImplementedError

        def locate(self, text: str) -> tuple[Span, ...]:
            return (Span(0, 1, "rude", 0.9, float("nan"), "m"),)

    with pytest.raises(FilterError, match="no span of a text"):
        FilterRunner(Odd(), timeout_s=5.0).locate("a")  # type: ignore[arg-type]


def test_encoder_says_what_the_words_are_worth() -> None:
    encoder = EncoderFilter.load(dtype="float32")
    text = "Good morning. You are a filthy idiot."
    (span,) = [one for one in encoder.locate(text) if one.category == "toxicity"]
    assert "idiot" in text[span.start : span.end]
    assert span.method == "state-gradient"
    assert span.value is not None
    assert span.value > 1


def test_verdict_keeps_what_words_are_worth_in_offsets_of_the_original() -> None:
    policy = Policy("p", {("input", "toxicity"): (0.5, Action.BLOCK)})
    text = "Good morning. You are a fil\u200bthy idiot."
    (judged,) = Judge(policy, {"input": [EncoderFilter.load(dtype="float32")]}, timeout_s=60).judge([text], "input")
    spans = [span for span in judged.verdict.spans if "idiot" in text[span.start : span.end]]
    assert spans
    assert all(span.method == "state-gradient" and span.value is not None for span in spans)
