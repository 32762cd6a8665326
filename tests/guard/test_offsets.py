from __future__ import annotations

import numpy as np
import pytest

from guard.offsets import Canonical, edited, followed, kept, reordered, same_length

PLAIN = Canonical("abcd", 4)


def test_edit_maps_what_is_new_to_what_it_replaced() -> None:
    form = edited(PLAIN, [(1, 3, "xyz")])
    assert form.text == "axyzd"
    assert [form.span(i, i + 1) for i in range(5)] == [(0, 1), (1, 3), (1, 3), (1, 3), (3, 4)]


def test_edit_of_an_edited_text_leads_to_the_original() -> None:
    form = edited(edited(PLAIN, [(0, 2, "x")]), [(0, 2, "y")])
    assert (form.text, form.span(0, 1)) == ("yd", (0, 3))


@pytest.mark.parametrize(("place", "text"), [(0, " abcd"), (2, "ab cd"), (4, "abcd ")])
def test_insertion_maps_inside_the_text(place: int, text: str) -> None:
    form = edited(kept(Canonical("a-bcd", 5), np.array([True, False, True, True, True])), [(place, place, " ")])
    assert form.text == text
    start, end = form.span(place, place + 1)
    assert 0 <= start <= end <= 5


def test_reordered_text_has_the_span_of_its_first_to_its_last_place() -> None:
    form = reordered(PLAIN, np.array([3, 2, 1, 0]))
    assert (form.text, form.span(0, 2), form.span(0, 4)) == ("dcba", (2, 4), (0, 4))


def test_form_of_a_form_leads_to_the_original() -> None:
    first = kept(PLAIN, np.array([False, True, True, True]))
    second = edited(Canonical(first.text, 3), [(0, 2, "x")])
    assert followed(first, second).span(0, 1) == (1, 3)
    assert followed(first, same_length(Canonical("bcd", 3), "BCD")).span(0, 1) == (1, 2)
    assert followed(PLAIN, second) is second
