"""How much stranger a candidate may read than the original, by the perplexity of a causal language model."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from guard.attacks.schema import Check
from guard.attacks.words import AttackedText
from guard.errors import ConfigError, GeneratorError
from guard.filters.checkpoint import same_width_batches

__all__ = ["FluentEnough", "Perplexities"]

_MOST_TEXTS = 1 << 16


class Perplexities:
    """The perplexity of texts by a causal language model: batched, each text once.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
    name : str
        Changes with the weights. ``TransformersGenerator`` has all three.
    token_budget : int
        Most padded tokens of one pass.
    most_tokens : int
        Of a text; what follows is not read.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str, token_budget: int = 2048, most_tokens: int = 512
    ) -> None:
        if token_budget < 1 or most_tokens < 2:
            raise ConfigError(f"token_budget={token_budget}, most_tokens={most_tokens}: at least 1 and 2")
        self._model, self._tokenizer, self._name = model, tokenizer, name
        self._token_budget, self._most = token_budget, most_tokens
        self._known: OrderedDict[str, float] = OrderedDict()

    def __repr__(self) -> str:
        """Say which model it is."""
        return f"Perplexities({self._name!r}, most_tokens={self._most})"

    def of(self, texts: Sequence[str]) -> list[float]:
        """Return ``exp(mean negative log probability of a token)`` of each text, at least 1.

        A text of no token has perplexity 1. The first token is read after the model's token for the beginning (or,
        where it has none, for the end), so that it counts.

        Raises
        ------
        GeneratorError
            The model failed.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        found = {text: self._known[text] for text in texts if text in self._known} | dict(
            zip(new, self._measured(new), strict=True)
        )
        for text, value in found.items():
            self._known[text] = value
            self._known.move_to_end(text)
        while len(self._known) > _MOST_TEXTS:
            self._known.popitem(last=False)
        return [found[text] for text in texts]

    def _measured(self, texts: Sequence[str]) -> list[float]:
        start = next((t for t in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id) if t is not None), 0)
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        rows = self._tokenizer(clean, add_special_tokens=False)["input_ids"] if clean else []
        ids = [[int(start), *row[: self._most - 1]] for row in rows]
        found = [1.0] * len(texts)
        lengths = [len(row) for row in ids]
        for width, batch in same_width_batches(lengths, token_budget=self._token_budget, longest=self._most):
            for row, loss in zip(batch, self._losses([ids[row] for row in batch], width), strict=True):
                found[row] = math.exp(min(loss, 700.0))
        return found

    def _losses(self, ids: Sequence[Sequence[int]], width: int) -> list[float]:
        """Return the mean cross entropy of each row's tokens after its first; 0 where there are none."""
        device = self._model.device
        padded = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids], device=device)
        try:
            with torch.inference_mode():
                logits = self._model(input_ids=padded, attention_mask=mask).logits[:, :-1].float()
                each = functional.cross_entropy(logits.transpose(1, 2), padded[:, 1:], reduction="none")
        except RuntimeError as error:
            raise GeneratorError(f"{self._name} failed on {len(ids)} texts ({error})") from error
        counted = mask[:, 1:].bool()
        totals = each.masked_fill(~counted, 0.0).double().sum(dim=1)
        means: list[float] = (totals / counted.sum(dim=1).clamp_min(1)).tolist()
        return means


@dataclass(frozen=True)
class FluentEnough:
    """The candidate's perplexity is at most so many times the original's.

    Parameters
    ----------
    perplexities : Perplexities
    most : float
        Ratio, at least 1.

    Notes
    -----
    A mean over tokens: a misspelt word is several tokens, of which the later ones are easy, so the ratio tells less of
    misspellings than of wrong words.
    """

    perplexities: Perplexities
    most: float

    def __post_init__(self) -> None:
        """Refuse a ratio that would refuse the original."""
        if not self.most >= 1:
            raise ConfigError(f"most={self.most}: the ratio of perplexities is at least 1")

    def keep(self, checks: Sequence[Check]) -> list[list[AttackedText]]:
        """Return the candidates that read well enough."""
        texts = [text for check in checks for text in (check.original, *check.candidates)]
        measured = iter(self.perplexities.of([text.text for text in texts]))
        kept = []
        for check in checks:
            limit = next(measured) * self.most
            kept.append([text for text in check.candidates if next(measured) <= limit])
        return kept
