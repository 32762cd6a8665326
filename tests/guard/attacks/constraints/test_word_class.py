"""Parts of speech by a spaCy pipeline of rules, so that no model is needed."""

from __future__ import annotations

from typing import Any

import pytest

from guard.attacks.constraints.word_class import SameWordClass
from guard.attacks.schema import Check
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

spacy = pytest.importorskip("spacy")

CLASSES = {"NOUN": ["day", "walk"], "VERB": ["ran", "run"], "ADJ": ["fine", "bad"]}
ORIGINAL = AttackedText.of("a fine day")


@pytest.fixture(scope="module")
def pipeline() -> Any:
    found = spacy.blank("en")
    ruler = found.add_pipe("attribute_ruler")
    for name, words in CLASSES.items():
        ruler.add([[{"LOWER": {"IN": words}}]], {"POS": name})
    return found


def kept(constraint: SameWordClass, *words: str) -> list[str]:
    (found,) = constraint.keep([Check(ORIGINAL, ORIGINAL, [ORIGINAL.replace(2, word) for word in words])])
    return [text.words[2] for text in found]


def test_words_keep_their_class(pipeline: Any) -> None:
    assert kept(SameWordClass(pipeline), "walk", "fine", "run") == ["walk", "run"]
    assert kept(SameWordClass(pipeline, noun_for_verb=False), "walk", "fine", "run") == ["walk"]


def test_a_change_of_the_number_of_words_passes(pipeline: Any) -> None:
    longer = ORIGINAL.insert_before(2, "bad")
    assert SameWordClass(pipeline).keep([Check(ORIGINAL, ORIGINAL, [longer])]) == [[longer]]


def test_a_model_that_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match="spacy download en_no_such_model"):
        SameWordClass.load("en_no_such_model")


def test_settings_are_told(pipeline: Any) -> None:
    assert "noun_for_verb=False" in repr(SameWordClass(pipeline, noun_for_verb=False))
