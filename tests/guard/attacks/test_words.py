from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.attacks.words import AttackedText, split_words
from guard.errors import ConfigError

# Letters, every character with a rule of its own, and spaces: short texts hit every combination.
TEXTS = st.text(st.sampled_from("abC1é '-_*@`×.,!\n\t我"), max_size=25)
WITHOUT_CHINESE = TEXTS.map(lambda text: text.replace("我", "w"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" .,! ", []),
        ("A fine, quiet day.", ["A", "fine", "quiet", "day"]),
        ("don't 'quote' rock-n-roll -dash-", ["don't", "quote", "rock-n-roll", "dash"]),
        ("me@home.org *bold* snake_case _x_", ["me@home", "org", "bold", "snake_case", "x"]),
        ("--- '' @", []),
        ("a\nb\tc\u00a0d", ["a", "b", "c", "d"]),
        ("2×3 can`t", ["2×3", "can`t"]),
        ("我很好ok", ["我", "很", "好", "ok"]),
    ],
)
def test_split_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "index", "deleted"),
    [
        ("one two three", 0, "two three"),
        ("one two three", 1, "one three"),
        ("one two three", 2, "one two "),  # as TextAttack leaves it: nothing follows, so no space is taken
        ("one, two.", 0, ", two."),
        ("one, two.", 1, "one,."),
        ("one  two.", 1, "one ."),
        ("one", 0, ""),
    ],
)
def test_delete_takes_one_space_with_it(text: str, index: int, deleted: str) -> None:
    assert AttackedText.of(text).delete(index).text == deleted


def test_replace_keeps_punctuation_and_marks_the_word() -> None:
    text = AttackedText.of("A fine, quiet day.").replace(1, "dull")
    assert (text.text, text.modified, text.newly_modified) == ("A dull, quiet day.", {1}, {1})
    assert text.origin == (0, 1, 2, 3)


def test_replace_by_itself_marks_nothing() -> None:
    text = AttackedText.of("A fine day.").replace(1, "fine")
    assert (text.text, text.modified) == ("A fine day.", frozenset())


def test_deletion_moves_what_lies_behind() -> None:
    text = AttackedText.of("a b c d").replace(3, "x").delete(1)
    assert (text.words, text.modified, text.origin) == (("a", "c", "x"), {2}, (0, -1, 1, 2))
    assert text.of_original([0, 1, 3]) == [0, -1, 2]


def test_insertion_moves_what_lies_behind() -> None:
    before, after = (AttackedText.of("a b c").insert_before(1, "x"), AttackedText.of("a b c").insert_after(1, "x"))
    assert (before.text, before.origin) == ("a x b c", (0, 2, 3))
    assert (after.text, after.origin) == ("a b x c", (0, 1, 3))
    assert before.modified == after.modified == {1, 2}


def test_window_is_shifted_inwards_at_the_ends() -> None:
    text = AttackedText.of("a b, c d! e")
    assert [text.window(i, 3) for i in range(5)] == ["a b, c", "a b, c", "b, c d", "c d! e", "c d! e"]
    assert text.window(2, 100) == "a b, c d! e"


@pytest.mark.parametrize("index", [-1, 2])
def test_word_that_is_not_there_is_refused(index: int) -> None:
    with pytest.raises(ConfigError, match="no word"):
        AttackedText.of("a b").replace(index, "x")


@given(TEXTS)
def test_offsets_point_at_the_words(text: str) -> None:
    attacked = AttackedText.of(text)
    assert [text[slice(*attacked.span(i))] for i in range(attacked.n_words)] == list(attacked.words)
    assert list(attacked.starts) == sorted(set(attacked.starts))
    assert attacked.origin == tuple(range(attacked.n_words))


@given(WITHOUT_CHINESE, st.data())
def test_replacing_changes_only_the_word(text: str, data: st.DataObject) -> None:
    attacked = AttackedText.of(text)
    changes = data.draw(st.dictionaries(st.sampled_from(range(max(1, attacked.n_words))), st.just("zz")))
    changes = {index: word for index, word in changes.items() if index < attacked.n_words}
    changed = attacked.replace_many(changes)
    expected = [changes.get(i, word) for i, word in enumerate(attacked.words)]
    assert list(changed.words) == expected
    assert changed.modified == {i for i in changes if attacked.words[i] != "zz"}
    assert attacked.differing(changed) == changed.modified


@given(TEXTS, st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["", "x", "x y", "."])), max_size=5))
def test_a_chain_of_changes_keeps_its_books(text: str, chain: list[tuple[int, str]]) -> None:
    original = current = AttackedText.of(text)
    for place, words in chain:
        if current.n_words:
            current = current.replace(place % current.n_words, words)
    assert len(current.origin) == original.n_words
    there = [place for place in current.origin if place >= 0]
    assert there == sorted(set(there))
    assert all(place >= 0 for place in current.modified)


@given(
    TEXTS,
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["", "x", "x-y", "-x", "x y", ".", "_", "我", "1我"]))),
)
def test_words_after_changes_are_those_of_the_text(text: str, chain: list[tuple[int, str]]) -> None:
    current = AttackedText.of(text)
    for place, words in chain:
        if current.n_words:
            current = current.replace(place % current.n_words, words)
    assert list(current.words) == split_words(current.text)
    assert [current.text[slice(*current.span(i))] for i in range(current.n_words)] == list(current.words)
