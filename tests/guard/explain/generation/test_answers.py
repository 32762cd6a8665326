"""Which words make answers score: by hand on a scripted generator, paired by seed, and over a real endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from guard.errors import ConfigError, GeneratorError
from guard.explain.generation.answers import AnswerScores, explain_answers
from guard.explain.generation.counterfactual import find_edit
from guard.filters.callable import CallableFilter
from guard.generators.callable import CallableGenerator
from guard.generators.endpoint import EndpointGenerator
from guard.generators.endpoint_requests import Endpoint
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding
from tests.guard.generators.endpoint_server import refusal, serve

RUDE = CallableFilter(lambda text: 0.9 if "idiot" in text else 0.1, categories=("rude",))


class _Dice:
    """Answers rudely by the prompt's words and the seed: ``bad`` always, ``mood`` for odd seeds."""

    name = "dice@0"

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        seeds = [seed] * len(prompts) if isinstance(seed, int) else seed
        return ["idiot" if "bad" in p or ("mood" in p and s % 2) else "ok" for p, s in zip(prompts, seeds, strict=True)]


def test_values_by_hand() -> None:
    scores = AnswerScores(CallableGenerator(lambda p: "idiot" if "bad" in p else "ok"), RUDE, "rude", n_samples=1)
    (found,) = explain_answers(scores, ["a bad day"])
    assert found.values.tolist() == pytest.approx([0.0, 0.8, 0.0])
    assert (found.number, found.baseline) == pytest.approx((0.9, 0.1))
    assert found.errors is None
    assert scores.n_answers == found.n_scored == 5


def test_same_random_numbers_for_every_wording() -> None:
    """A word that does nothing has a value of exactly 0 with no error, though the answers are drawn."""
    scores = AnswerScores(_Dice(), RUDE, "rude", n_samples=16)
    (found,) = explain_answers(scores, ["mood swings"])
    odd = sum(np.array(scores._seeds) % 2) / 16
    assert 0 < odd < 1
    assert found.values.tolist() == pytest.approx([0.8 * odd, 0.0])
    assert found.errors is not None
    assert found.errors[0] == pytest.approx(0.8 * np.sqrt(odd * (1 - odd) * 16 / 15) / 4)
    assert found.errors[1] == 0


def test_sampled_values_of_a_model_depend_on_prompt_and_seed_alone(tiny_llama: Path) -> None:
    made = TransformersGenerator.load(tiny_llama, dtype="float32").with_decoding(Decoding(6, 1.0))
    vowels = CallableFilter(lambda text: min(1.0, sum(c in "aeiou" for c in text) / 20), categories=("v",))
    (alone,) = explain_answers(AnswerScores(made, vowels, "v", n_samples=3, seed=5), ["one two"])
    _, beside = explain_answers(AnswerScores(made, vowels, "v", n_samples=3, seed=5), ["other words here", "one two"])
    assert alone.values.tolist() == beside.values.tolist()


def test_endpoint_is_explained_by_asking_again() -> None:
    with serve() as server:
        generator = EndpointGenerator(Endpoint(server.url, "tiny"), batch_size=8).with_decoding(Decoding(4, 0.0))
        asked = CallableFilter(lambda text: 0.9 if "bad" in text else 0.1, categories=("rude",))
        scores = AnswerScores(generator, asked, "rude", n_samples=2)
        (found,) = explain_answers(scores, ["a bad day"])
    assert found.values.tolist() == pytest.approx([0.0, 0.8, 0.0])
    assert len(server.asked) == found.n_scored == 10


def test_answers_that_cannot_be_had_are_left_out_and_told() -> None:
    with serve() as server:
        server.scripts["a day"] = [refusal(400, "no"), refusal(400, "no")]
        generator = EndpointGenerator(Endpoint(server.url, "tiny"), batch_size=8).with_decoding(Decoding(4, 0.0))
        scores = AnswerScores(generator, RUDE, "rude", n_samples=2)
        with pytest.raises(GeneratorError, match="no answer could be had to 1 of"):
            explain_answers(scores, ["a bad day"])


def test_least_edit_of_a_prompt_turns_the_answers_verdict() -> None:
    scores = AnswerScores(CallableGenerator(lambda p: "idiot" if "bad" in p else "ok"), RUDE, "rude", n_samples=1)
    edit = find_edit("such a bad day", scores.means, 0.5)
    assert edit.edited == "such a day"
    assert scores.answers("such a day") == ("ok",)


@pytest.mark.parametrize(("category", "n"), [("other", 1), ("rude", 0)])
def test_senseless_requests_are_refused(category: str, n: int) -> None:
    with pytest.raises(ConfigError, match="has rude"):
        AnswerScores(_Dice(), RUDE, category, n_samples=n)


def test_empty_prompt_has_no_words() -> None:
    (found,) = explain_answers(AnswerScores(_Dice(), RUDE, "rude", n_samples=2), [""])
    assert (len(found.parts), len(found.values)) == (0, 0)
    assert found.number == pytest.approx(0.1)
