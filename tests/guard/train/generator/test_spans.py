from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.generators.loading import load_model
from guard.train.generator.spans import JudgedText, flagged_ids, language_rows, unlearnt_text, unlearnt_texts


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


def test_flagged_words_are_unlearnt_in_their_context(tokenizer) -> None:  # type: ignore[no-untyped-def]
    plain = unlearnt_text(tokenizer, JudgedText("a bad one", ranges=((2, 5),)), most=20)
    assert plain is not None
    assert (tokenizer.decode(plain.prompt), tokenizer.decode(plain.answer)) == ("a", " bad one")
    assert tokenizer.decode([i for i, f in zip(plain.answer, plain.flagged, strict=True) if f]) == "bad"
    coded = unlearnt_text(tokenizer, JudgedText("a bad one", ranges=((0, 1),)), code="[x]\n", most=20)
    assert coded is not None
    assert (tokenizer.decode(coded.prompt), tokenizer.decode(coded.answer)) == ("[x]\n", "a bad one")
    assert coded.flagged[:2] == (1.0, 0.0)
    asked = unlearnt_text(tokenizer, JudgedText("a bad", "Hi", ranges=((2, 5),)), code="[x]\n", most=20)
    assert asked is not None
    assert tokenizer.decode(asked.prompt) == "<|user|>[x]\nHi<|end|><|assistant|>"


def test_what_has_no_flag_left_behind_a_cut_is_not_unlearnt(tokenizer) -> None:  # type: ignore[no-untyped-def]
    assert unlearnt_text(tokenizer, JudgedText("a fine bad", ranges=((7, 10),)), most=4) is None
    assert unlearnt_text(tokenizer, JudgedText("fine"), most=4) is None
    texts = [JudgedText("bad a", ranges=((0, 3),)), JudgedText("fine")]
    assert len(unlearnt_texts(tokenizer, texts, ["", ""], most=9)) == 1


def test_an_answer_that_the_template_changed_is_left_out_where_it_is_flagged(tiny_llama: Path) -> None:
    _, other = load_model(tiny_llama, device=torch.device("cpu"))
    other.chat_template = "{% for m in messages %}<|user|>{{ m['content'] | upper }}<|end|>{% endfor %}"
    one = JudgedText("so bad", "Hi", ranges=((3, 6),))
    assert language_rows(other, one, spared=True, most=60) == []
    assert len(language_rows(other, one, spared=False, most=60)) == 1


def test_a_slow_tokenizer_cannot_flag() -> None:
    class Slow:
        is_fast = False

        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            return {"input_ids": [1, 2]}

    assert flagged_ids(Slow(), "ab", ()) == ((1, 2), ())
    with pytest.raises(ConfigError, match="fast tokenizer"):
        flagged_ids(Slow(), "ab", ((0, 1),))
