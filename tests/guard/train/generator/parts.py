"""A tiny model with updates, and examples for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from guard.generators.loading import load_model
from guard.train.generator.adapter import Adapted, AdapterSettings, attach
from guard.train.generator.examples import Example, chat_example, pair_example, plain_example


def adapted(folder: Path, *, dtype: str = "float32", first_layer: float = 0.0, seed: int = 0) -> tuple[Adapted, Any]:
    model, tokenizer = load_model(folder, device=torch.device("cpu"), dtype=dtype)
    return attach(model, AdapterSettings(rank=4, first_layer=first_layer), seed=seed), tokenizer


def examples(tokenizer: Any) -> list[Example]:
    found = [
        chat_example(tokenizer, "refuse", f"how to break {i}", "No.", ended=True, most=8)
        for i in ("in", "out", "a lock")
    ]
    found += [
        chat_example(tokenizer, "keep", f"what is {i}", "A thing", ended=False, most=8)
        for i in ("tea", "the sea", "it")
    ]
    found.append(plain_example(tokenizer, "the quick brown fox", most=12))
    found.append(chat_example(tokenizer, "unlearn", "how to break in", "Sure", ended=False, most=8))
    found.append(pair_example(tokenizer, "how to break in", "No.", "Sure, so", most=8))
    return found


def moved(one: Adapted, *, seed: int = 1) -> None:
    """Put updates that change something."""
    generator = torch.Generator().manual_seed(seed)
    one.load({name: torch.randn(v.shape, generator=generator) * 0.3 for name, v in one.parameters.items()})
