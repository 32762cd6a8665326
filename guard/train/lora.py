"""Low-rank updates on every linear layer of a frozen BERT, with attention-pooled heads on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from guard.filters.bert import BertShape, encoder_layers, hidden_states, linear_names
from guard.filters.heads import head_logits

__all__ = ["LoraEncoder", "LoraSettings"]


@dataclass(frozen=True)
class LoraSettings:
    """How large the low-rank updates are.

    Parameters
    ----------
    rank : int
    scale : float
        Factor of the update, alpha / rank in the paper.
    """

    rank: int = 16
    scale: float = 2.0


class LoraEncoder(nn.Module):
    """A frozen encoder with trainable low-rank updates and heads.

    Parameters
    ----------
    weights : mapping of str to Tensor
        Frozen weights of the encoder, float32.
    shape : BertShape
    n_heads : int
        Number of output categories.
    settings : LoraSettings
    seed : int

    Notes
    -----
    Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1: W + scale * B A with A random
    and B zero, so training starts from the frozen model. Applied to all linear layers, not to the attention alone.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], shape: BertShape, *, n_heads: int, settings: LoraSettings, seed: int
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.frozen, self.shape, self.settings = weights, shape, settings
        self.names = linear_names(shape)
        self.a, self.b = nn.ParameterList(), nn.ParameterList()
        for name in self.names:
            n_out, n_in = weights[f"{name}.weight"].shape
            self.a.append(nn.Parameter(torch.randn(settings.rank, n_in, generator=generator) / n_in**0.5))
            self.b.append(nn.Parameter(torch.zeros(n_out, settings.rank)))
        hidden = weights["embeddings.LayerNorm.weight"].shape[0]
        # Zero queries attend evenly, so pooling starts as the mean.
        self.query = nn.Parameter(torch.zeros(n_heads, hidden))
        self.value = nn.Parameter(torch.randn(n_heads, hidden, generator=generator) * 0.02)
        self.bias = nn.Parameter(torch.zeros(n_heads))
        self._index = {name: index for index, name in enumerate(self.names)}

    def _linear(self, name: str, x: Tensor) -> Tensor:
        """Apply a frozen linear layer and its update."""
        index = self._index[name]
        frozen = functional.linear(x, self.frozen[f"{name}.weight"], self.frozen[f"{name}.bias"])
        update = functional.linear(functional.linear(x, self.a[index]), self.b[index])
        return frozen + self.settings.scale * update

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the logits, float32, shape (n, n_heads), for padded ids and their mask, both of shape (n, t)."""
        hidden = hidden_states(ids, mask, weights=self.frozen, shape=self.shape, linear=self._linear)
        return head_logits(hidden.float(), mask, query=self.query, value=self.value, bias=self.bias)

    def layers(self, x: Tensor, mask: Tensor, *, layers: range) -> Tensor:
        """Run some of the layers on what the first of them reads, as :func:`guard.filters.bert.encoder_layers` does."""
        return encoder_layers(x, mask, weights=self.frozen, shape=self.shape, linear=self._linear, layers=layers)

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Start from trained tensors, as :meth:`tensors` names them.

        Tensors of a lower rank fill the first rows; the other rows stay fresh and, with B zero there, change nothing
        until they are trained.

        Raises
        ------
        KeyError
            A tensor is missing.
        """
        with torch.no_grad():
            for part in ("query", "value", "bias"):
                getattr(self, part).copy_(tensors[f"heads.{part}"].float())
            for index, name in enumerate(self.names):
                rank = len(tensors[f"lora.{name}.a"])
                self.a[index][:rank].copy_(tensors[f"lora.{name}.a"].float())
                self.b[index][:, :rank].copy_(tensors[f"lora.{name}.b"].float())

    def tensors(self) -> dict[str, Tensor]:
        """Return the trained tensors under the names that the encoder filter reads."""
        named = {"heads.query": self.query, "heads.value": self.value, "heads.bias": self.bias}
        for index, name in enumerate(self.names):
            named |= {f"lora.{name}.a": self.a[index], f"lora.{name}.b": self.b[index]}
        return {name: value.detach().clone() for name, value in named.items()}
