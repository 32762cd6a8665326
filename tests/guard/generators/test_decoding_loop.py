"""The loop over a cache: tokens that were taken back leave no trace, and neighbours notice nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.generators.decoding_loop import DecodingLoop, padded
from guard.generators.transformers import TransformersGenerator

ROWS = [[5, 6, 7], list(range(20, 40)), [9], [30, 31], [50] * 17]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def generator(request: pytest.FixtureRequest, tiny_llama: Path) -> TransformersGenerator:
    return TransformersGenerator.load(tiny_llama, device="cpu", dtype=request.param)


def _loop(generator: TransformersGenerator, rows: list[list[int]] = ROWS) -> DecodingLoop:
    return DecodingLoop(generator.model, rows, pad_id=generator.pad_id, n_steps=40)


def _fed(loop: DecodingLoop, rows: list[list[int]], then: list[list[int]]) -> torch.Tensor:
    """Feed the end of each prompt and the same tokens after it; the last logits."""
    logits = loop.step({place: row[-1] for place, row in enumerate(rows)})
    for column in zip(*then, strict=True):
        logits = loop.step(dict(enumerate(column)))
    return logits


def test_rows_go_on_as_the_model_itself_says(generator: TransformersGenerator) -> None:
    logits = _fed(_loop(generator), ROWS, [[61, 62]] * len(ROWS))
    atol = 1e-4 if generator.dtype == torch.float32 else 0.2
    for place, row in enumerate(ROWS):
        expected = generator.model(input_ids=torch.tensor([[*row, 61, 62]])).logits[0, -1].float()
        assert torch.allclose(logits[place], expected, atol=atol)


def test_what_was_taken_back_leaves_no_trace(generator: TransformersGenerator) -> None:
    loop = _loop(generator)
    _fed(loop, ROWS, [[61, 62, 63, 64]] * len(ROWS))
    before = loop.n_slots
    for row in (0, 2):  # the second has a prompt of one token, and goes back to before it
        loop.take_back(row, 5)
    loop.step({1: 65})  # rows that pause, one of them without any token
    for column in ({0: 7, 2: 9}, {0: 61, 2: 61}, {0: 70, 2: 70}):
        logits = loop.step(column)
    assert loop.n_slots == before + 4
    expected = _fed(_loop(generator), ROWS, [[61, 70]] * len(ROWS))
    atol = 1e-4 if generator.dtype == torch.float32 else 0.2
    assert torch.allclose(logits[[0, 2]], expected[[0, 2]], atol=atol)
    assert torch.isfinite(logits).all()


def test_neighbours_of_a_row_that_goes_back_notice_nothing(generator: TransformersGenerator) -> None:
    disturbed, quiet = _loop(generator), _loop(generator)
    for loop in (disturbed, quiet):
        _fed(loop, ROWS, [[61, 62, 63]] * len(ROWS))
    disturbed.take_back(1, 3)
    others = [0, 2, 3, 4]
    for token in range(70, 80):
        rows = dict.fromkeys(range(len(ROWS)), token)
        logits = disturbed.step({**rows, 1: 200 - token}), quiet.step(rows)
        assert torch.equal(logits[0][others], logits[1][others])


def test_few_rows_have_the_logits_that_they_have_among_many(generator: TransformersGenerator) -> None:
    many = _fed(_loop(generator), ROWS, [[61, 62]] * len(ROWS))
    for place, row in enumerate(ROWS):
        alone = _fed(_loop(generator, [row]), [row], [[61, 62]])
        assert alone.shape == (1, many.shape[1])
        assert torch.equal(alone[0], many[place])


def test_padding_leaves_a_column_free_and_stands_on_the_left() -> None:
    ids, mask = padded([[5] * 32, [6]], pad_id=1, new_tokens=4)
    assert ids.shape == mask.shape == (2, 64)
    assert ids[1].tolist() == [1] * 63 + [6]
    assert mask.sum(1).tolist() == [32, 1]
