from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError, DataError
from guard.generators.loading import load_model
from guard.train.generator.spans import flagged_ids, learn_example, learn_examples


@pytest.fixture(scope="module")
def tokenizer(tiny_llama: Path) -> object:
    return load_model(tiny_llama, device=torch.device("cpu"))[1]


def test_the_tokens_of_a_range_are_flagged_and_no_others(tokenizer) -> None:  # type: ignore[no-untyped-def]
    ids, flags = flagged_ids(tokenizer, "so bad it", ((3, 6),))
    assert tokenizer.decode([i for i, flag in zip(ids, flags, strict=True) if flag]) == "bad"
    assert flagged_ids(tokenizer, "so bad it", ()) == (ids, ())


def test_blanks_at_the_edge_of_a_range_are_not_flagged(tokenizer) -> None:  # type: ignore[no-untyped-def]
    ids, flags = flagged_ids(tokenizer, "so bad it", ((2, 7),))
    assert tokenizer.decode([i for i, flag in zip(ids, flags, strict=True) if flag]) == "bad"


@given(text=st.text(min_size=1, max_size=30), data=st.data())
def test_flags_have_the_length_of_the_ids(tokenizer, text, data) -> None:  # type: ignore[no-untyped-def]
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    ids, flags = flagged_ids(tokenizer, text, ((start, end),))
    assert len(flags) in (0, len(ids))
    inside = text[start:end].strip()
    assert bool(flags) == bool(inside) or not inside


def test_a_plain_text_is_read_from_its_first_token_or_from_its_code(tokenizer) -> None:  # type: ignore[no-untyped-def]
    plain = learn_example(tokenizer, "a bad one", ((2, 5),))
    assert (tokenizer.decode(plain.prompt), tokenizer.decode(plain.answer)) == ("a", " bad one<|end|>")
    assert tokenizer.decode([i for i, f in zip(plain.answer, plain.flagged, strict=True) if f]) == "bad"
    coded = learn_example(tokenizer, "a bad one", ((0, 1),), code="[x]\n")
    assert (tokenizer.decode(coded.prompt), tokenizer.decode(coded.answer)) == ("[x]\n", "a bad one<|end|>")
    assert coded.flagged[:2] == (1.0, 0.0)
    asked = learn_example(tokenizer, "fine", prompt="Hi", code="[x]\n")
    assert tokenizer.decode(asked.prompt) == "<|user|>[x]\nHi<|end|><|assistant|>"
    assert asked.flagged == ()


def test_a_text_is_cut_and_loses_the_flags_behind_the_cut(tokenizer) -> None:  # type: ignore[no-untyped-def]
    cut = learn_example(tokenizer, "a fine bad", ((7, 10),), most=4)
    assert (tokenizer.decode(cut.answer), cut.flagged) == (" fin", ())
    many = learn_examples(tokenizer, ["ab", "cd"], [(), ((0, 2),)], ["", "[x]\n"])
    assert [len(one.answer) for one in many] == [2, 3]
    with pytest.raises(DataError):
        learn_example(tokenizer, "")


def test_a_slow_tokenizer_cannot_flag() -> None:
    class Slow:
        is_fast = False

        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            return {"input_ids": [1, 2]}

    assert flagged_ids(Slow(), "ab", ()) == ((1, 2), ())
    with pytest.raises(ConfigError, match="fast tokenizer"):
        flagged_ids(Slow(), "ab", ((0, 1),))
