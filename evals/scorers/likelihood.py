"""How likely a causal language model finds texts as continuations of prompts; a row does not depend on its batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from guard.generators.batching import MIN_ROWS, batches, padded_width

__all__ = ["LanguageModel", "log_likelihoods"]

_ROWS = 8


class LanguageModel(Protocol):
    """A generator whose weights are here."""

    @property
    def model(self) -> Any:
        """The Transformers model."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""


def log_likelihoods(
    language_model: LanguageModel, prompts: Sequence[str], texts: Sequence[str], *, separator: str = ""
) -> list[float | None]:
    """Return the natural log-likelihood of each text given its prompt.

    Parameters
    ----------
    language_model : LanguageModel
    prompts, texts : sequence of str
        Tokenised apart and joined, so that the tokens of a text do not depend on its prompt.
    separator : str
        Put behind each prompt.

    Returns
    -------
    list of float or None
        At most 0; None for a text without tokens, or one that fills the model's context alone. A prompt that is too
        long loses its start.
    """
    model, tokenizer = language_model.model, language_model.tokenizer
    encoded = [_encode(model, tokenizer, p + separator, t) for p, t in zip(prompts, texts, strict=True)]
    found: list[float | None] = [None] * len(encoded)
    whole = [i for i, (ids, n) in enumerate(encoded) if n > 0 and len(ids) > n]
    for group in batches([len(encoded[i][0]) for i in whole], rows=_ROWS, max_new_tokens=0):
        rows = [whole[i] for i in group]
        for index, nats in zip(rows, _nats(model, [encoded[i] for i in rows]), strict=True):
            found[index] = -nats
    return found


def _encode(model: Any, tokenizer: Any, prompt: str, text: str) -> tuple[list[int], int]:
    """Return the ids of prompt and text, and how many belong to the text; the prompt loses its start if need be."""
    before = _ids(tokenizer, prompt) or [tokenizer.bos_token_id or 0]
    after = _ids(tokenizer, text)
    room = getattr(model.config, "max_position_embeddings", len(before) + len(after))
    if len(after) >= room:
        return [], 0  # part of a text has another likelihood than the text: unscored
    return [*before[max(0, len(before) + len(after) - room) :], *after], len(after)


def _ids(tokenizer: Any, text: str) -> list[int]:
    clean = text.encode("utf-8", "replace").decode()
    return list(tokenizer(clean, add_special_tokens=False)["input_ids"])


def _nats(model: Any, rows: Sequence[tuple[list[int], int]]) -> list[float]:
    """Return the negative log-likelihood of each row's last tokens, in nats."""
    filled = [*rows, *[rows[0]] * (MIN_ROWS - len(rows))]
    width = max(padded_width(len(ids), 0) for ids, _ in filled)
    ids = torch.tensor([[0] * (width - len(row)) + row for row, _ in filled], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row, _ in filled], device=ids.device)
    with torch.inference_mode():
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
        return [_row_nats(logits[i], ids[i], n) for i, (_, n) in enumerate(rows)]


def _row_nats(logits: Any, ids: Any, n: int) -> float:
    """Sum over the last `n` tokens of one row, in float64, in order: a row's sum does not depend on its width."""
    predicted = torch.log_softmax(logits[-n - 1 : -1].float(), dim=-1)
    each = predicted.gather(1, ids[-n:, None])[:, 0].double().tolist()
    return -math.fsum(each)
