from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.attacks.readings import Readings
from guard.attacks.schema import Probabilities
from guard.errors import ConfigError, FilterError
from tests.guard.attacks.word_victim import WordVictim

TEXTS = st.lists(st.sampled_from(["bad", "awful bad", "", "fine", "a", "poor day"]), max_size=9)


@given(st.lists(TEXTS, max_size=4), st.integers(1, 4), st.integers(1, 4))
def test_readings_are_the_victims_whatever_is_remembered(
    asked: list[list[str]], batch_size: int, most_texts: int
) -> None:
    readings = Readings(WordVictim(), batch_size=batch_size, most_texts=most_texts)
    for texts in asked:
        np.testing.assert_array_equal(readings.read(texts), WordVictim().probabilities(texts).reshape(-1, 2))


def test_known_texts_are_not_asked_again() -> None:
    victim = WordVictim()
    readings = Readings(victim)
    readings.read(["bad", "awful", "bad"])
    readings.read(["awful", "fine"])
    assert victim.batches == [["bad", "awful"], ["fine"]]
    assert readings.n_scored == 3


def test_batches_are_filled_in_order_of_length() -> None:
    victim = WordVictim()
    Readings(victim, batch_size=2).read(["aaa", "b", "cc", "a", "bb"])
    assert victim.batches == [["a", "b"], ["bb", "cc"], ["aaa"]]


class Broken(WordVictim):
    def __init__(self, rows: Probabilities) -> None:
        super().__init__()
        self.rows = rows

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        return self.rows


@pytest.mark.parametrize(
    "rows", [np.array([[0.5, 0.5]]), np.array([[0.5], [0.5]]), np.array([[0.2, 0.2]] * 2), np.array([[np.nan, 1]] * 2)]
)
def test_what_is_no_probabilities_is_refused(rows: Probabilities) -> None:
    with pytest.raises(FilterError, match="victim words@"):
        Readings(Broken(rows)).read(["a", "b"])


def test_sizes_and_labels_are_checked() -> None:
    class OneLabel(WordVictim):
        labels = ("only",)  # type: ignore[assignment]

    for wrong in ({"batch_size": 0}, {"most_texts": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            Readings(WordVictim(), **wrong)
    with pytest.raises(ConfigError, match="at least two"):
        Readings(OneLabel())
