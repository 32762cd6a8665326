"""The bridge to TextAttack. Most of it runs where TextAttack is installed, in an environment of its own."""

from __future__ import annotations

import importlib.util
import os
import random
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from guard.attacks import textattack as bridge
from guard.attacks.engine import run_attack
from guard.attacks.recipes import recipe
from guard.attacks.schema import Attempt, Example, Probabilities
from guard.errors import AssetError, ConfigError

HERE = importlib.util.find_spec("textattack") is not None
needs_textattack = pytest.mark.skipif(not HERE, reason="textattack is not installed")
# Its own imports warn, and so does what it imports.
pytestmark = pytest.mark.filterwarnings("ignore")

EXAMPLES = [
    Example("a", "You are a stupid idiot and nobody likes you.", 1),
    Example("b", "What a lovely morning, said the stupid stranger.", 1),
    Example("c", "Nothing to see in this text.", 1),
]


class Words:
    """Adds weights up: rude words have high ones, every other word a small one of its own, so that nothing ties."""

    name, labels = "words@1", ("clean", "rude")

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        odds = np.array([sum(map(_weight, text.split())) - 1 for text in texts], dtype=float)
        score = 1 / (1 + np.exp(-odds))
        return np.stack([1 - score, score], axis=1)


def _weight(word: str) -> float:
    small = zlib.crc32(word.encode()) % 997 / 9970
    return small + 2 * any(rude in word.lower() for rude in ("stupid", "idiot", "nobody"))


@pytest.fixture(scope="module", autouse=True)
def data() -> None:
    try:
        bridge.assets.path("nltk-stopwords")
        bridge.assets.path("punkt")
    except AssetError as error:
        pytest.skip(str(error))


@pytest.mark.skipif(HERE, reason="textattack is installed")
@pytest.mark.model
def test_without_textattack_the_error_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'assay\[attacks\]'"):
        bridge.textattack()


def test_an_unknown_recipe_is_refused_before_anything_is_imported() -> None:
    with pytest.raises(ConfigError, match="known: a2t"):
        bridge._key_of("no such recipe; __import__('os')")
    assert bridge._key_of("DeepWordBugGao2018") == bridge._key_of("deepwordbug") == "deepwordbug"
    assert bridge._key_of("input_reduction") == "input-reduction"


def test_what_is_broken_is_said_of_known_recipes() -> None:
    assert set(bridge.BROKEN) < set(bridge.TEXTATTACK_RECIPES)
    assert {"deepwordbug", "pruthi", "input-reduction"}.isdisjoint(bridge.BROKEN)


@needs_textattack
@pytest.mark.model
def test_the_import_leaves_the_environment_as_it_was() -> None:
    names = ("HF_HOME", "TOKENIZERS_PARALLELISM", "XDG_CACHE_HOME")
    before = [os.environ.get(name) for name in names]
    assert bridge.textattack().__name__ == "textattack"
    assert [os.environ.get(name) for name in names] == before


@needs_textattack
@pytest.mark.model
@pytest.mark.parametrize("name", ["deepwordbug", "pruthi", "input-reduction"])
def test_a_recipe_of_theirs_comes_to_what_ours_comes_to(name: str) -> None:
    theirs = list(bridge.run_textattack(name, Words(), EXAMPLES, seed=3))
    ours = {one.example_id: one for one in run_attack(recipe(name), Words(), EXAMPLES, seed=3)}
    assert [one.example_id for one in theirs] == ["a", "b", "c"]
    for one in theirs:
        mine = ours[one.example_id]
        assert (one.status, one.perturbed, one.n_queries) == (mine.status, mine.perturbed, mine.n_queries)
        assert (one.n_words, one.n_words_changed, one.edit_distance) == (
            mine.n_words, mine.n_words_changed, mine.edit_distance,
        )  # fmt: skip
        assert one.score_after == pytest.approx(mine.score_after, abs=1e-6)
        assert one.label_after == mine.label_after


@needs_textattack
@pytest.mark.model
def test_threshold_and_budget_hold_there_too() -> None:
    (low,) = bridge.run_textattack("deepwordbug", Words(), EXAMPLES[:1], threshold=0.05)
    assert low.status == "failed"
    (few,) = bridge.run_textattack("deepwordbug", Words(), EXAMPLES[:1], budget=5)
    assert few.n_queries == 5
    assert few.status == "failed"


@needs_textattack
@pytest.mark.model
def test_the_process_keeps_its_random_state() -> None:
    random.seed(5)
    expected = random.random()
    random.seed(5)
    list(bridge.run_textattack("deepwordbug", Words(), EXAMPLES[:1]))
    assert random.random() == expected


@needs_textattack
@pytest.mark.model
@pytest.mark.parametrize("name", ["hotflip", "textbugger"])
def test_what_cannot_run_says_why(name: str) -> None:
    with pytest.raises(ConfigError, match=r"TextAttack 0\.3\.11's .* does not run here") as caught:
        list(bridge.run_textattack(name, Words(), EXAMPLES[:1]))
    assert bridge.BROKEN[name] in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_textattack
@pytest.mark.model
@pytest.mark.parametrize("name", ["deepwordbug", "input-reduction"])
def test_our_attempts_are_their_results(name: str) -> None:
    victim = Words()
    kinds = {"succeeded": "Successful", "failed": "Failed", "skipped": "Skipped", "maximized": "Maximized"}
    for attempt in run_attack(recipe(name), victim, EXAMPLES, seed=3):
        result = bridge.to_result(attempt, victim)
        assert isinstance(result, bridge.textattack().attack_results.AttackResult)
        assert type(result).__name__ == f"{kinds[attempt.status]}AttackResult"
        assert result.original_text() == attempt.original
        assert result.perturbed_text() == attempt.perturbed
        assert result.num_queries == attempt.n_queries
        assert result.original_result.ground_truth_output == attempt.label
        assert str(result)
        assert result.diff_color("ansi")


@needs_textattack
@pytest.mark.model
def test_a_changed_word_is_coloured_in_their_result() -> None:
    attempt = Attempt("x", 1, "a stupid day", "a stupd day", "succeeded", 4, 4, 3, 1, 1, 0.1, 0.9, 0)
    before, after = bridge.to_result(attempt, Words()).diff_color("ansi")
    assert "\x1b" in before.split(" day")[0]
    assert before.count("\x1b") == 2
    assert after.count("\x1b") == 2


@needs_textattack
@pytest.mark.model
def test_the_mended_wrapper_pads_to_the_longest(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from tests.guard.filters.tiny_classifier import write_tiny_classifier

    folder = write_tiny_classifier(tmp_path)
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    widths = []
    forward = model.forward

    def spy(**inputs: object) -> object:
        widths.append(inputs["input_ids"].shape[1])  # type: ignore[attr-defined]
        inputs.pop("token_type_ids", None)
        return forward(**inputs)

    model.eval().forward = spy
    texts = ["nice day", "you are nice"]
    mended = bridge.padded_to_longest(model, tokenizer)(texts)
    model.forward = spy
    stock = bridge.textattack().models.wrappers.HuggingFaceModelWrapper(model, tokenizer)(texts)
    assert widths == [5, 40]
    assert np.allclose(mended.numpy(), stock.numpy(), atol=1e-5)
