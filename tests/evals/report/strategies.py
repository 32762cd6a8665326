"""Hypothesis strategies for reports and for the texts that models write."""

from __future__ import annotations

from hypothesis import strategies as st

from evals.schema import Check, Comparison, Example, Histogram, Metric, ModelResult, Outcome, Report
from guard.schema import Action, Span, Verdict

__all__ = ["reports", "texts"]

_AWKWARD = "<>&\"'`|*_[]()!~#@\\:/.$-+= \n\r\t\x00\x1b\x9b\u202e\u200b\ufeff\ud800\udfff\u2028\U000e0041aw1"


def _as_stored(text: str) -> str:
    """Join surrogate pairs, which JSON cannot tell from the character that they stand for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


texts = st.one_of(st.text(st.characters(), max_size=30), st.text(st.sampled_from(_AWKWARD), max_size=40)).map(
    _as_stored
)

_numbers = st.floats(allow_nan=False, allow_infinity=False)
_shares = st.floats(0, 1)
_counts = st.integers(0, 10**6)
_intervals = st.none() | st.tuples(_numbers, _numbers).map(lambda ends: (min(ends), max(ends)))
_arms = st.sampled_from(["unguarded", "guarded", "clean", "perturbed"])
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | _numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)

_spans = st.builds(Span, st.integers(-5, 50), st.integers(-5, 50), texts, _shares)
_verdicts = st.builds(
    Verdict,
    st.sampled_from(Action),
    st.sampled_from(["input", "output"]),
    st.dictionaries(texts, _shares, max_size=3),
    st.lists(texts, max_size=2).map(tuple),
    st.lists(_spans, max_size=2).map(tuple),
    st.none() | texts,
)
_metrics = st.builds(Metric, texts, texts, _arms, st.none() | _numbers, _intervals, _counts, _counts, _counts, texts)
_comparisons = st.builds(Comparison, texts, texts, _arms, _arms, st.none() | _numbers, _intervals, _counts, texts)
_histograms = st.lists(_numbers, min_size=2, max_size=5, unique=True).flatmap(
    lambda edges: st.builds(
        Histogram,
        texts,
        texts,
        _arms,
        st.just(tuple(sorted(edges))),
        st.lists(_counts, min_size=len(edges) - 1, max_size=len(edges) - 1).map(tuple),
        _counts,
    )
)
_examples = st.builds(
    Example, texts, texts, texts, texts, texts, texts, _numbers, texts, _verdicts, st.none() | _verdicts
)
_checks = st.builds(
    Check,
    texts,
    texts,
    _arms,
    st.sampled_from(["max", "min"]),
    _numbers,
    st.sampled_from(Outcome),
    texts,
    st.none() | _numbers,
    _intervals,
    st.dictionaries(texts, texts, max_size=2),
)


def _some(items: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, max_size=2).map(tuple)


_models = st.builds(
    ModelResult, texts, texts, _some(_metrics), _some(_comparisons), _some(_histograms), _some(_examples)
)

reports = st.builds(
    Report,
    texts,
    st.integers(0, 2**63),
    st.sampled_from(Outcome),
    texts,
    _some(_checks),
    _some(_models),
    st.lists(texts, max_size=2).map(tuple),
    st.dictionaries(texts, _values, max_size=3),
    st.dictionaries(texts, _values, max_size=3),
)
