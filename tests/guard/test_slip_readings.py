"""Texts full of slips are read word by word, in English only, beside the other readings."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.canonical import canonicalize
from guard.views import slips, views, words


@pytest.mark.parametrize(
    ("slip", "word"),
    [
        ("hmoe", "home"),  # letters that swapped, and not "hoe" with one too many
        ("hoep", "hope"),
        ("ssmoke", "smoke"),
        ("shse", "shes"),
        ("tahnks", "thanks"),
        ("ltter", "letter"),
    ],
)
def test_a_slip_stands_for_what_slips_of_its_kind_make(slip: str, word: str) -> None:
    assert slips.likeliest(slip) == word


def test_nothing_is_read_into_a_word_that_is_far_from_any() -> None:
    assert slips.likeliest("qzxqzx") is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("I won't rtust a sigle wrod you say", "I won't trust a single word you say"),
        ("hmoe is wehre it is", "home is where it is"),
        ("Soe of tehm are gtting wrose", "some of them are getting worse"),
    ],
)
def test_a_text_full_of_slips_is_read(written: str, read: str) -> None:
    found = [view for view in views(canonicalize(written)) if view.form.text.lower() == read.lower()]
    assert len(found) == 1, "once, whichever step reads it"


def test_a_text_with_slips_has_the_reading_beside_what_mending_makes_of_it() -> None:
    kinds = {view.kind: view.form.text for view in views(canonicalize("40 mins. Until thhat mna drp"))}
    assert kinds["reread"] == "40 mins. Until that man drop"


@pytest.mark.parametrize(
    "text",
    [
        "One slpi in a sentence of ten words is no reason",
        "Please book a table for Anneke, Joost and Wouter at Schiphol",  # names, with capitals
        "Ich haette gern ein Stueck Kuchen, bitte, und dazu eine Tasse Kaffee",
        "Ik wil graag een kopje koffie met melk en suiker, alstublieft",
        "Nie wiem, gdzie jest moja nowa karta, prosze o pomoc",
        "",
        "1234 -- ???",
    ],
)
def test_what_is_not_full_of_slips_stays(text: str) -> None:
    form = canonicalize(text)
    assert slips.reread(form) is form


def test_spans_lead_to_what_was_written() -> None:
    form = slips.reread(canonicalize("so soe\u200bn tahnks"))
    start = form.text.index("thanks")
    assert form.span(start, start + 6) == (9, 15)


@given(st.text(st.sampled_from("abcdeht \n.,'A1é"), max_size=60))
def test_only_unknown_words_change(text: str) -> None:
    form = canonicalize(text)
    read = slips.reread(form)
    if read.text != form.text:
        assert len(read.text.split()) == len(form.text.split())
        for old, new in zip(form.text.split(), read.text.split(), strict=True):
            assert old == new or old.strip(".,'").lower() not in words.familiar()
    assert read.span(0, len(read.text))[1] <= len(text)


def test_a_long_hostile_text_takes_time_in_proportion() -> None:
    rng = random.Random(0)

    def seconds(n: int) -> float:
        text = " ".join("".join(rng.choices("abcdefgh", k=rng.randint(3, 15))) for _ in range(n))
        form = canonicalize(text)
        started = time.process_time()
        slips.reread(form)
        return time.process_time() - started

    seconds(100)
    assert seconds(8_000) < 20 * max(seconds(1_000), 0.001)
