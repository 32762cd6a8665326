"""What made an answer likely: known answers on a bigram model, completeness, antisymmetry, independence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evals.scorers.likelihood import log_likelihoods
from guard.errors import ConfigError, DataError
from guard.explain.generation.framing import frame
from guard.explain.generation.likelihood import METHODS, LikelihoodExplainer, Question
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding
from tests.guard.explain.generation.bigram import bigram_generator, next_log_probabilities

_FEW = 23  # points of a path: the first cut, and one more
HARD = [
    "",
    " ",
    "a",
    "two words",
    "lone \ud800 surrogate",
    "a <|end|> b <|user|>",
    "caf\u00e9 \U0001f600\U0001f600 x",
    "\u4f60\u597d",
    "<|assistant|>",
    "tabs\tand\nlines ",
]


@pytest.fixture(scope="module")
def bigram(tmp_path_factory: pytest.TempPathFactory) -> TransformersGenerator:
    return bigram_generator(tmp_path_factory.mktemp("bigram"))


@pytest.fixture(scope="module", params=[True, False], ids=["chat", "raw"])
def tiny(tiny_llama: Path, request: pytest.FixtureRequest) -> TransformersGenerator:
    made = TransformersGenerator.load(tiny_llama, dtype="float32")
    return made.with_decoding(Decoding(max_new_tokens=4, temperature=0.0, chat=request.param))


@pytest.mark.parametrize("prompt", HARD)
def test_prompt_is_framed_as_the_generator_reads_it(tiny: TransformersGenerator, prompt: str) -> None:
    framed = frame(tiny.tokenizer, prompt, chat=tiny.decoding.chat, start_id=0)
    assert list(framed.ids) == tiny.encode(prompt)
    assert len(framed.ranges) == len(framed.ids)
    covered = {at for start, end in framed.ranges for at in range(start, end)}
    assert covered == set(range(len(prompt)))


@pytest.mark.parametrize("prompt", [*HARD, "  blanks around  "])
@pytest.mark.parametrize("code", ["<|user|>kind: ", "be kind ", ""])
def test_control_code_in_front_is_read_and_is_no_word(tiny: TransformersGenerator, prompt: str, code: str) -> None:
    coded = tiny.with_decoding(tiny.decoding)
    coded.prefix = code
    framed = frame(coded.tokenizer, prompt, chat=coded.decoding.chat, start_id=0, prefix=code)
    assert list(framed.ids) == coded.encode(prompt)
    assert {at for start, end in framed.ranges for at in range(start, end)} == set(range(len(prompt)))
    (found,) = LikelihoodExplainer(coded).explain([Question(prompt, "yes")])
    (whole,) = LikelihoodExplainer(tiny).explain([Question(code + prompt, "yes")])
    assert found.number == whole.number
    assert found.text == prompt


def test_template_that_cuts_blanks_off(tiny: TransformersGenerator) -> None:
    framed = frame(_Trimming(tiny.tokenizer), "  two words ", chat=True, start_id=0, prefix=" a ")
    covered = sorted(at for start, end in framed.ranges for at in range(start, end))
    assert covered == list(range(11))  # the blank at the end is gone, those in front stand behind the code


def test_bigram_by_hand(bigram: TransformersGenerator) -> None:
    """Only the last letter of the prompt counts: leaving out any other word changes nothing at all."""
    table = next_log_probabilities(bigram.model)
    byte = {letter: bigram.tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in "abcde "}
    (found,) = LikelihoodExplainer(bigram).explain([Question("a b c d", "e")])
    assert found.values[:3].tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    last = table[byte["d"], byte["e"]] - table[byte["c"], byte["e"]]
    assert found.values[3] == pytest.approx(last, abs=1e-5)
    assert found.number == pytest.approx(table[byte["d"], byte["e"]], abs=1e-5)
    assert found.n_scored == 6


@pytest.mark.parametrize("method", ["gradient-x-input", "integrated-gradients"])
def test_gradients_of_a_bigram_reach_the_last_word_only(bigram: TransformersGenerator, method: str) -> None:
    (found,) = LikelihoodExplainer(bigram, method=method).explain([Question("a b c d", "ee")])
    assert found.values[:3].tolist() == [0, 0, 0]
    if found.complete:
        assert found.values[3] == pytest.approx(found.number - found.baseline, rel=0.05)


@pytest.mark.parametrize("prompt", ["two words", "a <|end|> b", "caf\u00e9 \U0001f600 x."])
def test_integrated_gradients_are_complete(tiny: TransformersGenerator, prompt: str) -> None:
    (found,) = LikelihoodExplainer(tiny, method="integrated-gradients").explain([Question(prompt, "yes")])
    assert found.gap is not None
    assert abs(found.gap) <= 0.05 * abs(found.number - found.baseline) + 1e-4
    assert abs(found.number - found.baseline) > 0.1


@pytest.mark.parametrize("method", [*METHODS])
def test_why_this_and_not_that_is_antisymmetric(tiny: TransformersGenerator, method: str) -> None:
    explainer = LikelihoodExplainer(tiny, method=method)
    this, that = explainer.explain([Question("a b c", "yes", "no way"), Question("a b c", "no way", "yes")])
    assert this.values.tolist() == (-that.values).tolist()
    assert this.number == -that.number
    alone = [one.number for one in explainer.explain([Question("a b c", "yes"), Question("a b c", "no way")])]
    assert this.number == pytest.approx(alone[0] - alone[1], abs=1e-9)


@pytest.mark.parametrize("method", [*METHODS])
def test_no_value_depends_on_the_others(tiny: TransformersGenerator, method: str) -> None:
    questions = [Question(prompt, "an answer", "other") for prompt in HARD[::3]] + [Question("x " * 40, "so")]
    together = LikelihoodExplainer(tiny, method=method, batch_size=7, most_points=_FEW).explain(questions)
    for question, found in zip(questions, together, strict=True):
        (alone,) = LikelihoodExplainer(tiny, method=method, batch_size=1, most_points=_FEW).explain([question])
        assert (alone.values.tolist(), alone.number) == (found.values.tolist(), found.number)


@pytest.mark.parametrize("prompt", HARD)
def test_hard_prompts_have_finite_values(tiny: TransformersGenerator, prompt: str) -> None:
    for method in METHODS:
        (found,) = LikelihoodExplainer(tiny, method=method, most_points=_FEW).explain([Question(prompt, "\ud800ok")])
        assert found.text == prompt
        assert len(found.values) == len(found.parts)


def test_number_is_the_log_likelihood(tiny: TransformersGenerator) -> None:
    if tiny.decoding.chat:
        pytest.skip("the other computes raw continuations only")
    (found,) = LikelihoodExplainer(tiny).explain([Question("some words", "the end")])
    (known,) = log_likelihoods(tiny, ["some words"], ["the end"])
    assert known is not None
    assert found.number == pytest.approx(known, abs=1e-6)


def test_parts_of_an_output_add_up_to_the_whole(tiny: TransformersGenerator) -> None:
    explainer = LikelihoodExplainer(tiny)
    parts = [Question("a b", "yes no", parts=((0, 3),)), Question("a b", "yes no", parts=((3, 6),))]
    one, two, whole = explainer.explain([*parts, Question("a b", "yes no")])
    assert (one.values + two.values).tolist() == pytest.approx(whole.values.tolist(), abs=1e-9)


def test_what_cannot_be_explained_is_refused(tiny: TransformersGenerator) -> None:
    with pytest.raises(DataError, match="output to explain is empty"):
        LikelihoodExplainer(tiny).explain([Question("a", "")])
    with pytest.raises(DataError, match="the model takes 1024"):
        LikelihoodExplainer(tiny).explain([Question("a" * 1100, "b")])
    with pytest.raises(ConfigError, match="leave-one-out"):
        LikelihoodExplainer(tiny, method="guess")
    assert LikelihoodExplainer(tiny).explain([]) == []
    with pytest.raises(ConfigError, match="changes the prompt"):
        frame(_Shouting(tiny.tokenizer), "a b", chat=True, start_id=0)


class _Shouting:
    """A tokenizer whose template writes prompts in capitals."""

    is_fast, chat_template = True, "there"

    def __init__(self, tokenizer: object) -> None:
        self._tokenizer = tokenizer

    def apply_chat_template(self, messages: list[dict[str, str]], **_options: object) -> str:
        return f"[{messages[0]['content'].upper()}]"


class _Trimming(_Shouting):
    """A tokenizer whose template cuts blanks off."""

    def apply_chat_template(self, messages: list[dict[str, str]], **_options: object) -> str:
        return f"[{messages[0]['content'].strip()}]"

    def __call__(self, *given: object, **options: object) -> object:
        return self._tokenizer(*given, **options)  # type: ignore[operator]


def test_values_are_those_of_the_rewritten_prompt(tiny: TransformersGenerator) -> None:
    explainer = LikelihoodExplainer(tiny)
    (whole,) = explainer.explain([Question("He said, hello", "there")])
    less = explainer.explain([Question(text, "there") for text in ("said, hello", "He, hello", "He said,")])
    assert np.allclose(whole.values, [whole.number - one.number for one in less], atol=1e-12)
