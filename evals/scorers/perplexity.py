"""Perplexity of a released text under a reference model, in bits per character so that tokenizers compare."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from evals.schema import Sample
from guard.generators.batching import MIN_ROWS, batches, padded_width
from guard.generators.transformers import TransformersGenerator

__all__ = ["PerplexityScorer"]

_ROWS = 8

_Item = tuple[str, str]


class PerplexityScorer:
    """Bits per character of a text as the continuation of its prompt.

    Parameters
    ----------
    reference : TransformersGenerator
        The model under which the text is measured.

    Notes
    -----
    Perplexity per token is not comparable across tokenizers; bits per character is: the negative log2-likelihood of
    the text's tokens given the prompt, divided by its characters. Looping text scores low, so read it beside
    repetition.
    """

    def __init__(self, reference: TransformersGenerator) -> None:
        self._name = reference.name
        self._model, self._tokenizer = reference.model, reference.tokenizer

    @property
    def name(self) -> str:
        """``perplexity under <name of the reference>``."""
        return f"perplexity under {self._name}"

    def score_batch(self, samples: Sequence[Sample], texts: Sequence[str | None]) -> list[float | None]:
        """Return bits per character, at least 0; None for a missing or blank text, or one beyond the context."""
        items = [(s.prompt, text) for s, text in zip(samples, texts, strict=True) if text is not None and text.strip()]
        known = dict(self._bits(list(dict.fromkeys(items))))
        keys = [(sample.prompt, text) for sample, text in zip(samples, texts, strict=True)]
        return [known.get((prompt, text)) if text is not None else None for prompt, text in keys]

    def _bits(self, items: Sequence[_Item]) -> Iterator[tuple[_Item, float]]:
        encoded = [self._encode(prompt, text) for prompt, text in items]
        whole = [i for i, (ids, n) in enumerate(encoded) if n > 0 and len(ids) > n]
        items, encoded = [items[i] for i in whole], [encoded[i] for i in whole]
        for group in batches([len(ids) for ids, _ in encoded], rows=_ROWS, max_new_tokens=0):
            for index, nats in zip(group, self._nats([encoded[i] for i in group]), strict=True):
                yield items[index], nats / math.log(2) / len(items[index][1])

    def _encode(self, prompt: str, text: str) -> tuple[list[int], int]:
        """Return the ids of prompt and text, and how many belong to the text; the prompt loses its start if need be."""
        before = self._ids(prompt + "\n") or [self._tokenizer.bos_token_id or 0]
        after = self._ids(text)
        room = getattr(self._model.config, "max_position_embeddings", len(before) + len(after))
        if len(after) >= room:
            return [], 0  # part of a text has another likelihood than the text: unscored
        return [*before[max(0, len(before) + len(after) - room) :], *after], len(after)

    def _ids(self, text: str) -> list[int]:
        clean = text.encode("utf-8", "replace").decode()
        return list(self._tokenizer(clean, add_special_tokens=False)["input_ids"])

    def _nats(self, rows: Sequence[tuple[list[int], int]]) -> list[float]:
        """Return the negative log-likelihood of each row's last tokens, in nats."""
        filled = [*rows, *[rows[0]] * (MIN_ROWS - len(rows))]
        width = max(padded_width(len(ids), 0) for ids, _ in filled)
        ids = torch.tensor([[0] * (width - len(row)) + row for row, _ in filled], device=self._model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row, _ in filled], device=ids.device)
        with torch.inference_mode():
            positions = (mask.cumsum(1) - 1).clamp(min=0)
            logits = self._model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
            return [_row_nats(logits[i], ids[i], n) for i, (_, n) in enumerate(rows)]


def _row_nats(logits: Any, ids: Any, n: int) -> float:
    """Sum over the last `n` tokens of one row, in float64, in order: a row's sum does not depend on its width."""
    predicted = torch.log_softmax(logits[-n - 1 : -1].float(), dim=-1)
    each = predicted.gather(1, ids[-n:, None])[:, 0].double().tolist()
    return -math.fsum(each)
