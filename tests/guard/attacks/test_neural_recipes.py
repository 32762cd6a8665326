"""Recipes with models of their own: what they say of themselves, what they need, and runs on tiny and real models."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard import assets
from guard.attacks.engine import run_attack
from guard.attacks.neural_recipes import DIFFERS, NEURAL_RECIPES, Parts
from guard.attacks.recipes import RECIPES, recipe
from guard.attacks.schema import Example
from guard.attacks.victims import FilterVictim
from guard.attacks.whitebox import WhiteBoxVictim
from guard.errors import AssetError, ConfigError
from guard.filters.callable import CallableFilter
from guard.filters.encoder import EncoderFilter
from tests.guard.attacks.tiny_masked_lm import write_tiny_masked_lm
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert

TEXTS = ["You are a stupid idiot and nobody likes you.", "I hate this disgusting man, he is an idiot."]


@pytest.fixture(scope="module", autouse=True)
def stop_words() -> None:
    try:
        assets.path("nltk-stopwords")
    except AssetError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> WhiteBoxVictim:
    base, weights = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("adapter")
    write_tiny_bert(base)
    filter_ = EncoderFilter.load(base=base, weights=write_tiny_adapter(weights), device="cpu", dtype="float32")
    return WhiteBoxVictim(FilterVictim(filter_, "toxicity"), filter_, [(0, -1), (0, 1)])


@pytest.fixture(scope="module")
def shipped() -> FilterVictim:
    try:
        return FilterVictim(EncoderFilter.load(device="cpu", dtype="float32"), "toxicity")
    except AssetError as error:
        pytest.skip(str(error))


def test_every_recipe_says_how_it_differs() -> None:
    assert set(DIFFERS) == set(NEURAL_RECIPES)
    assert all(text.endswith(".") for text in DIFFERS.values())


def test_they_stand_in_the_one_table() -> None:
    assert set(NEURAL_RECIPES) < set(RECIPES)
    assert list(RECIPES) == sorted(RECIPES)


@pytest.mark.model
def test_the_table_hands_parts_on(tiny: WhiteBoxVictim) -> None:
    assert recipe("HotFlip", threshold=0.5, parts=Parts(victim=tiny)).name == "hotflip"
    with pytest.raises(ConfigError, match=r"the victim given \(none\) has none"):
        RECIPES["hotflip"](0.5)


@pytest.mark.model
def test_hotflip_turns_the_tiny_encoder(tiny: WhiteBoxVictim) -> None:
    text = "stupid person hate weather"
    label = int(tiny.probabilities([text])[0].argmax())
    attack = NEURAL_RECIPES["hotflip"](None, Parts(victim=tiny))
    (attempt,) = run_attack(attack, tiny, [Example("a", text, label)])
    assert attempt.status == "succeeded"
    assert attempt.n_words_changed <= 2


@pytest.mark.model
def test_hotflip_needs_gradients() -> None:
    with pytest.raises(ConfigError, match="attack the encoder"):
        NEURAL_RECIPES["hotflip"](
            None, Parts(victim=FilterVictim(CallableFilter(lambda text: 0.0, categories=["bad"])))
        )


@pytest.mark.model
@pytest.mark.parametrize("name", ["bae", "bert-attack-style"])
def test_a_missing_masked_language_model_is_asked_for(name: str) -> None:
    with pytest.raises(ConfigError, match="no masked language model is given"):
        NEURAL_RECIPES[name](None, Parts())


@pytest.mark.model
@pytest.mark.parametrize("name", ["textbugger", "textfooler-style", "bae", "bert-attack-style"])
def test_recipe_runs_on_the_shipped_encoder(name: str, shipped: FilterVictim, tmp_path: Path) -> None:
    attack = NEURAL_RECIPES[name](0.5, Parts(masked_lm=write_tiny_masked_lm(tmp_path), device="cpu"))
    examples = [Example(str(place), text, 1) for place, text in enumerate(TEXTS)]
    attempts = list(run_attack(attack, shipped, examples, budget=150))
    assert len(attempts) == 2
    for attempt in attempts:
        after = shipped.probabilities([attempt.perturbed])[0, 1]
        assert (attempt.status == "succeeded") == (after < 0.5)
        assert attempt.n_queries > 1
        assert after <= shipped.probabilities([attempt.original])[0, 1]
