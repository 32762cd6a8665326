"""Slips are read as the words they stand for, and words, names and codes as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.explain.filters.table import explainer
from guard.filters.encoder import EncoderFilter
from guard.filters.slip_reading import LogitsOf, SlipReader, usual_words
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert

SLIPS = {"charged": ["stupid"], "categories": ["toxicity"]}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("you are stupdi", "you are stupid"),
        ("you are a stuppid bicth", "you are a stupid bitch"),
        ("i will kil you", "i will kill you"),
        ("what a non-whtie town", "what a non-white town"),
        ("IDOIT!", "idiot!"),
        ("you are stupid", "you are stupid"),
        ("Siobhan met Krzysztof in Llanfair", "Siobhan met Krzysztof in Llanfair"),
        ("you bitches are walking", "you bitches are walking"),
        ("x9f3ab 12% €5", "x9f3ab 12% €5"),
        ("", ""),
    ],
)
def test_slips_are_read_and_words_are_left(text: str, read: str) -> None:
    assert SlipReader().read(text) == read


@given(st.text(max_size=80))
def test_reading_touches_words_alone(text: str) -> None:
    def rest(one: str) -> str:
        return "".join(char for char in one if not (char.isascii() and (char.isalpha() or char == "'")))

    assert rest(SlipReader().read(text)) == rest(text)


BOLD = SlipReader(["bitch", "hoe", "moron"], bold=["bitch", "hoe", "moron"], columns=[0])


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("you pitch", "you bitch"),  # a known word, and far rarer
        ("you bith", "you bitch"),  # "with" is nearer to what people mean
        ("the Mormon", "the Mormon"),  # a name
        ("a morom", "a moron"),
        ("how home", "how home"),  # too many words are a slip away from three letters
        ("an idoit", "an idiot"),
        ("you bitch", "you bitch"),
        ("", ""),
    ],
)
def test_a_bold_reading_takes_the_harmful_word(text: str, read: str) -> None:
    assert BOLD.boldly(text) == read


def _logits(values: dict[str, float]) -> tuple[list[list[str]], LogitsOf]:
    """A stand-in for a model: what it was asked, and log-odds by text in two columns."""
    asked: list[list[str]] = []

    def logits_of(texts: Sequence[str]) -> npt.NDArray[np.float64]:
        asked.append(list(texts))
        return np.array([[values[text], -values[text]] for text in texts]).reshape(-1, 2)

    return asked, logits_of


def test_all_readings_count_for_the_columns_asked_for_and_the_bold_one_a_little() -> None:
    values = {"a man": -5.0, "an idoit": -4.0, "an idiot": 2.0, "a pitch": -1.0, "a bitch": 6.0, "my pitch": -2.0}
    asked, logits_of = _logits(values)
    found = BOLD.combined(["a man", "an idoit", "a pitch", "my pitch"], logits_of)
    assert found[:, 0] == pytest.approx([-5.0, 2.0, 0.2, -2.0])  # by 1.2 at most, and only where it was suspect
    assert found[:, 1] == pytest.approx([5.0, 4.0, 1.0, 2.0])
    assert asked == [["a man", "an idoit", "a pitch", "my pitch", "an idiot"], ["a bitch"]]
    assert BOLD.combined([], logits_of).shape == (0, 2)


def test_edits_are_those_of_the_readings_that_were_taken() -> None:
    _, logits_of = _logits({"a pitch": -1.0, "my pitch": -2.0, "an idoit": -2.0, "an idiot": 3.0})
    assert BOLD.edits("a pitch", logits_of) == [[(2, 7, "bitch")]]
    assert BOLD.edits("my pitch", logits_of) == []
    assert BOLD.edits("an idoit", logits_of) == [[(3, 8, "idiot")]]


def test_of_several_words_a_charged_one_comes_first_unless_it_is_far_rarer() -> None:
    charged = SlipReader(("cock", "hate"))
    assert (SlipReader().read("chock"), charged.read("chock")) == ("check", "cock")
    assert charged.read("hte cat") == "the cat"  # "hate" is a slip away too, and a hundred times rarer
    assert {"the", "filth"} <= set(usual_words())


@pytest.fixture
def pair(tmp_path: Path) -> tuple[EncoderFilter, EncoderFilter]:
    """The same tiny filter without and with the other reading."""
    base, weights = write_tiny_bert(tmp_path / "base"), write_tiny_adapter(tmp_path / "weights")
    shutil.copytree(weights, tmp_path / "slips")
    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "slips" / "config.json").write_text(json.dumps(config | {"slips": SLIPS}), encoding="utf-8")
    plain, slips = (
        EncoderFilter.load(base=base, weights=folder, device="cpu", dtype="float32")
        for folder in (weights, tmp_path / "slips")
    )
    return plain, slips


def test_a_filter_scores_the_higher_of_both_readings(pair: tuple[EncoderFilter, EncoderFilter]) -> None:
    plain, slips = pair
    texts = ["you are stupdi", "you are stupid", "i lovve the weather", "kind"]
    expected = plain.score_batch(texts)
    for at, read in enumerate(map(SlipReader().read, texts)):
        # The second category is not asked for.
        expected[at, 0] = max(expected[at, 0], plain.score_batch([read])[0, 0])
    assert np.allclose(slips.score_batch(texts), expected, atol=1e-6)
    assert slips.name != plain.name
    assert slips.score_batch([]).shape == (0, 2)


def test_where_it_fired_is_told_in_the_text_as_given(pair: tuple[EncoderFilter, EncoderFilter]) -> None:
    text = "you are stupdi i hate the weatehr do not you and a person"
    for span in pair[1].locate(text):
        assert 0 <= span.start < span.end <= len(text)
        column = pair[1].categories.index(span.category)
        assert span.score == pytest.approx(float(pair[1].score_batch([text])[0, column]), abs=1e-6)


def test_what_only_the_other_reading_says_is_explained_in_the_text_as_given(
    pair: tuple[EncoderFilter, EncoderFilter],
) -> None:
    plain, slips = pair
    text, other = "you are st\u200bupdi and kind", "you are stupid and kind"
    category = slips.categories[0]
    (found,) = explainer(slips, "integrated-gradients").explain([text], category)
    assert 1 / (1 + np.exp(-found.number)) == pytest.approx(float(slips.score_batch([text])[0, 0]), abs=1e-5)
    first, second = (plain.score_batch([one])[0, 0] for one in (text, other))
    (expected,) = explainer(plain, "integrated-gradients").explain([other if second > first else text], category)
    assert found.values == pytest.approx(expected.values, abs=1e-5)
    assert "st\u200bupdi" in [found.text[start:end] for start, end in found.parts]
    # A category that the other reading does not count for is read as it stands.
    (unread,) = explainer(slips, "occlusion").explain([text], slips.categories[1])
    assert 1 / (1 + np.exp(-unread.number)) == pytest.approx(float(plain.score_batch([text])[0, 1]), abs=1e-5)
