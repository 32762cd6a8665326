from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from guard.errors import DataError
from guard.generators.loading import load_model
from guard.harden.generator.refusals import REFUSALS, refusal_for
from guard.harden.generator.rounds import Attempted, Rounds, RoundSettings, keep_examples


def test_attacks_that_succeeded_count_more_and_are_unlearnt(tiny_llama: Path) -> None:
    _, tokenizer = load_model(tiny_llama, device=torch.device("cpu"))
    kept = keep_examples(tokenizer, [("Hi", "Hello"), ("Ho", " ")], most=8)
    attempts = [Attempted("a"), Attempted("b", "no", False), Attempted("c", "Sure, first", True)]
    rounds = Rounds(lambda _: attempts, kept, tokenizer, RoundSettings(repeats=3, prefer=True, most_tokens=64))
    pool = rounds(0)
    assert Counter(one.kind for one in pool) == {"refuse": 5, "unlearn": 1, "prefer": 1, "keep": 1}
    assert {tokenizer.decode(one.answer).removesuffix("<|end|>") for one in pool if one.kind == "refuse"} <= set(
        REFUSALS
    )
    assert [tokenizer.decode(one.answer) for one in pool if one.kind == "unlearn"] == ["Sure, first"]
    assert [tokenizer.decode(one.rejected) for one in pool if one.kind == "prefer"] == ["Sure, first"]


def test_each_round_attacks_anew(tiny_llama: Path) -> None:
    _, tokenizer = load_model(tiny_llama, device=torch.device("cpu"))
    rounds = Rounds(lambda round_: [Attempted(f"goal {round_}")] if round_ < 2 else [], [], tokenizer, RoundSettings())
    assert rounds(0) != rounds(1)
    with pytest.raises(DataError, match="round 2"):
        rounds(2)
    with pytest.raises(DataError, match="no refusal"):
        Rounds(lambda _: [], [], tokenizer, RoundSettings(), refusals=())


def test_a_prompt_has_one_refusal_and_prompts_have_several() -> None:
    drawn = {refusal_for(f"prompt {number}") for number in range(200)}
    assert drawn == set(REFUSALS)
    assert refusal_for("lone \ud800") == refusal_for("lone \ud800")
