"""The forward pass of a BERT encoder in plain torch, over a mapping of named weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional

from guard.errors import FilterError

__all__ = [
    "WORD_EMBEDDINGS",
    "BertShape",
    "Linear",
    "embed_words",
    "embedded_tokens",
    "encoder_layers",
    "hidden_states",
    "linear_names",
    "load_bert",
    "read_bert",
]

Linear = Callable[[str, Tensor], Tensor]
"""Applies the linear layer of that name to a tensor of shape (..., in_features)."""


WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
"""Name of the one weight that may be of another dtype than the rest."""

_LAYER_LINEARS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


@dataclass(frozen=True)
class BertShape:
    """The hyperparameters of a BERT encoder that its weights do not tell.

    Parameters
    ----------
    n_layers : int
    n_heads : int
    max_positions : int
        Most tokens in one sequence, special tokens included.
    eps : float
        Added to the variance in layer normalisation.
    """

    n_layers: int
    n_heads: int
    max_positions: int
    eps: float


def linear_names(shape: BertShape) -> tuple[str, ...]:
    """Return the names of all linear layers of the encoder, lowest layer first."""
    return tuple(f"encoder.layer.{index}.{part}" for index in range(shape.n_layers) for part in _LAYER_LINEARS)


def read_bert(folder: Path) -> tuple[BertShape, Iterator[tuple[str, Tensor]]]:
    """Read ``config.json`` of a BERT checkpoint, and the weights of its ``model.safetensors`` one by one.

    Parameters
    ----------
    folder : Path
        As ``BertModel.save_pretrained`` writes it.

    Returns
    -------
    BertShape
    iterator of (str, Tensor)
        float32 weights and their names in the file, the embeddings first. Each maps the file anew, so that the pages
        of a weight leave memory with it, and the checkpoint is never there as a whole.

    Raises
    ------
    FilterError
        A file is missing or broken, or the model is not a BERT with the exact GELU; of the weights, while they are
        read.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shape = BertShape(
            n_layers=int(config["num_hidden_layers"]),
            n_heads=int(config["num_attention_heads"]),
            max_positions=int(config["max_position_embeddings"]),
            eps=float(config["layer_norm_eps"]),
        )
    except Exception as error:
        raise FilterError(f"{folder}: not a readable BERT checkpoint ({error})") from error
    if (config.get("model_type"), config.get("hidden_act", "gelu")) != ("bert", "gelu"):
        raise FilterError(f"{folder}: the rule is model_type bert and hidden_act gelu; give such a checkpoint")
    return shape, _weights(folder)


def _weights(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the floating-point weights of a checkpoint."""
    file = folder / "model.safetensors"
    try:
        with safe_open(file, framework="pt") as opened:
            names = sorted(opened.keys())
        for name in names:
            with safe_open(file, framework="pt") as opened:
                value = opened.get_tensor(name)
            if value.is_floating_point():
                yield name, value.float()
    except Exception as error:
        raise FilterError(f"{folder}: not a readable BERT checkpoint ({error})") from error


def load_bert(folder: Path) -> tuple[BertShape, dict[str, Tensor]]:
    """Read a BERT checkpoint as a whole; raises as :func:`read_bert`.

    Returns
    -------
    BertShape
    dict of str to Tensor
        float32 weights under their names in the file.
    """
    shape, weights = read_bert(folder)
    return shape, dict(weights)


def _norm(weights: Mapping[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    """Apply the layer normalisation of that name."""
    return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def embed_words(weights: Mapping[str, Tensor], ids: Tensor) -> Tensor:
    """Look the word embeddings up: shape (n, t) to (n, t, hidden), without positions and normalisation."""
    return weights[WORD_EMBEDDINGS][ids].to(weights["embeddings.position_embeddings.weight"].dtype)


def _embed(weights: Mapping[str, Tensor], words: Tensor, eps: float) -> Tensor:
    """Add the position and segment embeddings to those of the words and normalise."""
    x = words + weights["embeddings.position_embeddings.weight"][: words.shape[1]]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    return _norm(weights, "embeddings.LayerNorm", x, eps)


def _attend(linear: Linear, prefix: str, x: Tensor, bias: Tensor, n_heads: int) -> Tensor:
    """Multi-head self-attention; `bias` is 0 at tokens and -inf at padding, shape (n, 1, 1, t)."""
    n, t, width = x.shape
    query, key, value = (
        linear(f"{prefix}.self.{part}", x).view(n, t, n_heads, width // n_heads).transpose(1, 2)
        for part in ("query", "key", "value")
    )
    weights = torch.softmax(query @ key.transpose(-1, -2) / (width // n_heads) ** 0.5 + bias, dim=-1)
    mixed = (weights @ value).transpose(1, 2).reshape(n, t, width)
    return linear(f"{prefix}.output.dense", mixed)


def hidden_states(
    words: Tensor, mask: Tensor, *, weights: Mapping[str, Tensor], shape: BertShape, linear: Linear
) -> Tensor:
    """Run the encoder.

    Parameters
    ----------
    words : Tensor
        int64, shape (n, t): token ids, padded on the right; or float, shape (n, t, hidden): their
        :func:`embed_words`, through which a gradient can then be followed.
    mask : Tensor
        bool, shape (n, t): True at tokens, False at padding. At least one token in every row.
    weights : mapping of str to Tensor
        Embeddings and layer normalisations.
    shape : BertShape
    linear : Linear
        Applies a linear layer by name, so that training can add low-rank updates without touching this code.

    Returns
    -------
    Tensor
        float, shape (n, t, hidden). Rows at padding are meaningless.

    Notes
    -----
    Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers", section 3; post-norm layers of
    Vaswani et al. 2017, "Attention Is All You Need", section 3.
    """
    x = embedded_tokens(words, weights=weights, shape=shape)
    return encoder_layers(x, mask, weights=weights, shape=shape, linear=linear, layers=range(shape.n_layers))


def embedded_tokens(words: Tensor, *, weights: Mapping[str, Tensor], shape: BertShape) -> Tensor:
    """Return what the lowest layer of :func:`hidden_states` reads, shape (n, t, hidden)."""
    embedded = words if words.is_floating_point() else embed_words(weights, words)
    return _embed(weights, embedded, shape.eps)


def encoder_layers(
    x: Tensor, mask: Tensor, *, weights: Mapping[str, Tensor], shape: BertShape, linear: Linear, layers: range
) -> Tensor:
    """Run some of the layers of :func:`hidden_states`, so that what lies below layers in training is run once.

    Parameters
    ----------
    x : Tensor
        float, shape (n, t, hidden): what the first of `layers` reads.
    mask, weights, shape, linear
        As there.
    layers : range
        Counted from 0, the lowest.
    """
    bias = torch.zeros(mask.shape, dtype=x.dtype, device=x.device).masked_fill(~mask, float("-inf"))[:, None, None, :]
    for index in layers:
        layer = f"encoder.layer.{index}"
        attended = _attend(linear, f"{layer}.attention", x, bias, shape.n_heads)
        x = _norm(weights, f"{layer}.attention.output.LayerNorm", x + attended, shape.eps)
        inner = functional.gelu(linear(f"{layer}.intermediate.dense", x))
        x = _norm(weights, f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", inner), shape.eps)
    return x
