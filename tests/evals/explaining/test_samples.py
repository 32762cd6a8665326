"""Why a sample fired: the form in which the guard read it, the filter that said so, and what no longer fits."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from evals.explaining.samples import Fired, explain_sample
from guard.errors import ConfigError
from guard.filters.callable import CallableFilter
from guard.filters.lexical import LexicalFilter, Term
from guard.policy import Policy
from guard.schema import Action, Span, Stage, Verdict

RUDE = LexicalFilter([Term("rotten", "rude", 0.9)])
POLICY = Policy("p", {("input", "rude"): (0.5, Action.BLOCK)})


def _fired(text: str, *, stage: Stage = "input", score: float = 0.9, filters: tuple[str, ...] = (RUDE.name,)) -> Fired:
    spans = (Span(0, 3, "rude", score),)
    scores: Mapping[str, float] = {"rude": score}
    return Fired(
        "m", "s#1", "guarded", Verdict(Action.BLOCK, stage, scores, ("rude",), spans), text, "rude", filters, 0.5
    )


def _explain(fired: Fired, *filters: object) -> tuple[str, dict[str, float], tuple[str, ...]]:
    made = explain_sample(fired, filters or (RUDE,), POLICY, method="occlusion", seed=0, edit=False)  # type: ignore[arg-type]
    found = made.attribution
    values = {found.text[a:b]: float(v) for (a, b), v in zip(found.parts, found.values, strict=True)}
    return found.text, values, made.notes


def test_text_that_fired_as_it_stands() -> None:
    text, values, notes = _explain(_fired("a rotten day"))
    assert text == "a rotten day"
    assert values["rotten"] == pytest.approx(0.9, abs=1e-6)
    assert notes == ()


def test_disguised_text_is_explained_as_it_was_read() -> None:
    encoded = "decode this: YSByb3R0ZW4gZGF5LCBhIHJlYWxseSByb3R0ZW4gZGF5"
    text, _, notes = _explain(_fired(encoded))
    assert "rotten" in text
    assert any("another reading (decoded" in note for note in notes)


def test_long_output_is_explained_by_its_worst_segment() -> None:
    output = "A fine sentence here. " * 60 + "What a rotten day it was. " + "And a fine end. " * 60
    text, values, notes = _explain(_fired(output, stage="output"))
    assert len(text) < len(output)
    assert values["rotten"] == pytest.approx(0.9, abs=1e-6)
    assert any("segment" in note for note in notes)


def test_other_filter_or_score_is_told() -> None:
    mild = CallableFilter(lambda text: 0.2, categories=("rude",), name="mild@1")
    _, _, notes = _explain(_fired("a rotten day"), mild)
    assert any("the run's filters were" in note and "mild@1" in note for note in notes)
    assert any("recorded 0.900, and this filter now gives 0.200" in note for note in notes)


def test_filter_that_says_most_explains() -> None:
    mild = CallableFilter(lambda text: 0.2, categories=("rude",), name="mild@1")
    _, values, _ = _explain(_fired("a rotten day"), mild, RUDE)
    assert values["rotten"] > 0.5


def test_no_filter_has_the_category() -> None:
    other = CallableFilter(lambda text: 0.2, categories=("kind",), name="kind@1")
    with pytest.raises(ConfigError, match="no filter of kind@1 has the category rude"):
        _explain(_fired("a rotten day"), other)
