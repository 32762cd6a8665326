"""Rows that leave and rows that join: what each gets is what it gets alone, to the last bit of its logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, MistralConfig, MistralForCausalLM

from guard.generators.continuous import Draw, seeded_draw, write_all
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding

SAMPLED = Decoding(max_new_tokens=64, temperature=1.0, top_p=0.9, chat=False)
LENGTHS = [70, 69, 40, 33, 32, 31, 17, 16, 15, 9, 8, 8, 5, 3, 2, 1]
PROMPTS = sorted(([7 + (13 * i + j) % 200 for j in range(n)] for i, n in enumerate(LENGTHS)), key=len, reverse=True)
PROMPTS[5] = list(PROMPTS[4])  # one that repeats
ENDS = frozenset(range(240, 248))
Shapes = list[tuple[int, int]]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def model(request: pytest.FixtureRequest, tiny_llama: Path) -> Any:
    return TransformersGenerator.load(tiny_llama, device="cpu", dtype=request.param).model


@contextmanager
def _watched(model: Any) -> Iterator[Shapes]:
    """The rows and the width of every step of decoding."""
    shapes: Shapes = []

    def look(_module: Any, _args: Any, inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] == 1:
            shapes.append(tuple(inputs["attention_mask"].shape))

    hook = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield shapes
    finally:
        hook.remove()


def _write(
    model: Any,
    prompts: list[list[int]] = PROMPTS,
    *,
    first: int = 0,
    rows: int = 4,
    refill: bool = True,
    decoding: Decoding = SAMPLED,
    ends: frozenset[int] = ENDS,
) -> tuple[list[list[int]], dict[tuple[int, int], torch.Tensor]]:
    """Continue prompts, the first of which has the seed `first`; the tokens, and the logits by prompt and step."""
    seen: dict[tuple[int, int], torch.Tensor] = {}
    inner = seeded_draw(range(first, first + len(prompts)), decoding)

    def draw(logits: torch.Tensor, owners: list[int], steps: list[int]) -> torch.Tensor:
        # From the last: rows without an owner are called 0, and come after the real one or when that has ended.
        for row in reversed(range(len(owners))):
            seen[owners[row], steps[row]] = logits[row].clone()
        return inner(logits, owners, steps)

    drawn: Draw = draw
    written = write_all(
        model,
        prompts,
        drawn,
        pad_id=0,
        end_ids=ends,
        n_steps=decoding.max_new_tokens,
        most_rows=rows,
        refill=refill,
    )
    return written, seen


@pytest.mark.parametrize("decoding", [SAMPLED, Decoding(48, 0.0, chat=False)])
def test_row_is_what_it_is_alone_whoever_joins_or_leaves(model: Any, decoding: Decoding) -> None:
    together, logits = _write(model, decoding=decoding)
    lengths = [len(tokens) for tokens in together]
    assert len(set(lengths)) > 3  # they end at different steps, and some at the last
    assert max(lengths) == decoding.max_new_tokens
    for place, prompt in enumerate(PROMPTS):
        [alone], own = _write(model, [prompt], first=place, decoding=decoding)
        assert alone == together[place]
        if place:  # what the first prompt is called, rows without an owner are called too
            for step in range(len(alone)):
                assert torch.equal(logits[place, step], own[0, step]), (place, step)


def test_tokens_do_not_depend_on_the_rows_nor_on_refilling(model: Any) -> None:
    expected, _ = _write(model)
    for rows, refill in ((1, True), (5, True), (32, True), (3, False), (4, False)):
        assert _write(model, rows=rows, refill=refill)[0] == expected


def test_refilling_saves_steps_and_leaving_saves_rows(model: Any) -> None:
    prompts, long = sorted(PROMPTS * 4, key=len, reverse=True), Decoding(192, 1.0, 0.9, chat=False)
    with _watched(model) as waited:
        _write(model, prompts, rows=16, refill=False, decoding=long)
    with _watched(model) as refilled:
        written, _ = _write(model, prompts, rows=16, decoding=long)
    assert len(refilled) < 0.85 * len(waited)
    n_tokens = sum(map(len, written))
    for shapes in (waited, refilled):
        assert n_tokens <= sum(rows for rows, _ in shapes) < 1.4 * n_tokens < 0.7 * 192 * len(prompts)
    # Slots that only rows had that are gone are given back.
    assert max(width for _, width in refilled) <= 128 + 192


def test_long_prompts_and_the_end_of_an_attention_block_keep_rows_apart(model: Any) -> None:
    prompts = [[9 + i] * 440 for i in range(9)]
    together, _ = _write(model, prompts, rows=4)
    assert together == [_write(model, [prompt], first=i)[0][0] for i, prompt in enumerate(prompts)]
    prompts = [[9 + i] * (600 - i) for i in range(6)]
    together, _ = _write(model, prompts, rows=4)
    assert together == [_write(model, [prompt], first=i)[0][0] for i, prompt in enumerate(prompts)]


def test_first_token_that_ends_and_nothing_to_write(model: Any) -> None:
    everything = frozenset(range(300))
    written, _ = _write(model, ends=everything)
    assert [len(tokens) for tokens in written] == [1] * len(PROMPTS)
    assert _write(model, [])[0] == []


def test_window_that_slides_is_not_refilled(tiny_llama: Path) -> None:
    llama = LlamaForCausalLM.from_pretrained(tiny_llama)
    own = {key: value for key, value in llama.config.to_dict().items() if key not in ("model_type", "architectures")}
    model = MistralForCausalLM(MistralConfig(**{**own, "sliding_window": 256})).eval()
    model.load_state_dict(llama.state_dict())
    with _watched(model) as shapes:
        together, _ = _write(model)
    assert together == [_write(model, [prompt], first=i)[0][0] for i, prompt in enumerate(PROMPTS)]
    with _watched(model) as waited:
        _write(model, refill=False)
    assert shapes == waited


def test_generator_refills_where_it_gets_more_than_a_batch(tiny_llama: Path) -> None:
    generator = TransformersGenerator.load(tiny_llama, device="cpu", decoding=SAMPLED, batch_size=4)
    prompts = [f"number {i}" + "x" * (i % 7) for i in range(20)]
    assert generator.batches_ahead > 1
    assert generator.with_decoding(Decoding(20, chat=False)).batches_ahead == 1
    together = generator.generate(prompts, seed=range(20))
    for rows in (3, 20):
        generator.batch_size = rows
        assert generator.generate(prompts, seed=range(20)) == together
    assert together == ["".join(generator.stream(prompt, seed=i)) for i, prompt in enumerate(prompts)]
