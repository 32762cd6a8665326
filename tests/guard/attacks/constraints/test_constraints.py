from __future__ import annotations

import pytest

from guard.attacks.constraints.modifiable import AtMostModified, LongWords, NotStopWords, NotTwice
from guard.attacks.constraints.overlap import AtMostWordsPerturbed, EditDistance, PhrasesKept
from guard.attacks.schema import Allowed, Check, Constraint
from guard.attacks.transformations.deletion import DeleteWord
from guard.attacks.transformations.keys import SwapHomoglyph
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

TEXT = AttackedText.of("The cat sat on the mat")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (NotTwice(), {0, 2, 3, 4, 5}),
        (NotStopWords(["the", "on"]), {0, 1, 2, 5}),  # a capital is another word
        (LongWords(3), {0, 1, 2, 4, 5}),
        (AtMostModified(1), set()),
        (AtMostModified(2), {0, 1, 2, 3, 4, 5}),
    ],
)
def test_words_that_may_change(part: Allowed, expected: set[int]) -> None:
    assert part.indices(TEXT.replace(1, "dog"), SwapHomoglyph()) == expected


def test_stop_words_may_be_left_out() -> None:
    assert NotStopWords(["the", "on"]).indices(TEXT, DeleteWord()) == set(range(6))


def test_stop_words_are_told_apart_by_their_digest() -> None:
    assert repr(NotStopWords(["a", "b"])) == repr(NotStopWords(["b", "a"])) != repr(NotStopWords(["a"]))
    assert NotStopWords(["a", "b"]) == NotStopWords(["b", "a"])


@pytest.mark.model
def test_english_stop_words() -> None:
    part = NotStopWords.english()
    assert {"the", "don't", "themselves"} <= part.words
    assert 150 < len(part.words) < 250


@pytest.mark.parametrize(
    ("part", "text", "stays"),
    [
        (EditDistance(2), "The cat sat on the ma", True),
        (EditDistance(2), "The dat sat on the m", False),
        (EditDistance(0), TEXT.text, True),
        (AtMostWordsPerturbed(number=1), "The dog sat on the mat", True),
        (AtMostWordsPerturbed(number=1), "A dog sat on the mat", False),
        (AtMostWordsPerturbed(number=1), "The cat sat on the", True),  # only places that both have are compared
        (AtMostWordsPerturbed(share=0.2), "A dog sat on the mat", True),  # a fifth of six, rounded up
        (AtMostWordsPerturbed(share=0.2), "A dog lay on the mat", False),
        (AtMostWordsPerturbed(number=1, share=0.5), "A dog sat on the mat", False),
        (PhrasesKept(("the mat", "bird")), "a CAT on THE MAT", True),  # "bird" was never there
        (PhrasesKept(("the mat",)), "The cat sat on a mat", False),
    ],
)
def test_candidates_that_stay(part: Constraint, text: str, stays: bool) -> None:
    candidate = AttackedText.of(text)
    assert part.keep([Check(TEXT, TEXT, [candidate])]) == [[candidate] if stays else []]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: LongWords(0),
        lambda: AtMostModified(0),
        lambda: EditDistance(-1),
        lambda: AtMostWordsPerturbed(),
        lambda: AtMostWordsPerturbed(number=0),
        lambda: AtMostWordsPerturbed(share=0),
        lambda: AtMostWordsPerturbed(share=1.1),
    ],
)
def test_limits_that_are_none_are_refused(wrong: type) -> None:
    with pytest.raises(ConfigError):
        wrong()
