"""What may stand in the place of a word: by the cosine, whole words only, in the case of the word."""

from __future__ import annotations

import numpy as np

from guard.explain.generation.replacing import NEUTRAL, NearestWords

TABLE = NearestWords(
    np.array([[1, 0], [0.9, 0.1], [0, 1], [1, 0.01]], dtype=np.float32), ("fool", "clown", "friend", "")
)


def test_nearest_whole_words_first() -> None:
    assert TABLE.near("fool", 2) == ["clown", "friend"]
    assert TABLE.near("Fool", 1) == ["Clown"]
    assert TABLE.near("FOOL", 1) == ["CLOWN"]
    assert TABLE.near("unknown", 3) == TABLE.near("", 3) == []


def test_every_word_may_become_one_that_says_little() -> None:
    found = TABLE.for_prompt("You fool", 1)
    assert found == {0: ["Something", "Someone", "It"], 1: ["clown", *NEUTRAL]}
