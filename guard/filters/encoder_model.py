"""The network of the encoder filter: merged weights, whole passes, and those of its lower and its upper half."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from guard.filters.bert import BertShape, embed_words, embedded_tokens, encoder_layers, hidden_states
from guard.filters.heads import head_logits
from guard.filters.row_file import RowFile

__all__ = ["EncoderModel"]

_MASKS = 16


@dataclass(frozen=True)
class EncoderModel:
    """Merged weights and everything that a forward pass needs.

    Parameters
    ----------
    tokenizer : Tokenizer
    shape : BertShape
    weights : mapping of str to Tensor
        Of one dtype but for the word embeddings.
    heads : mapping of str to Tensor
        ``query``, ``value`` and ``bias`` of :func:`guard.filters.heads.head_logits`, float32.
    device : torch.device
    rows : RowFile, optional
        Word embeddings that stay in their file.
    """

    tokenizer: Tokenizer
    shape: BertShape
    weights: Mapping[str, Tensor]
    heads: Mapping[str, Tensor]
    device: torch.device
    rows: RowFile | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of the forward pass."""
        return self.weights["embeddings.position_embeddings.weight"].dtype

    @property
    def middle(self) -> int:
        """The layer, counted from 0, at whose input evidence is traced: the first of the upper half."""
        return self.shape.n_layers // 2

    def embed(self, ids: Tensor) -> Tensor:
        """Look word embeddings up, in their file where they stay there."""
        return embed_words(self.weights, ids) if self.rows is None else self.rows[ids].to(self.dtype)

    def linear(self, name: str, x: Tensor) -> Tensor:
        """Apply a merged linear layer."""
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def hidden(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return the highest states, shape (n, t, hidden), of word embeddings under a bool mask (n, t)."""
        return hidden_states(words.to(self.dtype), mask, weights=self.weights, shape=self.shape, linear=self.linear)

    def padded(self, windows: Sequence[Sequence[int]], width: int) -> tuple[Tensor, Tensor]:
        """Return the word embeddings of windows padded to one width, and their mask."""
        ids = torch.tensor([[*window, *[0] * (width - len(window))] for window in windows], device=self.device)
        lengths = torch.tensor([len(window) for window in windows], device=self.device)
        return self.embed(ids), torch.arange(width, device=self.device)[None, :] < lengths[:, None]

    def read(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the logits of highest states, in their dtype, shape (n, n_categories)."""
        return head_logits(hidden, mask, **{part: value.to(hidden.dtype) for part, value in self.heads.items()})

    def lower(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return what the layer in the middle reads, float32, shape (n, t, hidden)."""
        x = embedded_tokens(words.to(self.dtype), weights=self.weights, shape=self.shape)
        return self._layers(x, mask, range(self.middle)).float()

    def upper(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the logits of what the layer in the middle reads, through which a gradient can be followed."""
        layers = range(self.middle, self.shape.n_layers)
        return self.read(self._layers(states.to(self.dtype), mask, layers), mask)

    @functools.cached_property
    def absent(self) -> Tensor:
        """float32, shape (hidden,): the state in the middle of a token that is not there, the mean of 16 masks'."""
        begin, mask_id, end = (self.tokenizer.token_to_id(name) for name in ("[CLS]", "[MASK]", "[SEP]"))
        n_masks = min(_MASKS, self.shape.max_positions - 2)
        with torch.inference_mode():
            window = [begin, *[mask_id] * n_masks, end]
            return self.lower(*self.padded([window], len(window)))[0, 1:-1].mean(dim=0)

    def _layers(self, x: Tensor, mask: Tensor, layers: range) -> Tensor:
        return encoder_layers(x, mask, weights=self.weights, shape=self.shape, linear=self.linear, layers=layers)
