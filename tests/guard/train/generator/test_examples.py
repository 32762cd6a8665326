from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import DataError
from guard.generators.loading import load_model
from guard.train.generator.examples import Example, chat_example, collate, digest, pair_example, plain_example
from guard.train.generator.objective import buckets
from guard.train.generator.schedule import draw


def test_an_answer_follows_the_turn_of_the_user_and_ends_only_when_whole(tiny_llama: Path) -> None:
    _, tokenizer = load_model(tiny_llama, device=torch.device("cpu"))
    whole = chat_example(tokenizer, "refuse", "Hi", "No", ended=True, most=9)
    assert tokenizer.decode(whole.prompt) == "<|user|>Hi<|end|><|assistant|>"
    assert tokenizer.decode(whole.answer) == "No<|end|>"
    assert tokenizer.decode(chat_example(tokenizer, "keep", "Hi", "Noon", ended=False, most=3).answer) == "Noo"
    assert tokenizer.decode(plain_example(tokenizer, "abcdef", most=3).answer) == "bcd"
    pair = pair_example(tokenizer, "Hi", "No", "Sure", most=9)
    assert (tokenizer.decode(pair.answer), tokenizer.decode(pair.rejected)) == ("No<|end|>", "Sure")


@pytest.mark.parametrize(
    ("kind", "prompt", "answer", "rejected"),
    [("refuse", (), (1,), ()), ("refuse", (1,), (), ()), ("prefer", (1,), (1,), ()), ("keep", (1,), (1,), (1,))],
)
def test_an_example_that_cannot_be_learnt_from_is_refused(
    kind: str, prompt: tuple[int, ...], answer: tuple[int, ...], rejected: tuple[int, ...]
) -> None:
    with pytest.raises(DataError):
        Example(kind, prompt, answer, rejected)  # type: ignore[arg-type]


def test_batches_are_padded_on_the_left_and_labels_stand_at_the_end() -> None:
    batch = collate([Example("keep", (5, 6), (7,)), Example("keep", (5,), (8, 9, 4))], pad_id=0)
    assert batch.ids.tolist() == [[0, 5, 6, 7], [5, 8, 9, 4]]
    assert batch.mask.tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]
    assert batch.labels.tolist() == [[5, 6, 7], [8, 9, 4]]
    assert batch.answered.tolist() == [[False, False, True], [True, True, True]]
    pair = collate([Example("prefer", (5,), (6,), (7, 8))], pad_id=0)
    assert pair.ids.tolist() == [[0, 5, 6], [5, 7, 8]]
    for wrong in ([], [Example("keep", (1,), (1,)), Example("text", (1,), (1,))]):
        with pytest.raises(DataError):
            collate(wrong, pad_id=0)


def test_flags_stand_beside_their_labels_and_are_there_only_when_needed() -> None:
    flagged = Example("unlearn", (5,), (8, 9, 4), flagged=(0.0, 1.0, 0.5))
    batch = collate([Example("unlearn", (5, 6), (7,)), flagged], pad_id=0)
    assert batch.flagged is not None
    assert batch.flagged.tolist() == [[0.0, 0.0, 0.0], [0.0, 1.0, 0.5]]
    assert collate([Example("unlearn", (5,), (7,))], pad_id=0).flagged is None
    assert digest([flagged]) != digest([Example("unlearn", (5,), (8, 9, 4))])


@pytest.mark.parametrize(
    "wrong",
    [
        {"flagged": (1.0,)},
        {"flagged": (0.0, 1.5)},
        {"flagged": (0.0, float("nan"))},
        {"kind": "prefer", "rejected": (3,), "flagged": (0.0, 1.0)},
    ],
)
def test_flags_that_fit_no_answer_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match="flag"):
        Example(**{"kind": "unlearn", "prompt": (1,), "answer": (1, 2), **wrong})  # type: ignore[arg-type]


_EXAMPLES = st.lists(
    st.builds(
        lambda kind, n, m: Example(kind, tuple(range(1, n + 1)), tuple(range(1, m + 1))),
        st.sampled_from(["refuse", "keep", "text"]),
        st.integers(1, 30),
        st.integers(1, 9),
    ),
    max_size=30,
)


@given(_EXAMPLES, st.integers(1, 200), st.randoms())
def test_buckets_hold_every_example_once_within_the_budget(found, budget, rng) -> None:  # type: ignore[no-untyped-def]
    made = buckets(found, budget=budget)
    assert sorted(map(repr, (one for bucket in made for one in bucket))) == sorted(map(repr, found))
    for bucket in made:
        assert len({one.kind for one in bucket}) == 1
        assert len(bucket) == 1 or len(bucket) * max(one.n_tokens for one in bucket) <= budget
    shuffled = list(found)
    rng.shuffle(shuffled)
    assert [digest(bucket) for bucket in buckets(shuffled, budget=budget)] == [digest(bucket) for bucket in made]


def test_every_example_comes_once_before_any_comes_again() -> None:
    pool = [Example("keep", (i,), (1,)) for i in range(7)] + [Example("refuse", (9,), (1,))]
    quotas = {"keep": 2, "refuse": 1, "unlearn": 1}
    turns = [draw(pool, quotas, turn, seed=3) for turn in range(7)]  # type: ignore[arg-type]
    kept = [one.prompt[0] for turn in turns for one in turn if one.kind == "keep"]
    assert sorted(kept[:7]) == sorted(kept[7:]) == list(range(7))
    assert kept[:7] != kept[7:]
    assert all(len(turn) == 3 for turn in turns)
    with pytest.raises(DataError, match="no example of the kind 'text'"):
        draw(pool, {"text": 1}, 0, seed=3)
