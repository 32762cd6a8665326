"""A Hugging Face sequence classifier read by its word embeddings in place of token ids."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from guard.errors import ConfigError
from guard.filters.checkpoint import Checkpoint

__all__ = ["EmbeddedClassifier", "vocabulary_of"]

_SAME = 1e-4


class EmbeddedClassifier:
    """The logits of a sequence classifier as a function of word embeddings.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    name : str
        For errors.

    Raises
    ------
    ConfigError
        The model takes no embeddings.

    Notes
    -----
    Some models read where their text ends from the ids (GPT-2 and Llama classifiers), which embeddings do not tell.
    A probe at construction finds them; their rows are then run without padding.
    """

    def __init__(self, model: Any, *, name: str) -> None:
        self._model, self._name = model, name
        self.pads = self._takes_padding()

    @property
    def word_embeddings(self) -> Tensor:
        """float, shape (vocabulary size, hidden)."""
        weight = self._model.get_input_embeddings().weight
        assert isinstance(weight, Tensor)
        return weight.detach()

    def logits(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return logits, shape (n, n_labels), of embeddings (n, t, hidden) under a bool mask (n, t)."""
        words = words.to(self._model.dtype)
        if self.pads:
            logits = self._model(inputs_embeds=words, attention_mask=mask.long()).logits
            assert isinstance(logits, Tensor)
            return logits
        lengths = mask.sum(dim=1)
        logits = words.new_zeros((len(words), self._model.config.num_labels))
        for length in sorted(set(lengths.tolist())):
            rows = (lengths == length).nonzero()[:, 0]
            found = self._model(inputs_embeds=words[rows, :length], attention_mask=mask[rows, :length].long())
            logits = logits.index_copy(0, rows, found.logits)
        return logits

    def _takes_padding(self) -> bool:
        """Tell whether padding on the right leaves the logits as they are."""
        table = self.word_embeddings
        words = table[torch.arange(4, device=table.device) % len(table)][None]
        mask = torch.ones((1, 4), dtype=torch.long, device=table.device)
        try:
            with torch.inference_mode():
                alone = self._model(inputs_embeds=words, attention_mask=mask).logits
                pad = torch.nn.functional.pad
                beside = self._model(inputs_embeds=pad(words, (0, 0, 0, 3)), attention_mask=pad(mask, (0, 3))).logits
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            raise ConfigError(f"{self._name}: the model takes no word embeddings ({error})") from error
        return bool(torch.allclose(alone, beside, atol=_SAME, rtol=_SAME))


def vocabulary_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the token of each row of the word embeddings."""
    n_words = len(checkpoint.model.get_input_embeddings().weight)
    known = min(n_words, len(checkpoint.tokenizer))
    tokens = checkpoint.tokenizer.convert_ids_to_tokens(list(range(known)))
    return (*(str(token or "") for token in tokens), *[""] * (n_words - known))
