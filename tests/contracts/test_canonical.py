"""Contract 7: canonical text is idempotent, and every span of it maps back into the original."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.canonical import Canonical, canonicalize, fold

ANY_CHARACTER = st.characters(exclude_categories=())  # lone surrogates included
# Characters whose treatment depends on their neighbours: random text almost never puts two of them together.
TRICKY = st.sampled_from(
    "aAb=1 ср\u03b1\u03c2\u0301\u0316\u0336\u0338\u0344\u200b\u200c\u200d\u202e\u00ad\u17b4\u1100\u1161\u11a8\u1160"
    "\u3164\uffa0\u3131\uff76\uff9e\ufdfa\U0001f468\ufe0f\U0001f3fb\U000e0041\U000e007f\U0001f3f4\u0915\u094d\u0627\u06cc"
    "\u180b\u1820\ud800\x00\u0130\u2126\u09c7\u09be\u20e3\u0f73\u1e9b\u0323\u212b\u05d5\u1d0b\u026a"
)
TEXTS = st.text(ANY_CHARACTER | TRICKY, max_size=40)


@settings(deadline=None, max_examples=500)
@given(TEXTS)
def test_canonicalize_is_idempotent(text: str) -> None:
    once = canonicalize(text).text
    assert canonicalize(once).text == once


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_canonical_text_is_normalized_and_encodable(text: str) -> None:
    canonical = canonicalize(text).text
    assert unicodedata.is_normalized("NFKC", canonical)
    assert canonical.encode("utf-8").decode("utf-8") == canonical


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.data())
def test_every_span_lies_inside_the_original(text: str, data: st.DataObject) -> None:
    for canonical in (canonicalize(text), fold(canonicalize(text))):
        start = data.draw(st.integers(0, len(canonical.text)))
        end = data.draw(st.integers(start, len(canonical.text)))
        first, last = canonical.span(start, end)
        assert 0 <= first <= last <= len(text)
        assert first < last or start == end
        assert _contains(canonical, (first, last), (start, end))


def _contains(canonical: Canonical, outer: tuple[int, int], inner: tuple[int, int]) -> bool:
    """Whether the span of a range covers the span of every single character in it."""
    singles = [canonical.span(place, place + 1) for place in range(*inner)]
    return all(outer[0] <= first and last <= outer[1] for first, last in singles)
