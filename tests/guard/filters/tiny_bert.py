"""A BERT of two layers with random weights and a small vocabulary, and an adapter that fits it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer, Tokenizer

WORDS = ["you", "are", "a", "stupid", "kind", "person", "i", "hate", "love", "the", "weather", "not", "do", "and"]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_HIDDEN, _INNER, _LAYERS, _HEADS, _RANK = 24, 48, 2, 3, 2


def write_tiny_bert(folder: Path, *, max_positions: int = 40) -> Path:
    """Write config, weights and tokenizer of a random BERT."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = dict.fromkeys([*_SPECIAL, *WORDS, *letters, *(f"##{letter}" for letter in letters)])
    vocabulary = {word: index for index, word in enumerate(words)}
    BertWordPieceTokenizer(vocab=vocabulary).save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "hidden_size": _HIDDEN,
        "intermediate_size": _INNER,
        "max_position_embeddings": max_positions,
        "layer_norm_eps": 1e-12,
        "vocab_size": len(vocabulary),
        "type_vocab_size": 2,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(_weights(len(vocabulary), max_positions), folder / "model.safetensors")
    return folder


def _weights(n_words: int, max_positions: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    weights = {
        "embeddings.word_embeddings.weight": random(n_words, _HIDDEN),
        "embeddings.position_embeddings.weight": random(max_positions, _HIDDEN),
        "embeddings.token_type_embeddings.weight": random(2, _HIDDEN),
    }
    shapes = linear_shapes()
    for name, (n_out, n_in) in shapes.items():
        weights |= {f"{name}.weight": random(n_out, n_in), f"{name}.bias": random(n_out)}
    norms = ["embeddings.LayerNorm"]
    for layer in range(_LAYERS):
        norms += [f"encoder.layer.{layer}.{part}.LayerNorm" for part in ("attention.output", "output")]
    for name in norms:
        weights |= {f"{name}.weight": torch.ones(_HIDDEN), f"{name}.bias": torch.zeros(_HIDDEN)}
    return weights


def linear_shapes() -> dict[str, tuple[int, int]]:
    """Return the shape of each linear layer by its name."""
    shapes = {}
    for layer in range(_LAYERS):
        prefix = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{prefix}.attention.{part}"] = (_HIDDEN, _HIDDEN)
        shapes[f"{prefix}.intermediate.dense"] = (_INNER, _HIDDEN)
        shapes[f"{prefix}.output.dense"] = (_HIDDEN, _INNER)
    return shapes


def write_tiny_adapter(folder: Path, *, zero: bool = False) -> Path:
    """Write a random adapter for :func:`write_tiny_bert` with two categories; `zero` leaves the encoder as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(11)
    tensors = {
        "heads.query": torch.randn(2, _HIDDEN, generator=generator),
        "heads.value": torch.randn(2, _HIDDEN, generator=generator),
        "heads.bias": torch.tensor([0.5, -0.5]),
    }
    for name, (n_out, n_in) in linear_shapes().items():
        tensors[f"lora.{name}.a"] = torch.randn(_RANK, n_in, generator=generator) * 0.1
        tensors[f"lora.{name}.b"] = torch.randn(n_out, _RANK, generator=generator) * (0.0 if zero else 0.1)
    save_file({name: value.half() for name, value in tensors.items()}, folder / "encoder.safetensors")
    config = {"categories": ["toxicity", "refusal"], "rank": _RANK, "scale": 2.0, "window": 14, "stride": 10}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def tokenizer(folder: Path) -> Tokenizer:
    """Open the tokenizer of a written model."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))
