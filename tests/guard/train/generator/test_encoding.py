from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from guard.errors import DataError
from guard.generators.loading import load_model
from guard.train.generator.encoding import Turn, encode_dialogue, encode_text
from guard.train.generator.token_rows import TokenRow

DIALOGUE = [Turn("user", "hi"), Turn("assistant", "yes?"), Turn("user", "a tea"), Turn("assistant", "here")]
ROLES = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
FORGETS = (
    "{% for m in messages %}{% if loop.last or m['role'] == 'user' %}[{{ m['role'] }}]{{ m['content'] }}<|end|>"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
PICKY = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"


@pytest.fixture
def tokenizer(tiny_llama: Path) -> Any:
    return load_model(tiny_llama, device=torch.device("cpu"))[1]


def shown(tokenizer: Any, row: TokenRow) -> str:
    """Spell a row out, what is learnt in braces."""
    found, inside = "", False
    for one, learnt in zip(row.ids, row.learnt, strict=True):
        found += "{" if learnt and not inside else "}" if inside and not learnt else ""
        inside = learnt
        found += tokenizer.decode([one])
    return found + ("}" if inside else "")


def test_a_text_is_learnt_but_for_its_first_id_and_with_its_end(tokenizer: Any) -> None:
    (row,) = encode_text(tokenizer, "tea", most=64, unit="u").rows
    assert shown(tokenizer, row) == "t{ea<|end|>}"
    assert row.unit == "u"
    assert shown(tokenizer, encode_text(tokenizer, "tea", most=64, ended=False).rows[0]) == "t{ea}"


def test_hidden_spans_are_read_and_not_learnt(tokenizer: Any) -> None:
    (row,) = encode_text(tokenizer, "a bad cat", most=64, hidden=[(2, 5)]).rows
    assert shown(tokenizer, row) == "a{ }bad{ cat<|end|>}"


def test_a_long_text_goes_on_in_the_next_row(tokenizer: Any) -> None:
    rows = encode_text(tokenizer, "abcdefg", most=3).rows
    assert [shown(tokenizer, row) for row in rows] == ["a{bc}", "d{ef}", "g{<|end|>}"]
    assert encode_text(tokenizer, "", most=3).rows == ()


def test_only_answers_are_learnt_in_the_model_s_own_template(tokenizer: Any) -> None:
    tokenizer.chat_template = ROLES
    (row,) = encode_dialogue(tokenizer, DIALOGUE, most=200).rows
    assert shown(tokenizer, row) == (
        "[user]hi<|end|>\n[assistant]{yes?<|end|>}\n[user]a tea<|end|>\n[assistant]{here<|end|>}\n"
    )
    (row,) = encode_dialogue(tokenizer, DIALOGUE, most=200, answers_only=False).rows
    assert row.learnt == (False, *[True] * (len(row.ids) - 1))


def test_a_template_that_forgets_earlier_turns_leaves_the_last_answer(tokenizer: Any) -> None:
    tokenizer.chat_template = FORGETS
    (row,) = encode_dialogue(tokenizer, DIALOGUE, most=200).rows
    assert shown(tokenizer, row) == "[user]hi<|end|>[user]a tea<|end|>[assistant]{here<|end|>}"


def test_without_a_template_turns_stand_line_by_line(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    (row,) = encode_dialogue(tokenizer, DIALOGUE, most=200).rows
    assert shown(tokenizer, row) == "hi\n{yes?<|end|>}a tea\n{here<|end|>}"


def test_what_does_not_fit_loses_its_beginning(tokenizer: Any) -> None:
    tokenizer.chat_template = ROLES
    made = encode_dialogue(tokenizer, DIALOGUE, most=8)
    assert shown(tokenizer, made.rows[0]) == "t]{here<|end|>}\n"
    assert made.n_cut > 0


def test_a_template_that_refuses_is_a_mistake_of_the_data(tokenizer: Any) -> None:
    tokenizer.chat_template = PICKY
    with pytest.raises(DataError, match="refuses the turns system"):
        encode_dialogue(tokenizer, [Turn("system", "x"), Turn("assistant", "y")], most=20)


def test_lone_surrogates_are_no_error(tokenizer: Any) -> None:
    assert encode_text(tokenizer, "a\ud800b", most=20).rows
