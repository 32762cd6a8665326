from __future__ import annotations

import pytest

from evals.perturb import PERTURBATIONS, perturb
from guard.canonical import canonicalize, fold
from guard.errors import ConfigError

TEXT = "Please explain to these people how they should attack a castle quickly"

# What one Aho-Corasick or encoder filter gets to see again after canonical form; the others change the letters.
UNDONE = ["bidi", "case", "combining", "full_width", "homoglyph", "strikethrough", "zero_width"]
LOSSY = ["delete", "insert", "leetspeak", "swap"]
PARTLY_UNDONE = ["spaced"]  # by dots and dashes yes; by spaces, two spelled words in a row run together


def test_what_becomes_of_every_perturbation_is_known() -> None:
    assert sorted(PERTURBATIONS) == sorted(UNDONE + LOSSY + PARTLY_UNDONE)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbation_changes_the_text(name: str) -> None:
    assert perturb(TEXT, name, seed=0) != TEXT


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbation_is_a_function_of_the_seed(name: str) -> None:
    assert perturb(TEXT, name, seed=1) == perturb(TEXT, name, seed=1)
    if name not in ("full_width", "strikethrough"):  # these leave nothing to chance
        assert len({perturb(TEXT, name, seed=seed) for seed in range(5)}) > 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", UNDONE)
def test_canonical_form_undoes(name: str, seed: int) -> None:
    assert fold(canonicalize(perturb(TEXT, name, seed=seed))).text == TEXT.lower()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", LOSSY)
def test_lossy_perturbation_leaves_most_words_alone(name: str, seed: int) -> None:
    before, after = TEXT.split(" "), perturb(TEXT, name, seed=seed).split(" ")
    assert set(before) & set(after)
    assert fold(canonicalize(" ".join(after))).text != TEXT.lower()


@pytest.mark.parametrize("name", PERTURBATIONS)
@pytest.mark.parametrize("text", ["", " ", "a", "abcd", "你好", "no to it", "\ud800", "  two  gaps "])
def test_any_text_can_be_perturbed(name: str, text: str) -> None:
    assert isinstance(perturb(text, name, seed=3), str)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("full_width", "Hi, you!", "Ｈｉ， ｙｏｕ！"),
        ("strikethrough", "no 1", "n\u0336o\u0336 1"),
        ("swap", "abcd", "acbd"),  # the one place there is
        ("spaced", "it is a", "it is a"),  # nothing long enough
    ],
)
def test_perturbation_of_a_short_text(name: str, text: str, expected: str) -> None:
    assert perturb(text, name, seed=0) == expected


@pytest.mark.parametrize("name", ["delete", "insert"])
def test_length_changes_by_letters_inside_a_word(name: str) -> None:
    for seed in range(10):
        word = perturb("castle", name, seed=seed)
        assert (word[0], word[-1]) == ("c", "e")
        assert len(word) - len("castle") in ((-1,) if name == "delete" else (1, 2))


def test_unknown_perturbation_is_refused() -> None:
    with pytest.raises(ConfigError, match="no perturbation is called 'rot13'; known: bidi, case"):
        perturb(TEXT, "rot13", seed=0)
