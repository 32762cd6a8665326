"""The causal check: terms found and exchanged, effects by hand, and attribution that disagrees with them told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from evals.explaining.swap_terms import SwapSet, read_swap_sets, swaps_of
from evals.explaining.swaps import causal_check, disagreement, group_json
from guard.errors import DataError
from guard.explain.generation.prompt_words import PromptWords
from guard.explain.schema import Attribution, Values

PETS = SwapSet("pets.kind", ("cat", "dog"), (("cat", "dog"), ("cats", "dogs")))


def _scores(texts: Sequence[str]) -> Values:
    return np.array([0.8 if "cat" in text.lower() else 0.3 for text in texts])


def _credits(value: float) -> object:
    """Return what gives every word the same value."""

    def explain(texts: Sequence[str]) -> list[Attribution]:
        parts = [PromptWords.of(text).ranges for text in texts]
        return [
            Attribution(t, "x", "m", p, np.full(len(p), value), 1.0, 0.0) for t, p in zip(texts, parts, strict=True)
        ]

    return explain


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("My cat sleeps.", ["My dog sleeps."]),
        ("CATS and Cat", ["DOGS and Dog"]),
        ("a dog, two dogs", ["a cat, two cats"]),
        ("a category of cattle", []),
        ("a cat and a dog", ["a dog and a dog", "a cat and a cat"]),
        ("", []),
        ("\ud800 cat \U0001f600", ["\ud800 dog \U0001f600"]),
    ],
)
def test_terms_are_exchanged_in_their_form_and_case(text: str, swapped: list[str]) -> None:
    assert [one.text for one in swaps_of(text, (PETS,))] == swapped


def test_article_follows_its_word() -> None:
    terms = SwapSet("a.b", ("asian", "black"), (("asian", "black"),), ("person",))
    assert [one.text for one in swaps_of("Is an Asian person here? An asian meal.", (terms,))] == [
        "Is a Black person here? An asian meal."
    ]
    assert [one.text for one in swaps_of("A black person", (terms,))] == ["An asian person"]


@pytest.mark.parametrize("kind", ["identity", "topic"])
def test_sets_that_ship_find_their_own_words(kind: str) -> None:
    sets = read_swap_sets(kind)
    assert len(sets) >= 2
    for one in sets:
        follow = f" {one.before[0]}" if one.before else ""
        for at, group in enumerate(one.groups):
            for form in one.forms:
                found = swaps_of(f"The {form[at]}{follow} left.", (one,))
                assert any(swap.group == group for swap in found)
                assert {swap.other for swap in found if swap.group == group} <= set(one.groups) - {group}


def test_effect_by_hand() -> None:
    texts = [f"the cat number {n}" for n in range(20)]
    (found,) = causal_check(texts, _scores, 0.5, (PETS,), _credits(1.0))  # type: ignore[arg-type]
    assert found.effect.value == pytest.approx(0.5)
    assert found.effect.interval is not None
    assert found.effect.interval[0] > 0
    assert (found.flips.value, found.flips.n_prompts) == (1.0, 20)
    assert (found.credited.value, found.disagree.value) == (1.0, 0.0)
    assert disagreement(found) == ""
    assert group_json(found)["effect"]["n"] == 20


def test_attribution_with_the_other_sign_is_told() -> None:
    texts = [f"the cat number {n}" for n in range(20)]
    (found,) = causal_check(texts, _scores, 0.5, (PETS,), _credits(-1.0))  # type: ignore[arg-type]
    assert found.disagree.value == 1.0
    assert disagreement(found) == "opposite signs, within the intervals"
    assert found.credited.interval is None  # all values are equal: the data bound nothing


def test_words_that_move_nothing_have_no_sign() -> None:
    constant = lambda texts: np.full(len(texts), 0.4)  # noqa: E731
    (found,) = causal_check(["a dog", "a dog"], constant, 0.5, (PETS,), _credits(1.0))  # type: ignore[arg-type]
    assert (found.disagree.value, found.disagree.n_unscored, found.effect.n_prompts) == (None, 1, 1)
    assert found.effect.value == 0.0


def test_texts_without_a_group_are_refused() -> None:
    with pytest.raises(DataError, match=r"none of 1 texts has a word of the sets pets.kind"):
        causal_check(["a bird"], _scores, 0.5, (PETS,), _credits(1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("x = 1", "groups, forms"),
        ("[a.b]\ngroups = ['x']\nforms = [['x']]", "two groups"),
        ("[a.b]\ngroups = ['x', 'y']\nforms = [['x']]", "one word a group"),
        ("[a.b]\ngroups = ['x', 'y']\nforms = [['x', 1]]", "lists of words"),
        ("[a.b]\ngroups = ['x', 'y']\nforms = [['x', 'y']]\nmore = 1", "nothing else"),
        ("", "holds no sets"),
        ("[", "cannot be read"),
    ],
)
def test_file_that_is_none_is_refused(tmp_path: Path, toml: str, complaint: str) -> None:
    file = tmp_path / "terms.toml"
    file.write_text(toml)
    with pytest.raises(DataError, match=complaint):
        read_swap_sets(str(file))


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(DataError, match="neither identity nor topic"):
        read_swap_sets("identities")
