"""A Llama without attention and without layers that do anything: what follows depends on the last token alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding
from tests.tiny_llama import write_tiny_llama


def bigram_generator(folder: Path, *, chat: bool = False) -> TransformersGenerator:
    """Return a generator over bytes whose next byte is drawn by the byte before it."""
    write_tiny_llama(folder, chat=chat)
    made = TransformersGenerator.load(folder, dtype="float32")
    for layer in made.model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    return made.with_decoding(Decoding(max_new_tokens=4, temperature=0.0, chat=chat))


def next_log_probabilities(model: Any) -> npt.NDArray[np.float64]:
    """Return log p(column | row) of all tokens, from the two matrices that are left: embedding and head are one."""
    weight = model.get_input_embeddings().weight.detach().double().numpy()
    gain = model.model.norm.weight.detach().double().numpy()
    epsilon = model.model.norm.variance_epsilon
    states = gain * weight / np.sqrt((weight**2).mean(axis=1, keepdims=True) + epsilon)
    logits = states @ weight.T
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
