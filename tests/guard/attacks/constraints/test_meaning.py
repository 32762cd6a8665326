"""Constraints on meaning, with similarities that can be computed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from guard.attacks.constraints.meaning import SimilarSentence, SimilarWords
from guard.attacks.schema import Check
from guard.attacks.sentences import SentenceEncoder
from guard.attacks.word_table import WordTable
from guard.attacks.words import AttackedText
from guard.errors import ConfigError
from tests.guard.filters.tiny_bert import write_tiny_bert

ORIGINAL = AttackedText.of("a fine day for a long walk")


class Letters(SentenceEncoder):
    """Texts to the shares of the letters a, f and w: vectors that can be written down."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def vectors(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.seen += texts
        counts = np.array([[text.count(letter) for letter in "afw"] for text in texts], dtype=np.float32).reshape(-1, 3)
        return np.asarray(counts / np.linalg.norm(counts, axis=1, keepdims=True), dtype=np.float32)


def check(*candidates: AttackedText, current: AttackedText = ORIGINAL) -> Check:
    return Check(ORIGINAL, current, list(candidates))


COSINE = (4 * 4 + 2 * 1 + 1) / math.sqrt(21 * 18)  # letters a, f, w: 4, 2, 1 of the original, 4, 1, 1 of the candidate


@pytest.mark.parametrize(("metric", "expected"), [("cosine", COSINE), ("angular", 1 - math.acos(COSINE) / math.pi)])
def test_similarity_is_that_of_the_vectors(metric: Literal["cosine", "angular"], expected: float) -> None:
    ((kept,),) = SimilarSentence(Letters(), 0.0, metric=metric).keep([check(ORIGINAL.replace(1, "nice"))])
    assert kept.similarity == pytest.approx(expected, abs=1e-6)


def test_what_is_too_far_goes_and_order_stays() -> None:
    near, far, same = ORIGINAL.replace(1, "nice"), ORIGINAL.replace(1, "wwwwwwwww"), ORIGINAL.replace(5, "lengthy")
    (kept,) = SimilarSentence(Letters(), 0.9).keep([check(near, far, same)])
    assert [text.text for text in kept] == [near.text, same.text]


def test_a_window_holds_the_words_around_the_change() -> None:
    letters = Letters()
    SimilarSentence(letters, 0.0, window_words=3).keep([check(ORIGINAL.replace(1, "awf"))])
    assert letters.seen == ["a awf day", "a fine day"]


def test_current_is_compared_where_asked_for() -> None:
    letters, current = Letters(), ORIGINAL.replace(5, "w")
    SimilarSentence(letters, 0.0, against="current").keep([check(current.replace(1, "f"), current=current)])
    assert letters.seen == ["a f day for a w walk", "a fine day for a w walk"]


def test_short_texts_pass_where_asked_for() -> None:
    letters, far = Letters(), ORIGINAL.replace(1, "wwwwwwwww")
    (kept,) = SimilarSentence(letters, 0.99, window_words=15, skip_shorter=True).keep([check(far)])
    assert letters.seen == []
    assert kept[0].similarity == 1.0


def test_the_encoder_reads_all_checks_at_once(tmp_path: Path) -> None:
    encoder = SentenceEncoder.load(write_tiny_bert(tmp_path))
    checks = [check(ORIGINAL.replace(1, "kind")), check(), check(ORIGINAL, ORIGINAL.replace(0, "the"))]
    kept = SimilarSentence(encoder, -1.0).keep(checks)
    assert [len(mine) for mine in kept] == [1, 0, 2]
    assert kept[2][0].similarity == pytest.approx(1.0, abs=1e-6)


def test_changed_words_stay_near() -> None:
    table = WordTable(["fine", "nice", "bad"], np.array([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]]))
    near, far, unknown = (ORIGINAL.replace(1, word) for word in ("nice", "bad", "unheard"))
    longer = ORIGINAL.insert_before(1, "bad")
    candidates = check(near, far, unknown, longer)
    assert SimilarWords(table, 0.5).keep([candidates]) == [[near, unknown, longer]]
    assert SimilarWords(table, 0.5, pass_unknown=False).keep([candidates]) == [[near, longer]]


def test_what_is_no_similarity_is_refused() -> None:
    with pytest.raises(ConfigError, match="least in"):
        SimilarSentence(Letters(), 2.0)
    with pytest.raises(ConfigError, match="at least 1"):
        SimilarSentence(Letters(), 0.5, window_words=0)
    with pytest.raises(ConfigError, match="lies in"):
        SimilarWords(WordTable(["a"], np.ones((1, 1))), 2.0)
