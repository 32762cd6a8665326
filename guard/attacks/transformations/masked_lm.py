"""A word becomes one that a masked language model puts there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from guard.attacks.schema import Ask, Kind
from guard.attacks.word_table import like_case
from guard.attacks.words import AttackedText, split_words
from guard.errors import ConfigError, FilterError
from guard.filters.checkpoint import (
    Checkpoint,
    Encoder,
    model_positions,
    open_checkpoint,
    same_width_batches,
    settings_digest,
    special_frame,
)

__all__ = ["SwapByMaskedLM"]

_MARKS = "Ġ▁"


@dataclass(frozen=True)
class _Gap:
    """A place to fill: tokens around it, and which ask and word it is of."""

    ask: int
    index: int
    ids: list[int]
    at: int


class SwapByMaskedLM:
    """The words that a masked language model expects in the place of a word.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of a masked language model with a fast tokenizer.
    n : int
        Most words for each place, at least 1.
    mode : {"mask", "keep"}
        ``mask`` hides the word, so that its meaning may be lost (BAE); ``keep`` lets the model read it (BERT-Attack).
    least_probability : float
        In [0, 1).
    token_budget : int
        Most padded tokens of one pass. Every place of every text is a row, and all rows share passes.

    Raises
    ------
    ConfigError
        A number out of its range, or a model without a mask token.

    Notes
    -----
    Garg and Ramakrishnan 2020, "BAE: BERT-based Adversarial Examples", section 2, R operation; Li et al. 2020,
    "BERT-ATTACK: Adversarial Attack Against BERT Using BERT", section 3.2. With ``keep`` a word of several pieces is
    left alone, where BERT-Attack tries combinations of pieces. Whole words only are put in.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        n: int = 50,
        mode: Literal["mask", "keep"] = "mask",
        least_probability: float = 0.0,
        token_budget: int = 4096,
    ) -> None:
        if n < 1 or not 0 <= least_probability < 1 or mode not in ("mask", "keep"):
            raise ConfigError(
                f"n={n}, least_probability={least_probability}, mode={mode!r}: the rule is n >= 1, a probability in"
                " [0, 1), mode mask or keep"
            )
        if checkpoint.tokenizer.mask_token_id is None:
            raise ConfigError(
                f"{checkpoint.source}: it has no mask token; give a masked language model, such as a BERT"
            )
        self._model, self._mask = checkpoint.model, int(checkpoint.tokenizer.mask_token_id)
        self._encoder = Encoder(checkpoint.tokenizer, name=f"masked-lm:{checkpoint.source}")
        self._before, self._after = special_frame(checkpoint.tokenizer, self._encoder)
        self._longest = min(model_positions(checkpoint.model), int(checkpoint.tokenizer.model_max_length))
        self._n, self._mode, self._least, self._token_budget = n, mode, least_probability, token_budget
        self._words = _whole_words(checkpoint)
        self._digest = settings_digest(checkpoint, str(self._model.dtype))

    @classmethod
    def load(
        cls, source: str | Path | None, *, device: str = "auto", n: int = 50, mode: Literal["mask", "keep"] = "mask"
    ) -> SwapByMaskedLM:
        """Load a masked language model from a folder or the hub.

        Raises
        ------
        ConfigError
            None is given, or it cannot be had.
        DataError
            The folder holds no masked language model.
        """
        if source is None:
            raise ConfigError(
                "no masked language model is given and none comes with the package: give the folder or the hub id of"
                " one, such as bert-base-uncased or distilroberta-base"
            )
        from transformers import AutoModelForMaskedLM

        checkpoint = open_checkpoint(source, AutoModelForMaskedLM, device=device, dtype="auto", half_on_gpu=True)
        return cls(checkpoint, n=n, mode=mode)

    def __repr__(self) -> str:
        """Say all settings."""
        return f"SwapByMaskedLM({self._digest}, n={self._n}, mode={self._mode!r}, least_probability={self._least})"

    @property
    def kind(self) -> Kind:
        """A word for a word."""
        return "swap"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask, word by word in the order of its indices, the most probable first."""
        gaps = [gap for number, ask in enumerate(asks) for gap in self._gaps(number, ask)]
        found: list[list[AttackedText]] = [[] for _ in asks]
        for gap, words in zip(gaps, self._filled(gaps), strict=True):
            text = asks[gap.ask].text
            old = text.words[gap.index]
            fitting = dict.fromkeys(like_case(word, old) for word in words)
            found[gap.ask] += [text.replace(gap.index, word) for word in fitting if word.lower() != old.lower()]
        return found

    def _gaps(self, number: int, ask: Ask) -> list[_Gap]:
        """Return the places of one text, each with as much text around it as the model takes."""
        gaps = []
        for index in ask.indices:
            start, end = ask.text.span(index)
            left, right = self._encoder.plain([ask.text.text[:start].rstrip(), ask.text.text[end:]])
            middle = [self._mask] if self._mode == "mask" else self._piece(ask.text.text[:start], ask.text.text[:end])
            if len(middle) != 1:
                continue
            room = self._longest - len(self._before) - len(self._after) - 1
            n_left = min(len(left), max(room // 2, room - len(right)))
            ids = [*left[len(left) - n_left :], *middle, *right[: room - n_left]]
            gaps.append(_Gap(number, index, [*self._before, *ids, *self._after], len(self._before) + n_left))
        return gaps

    def _piece(self, before: str, through: str) -> list[int]:
        """Return the tokens that the last word of a text adds to it."""
        shorter, longer = self._encoder.plain([before.rstrip(), through])
        return longer[len(shorter) :]

    def _filled(self, gaps: Sequence[_Gap]) -> list[list[str]]:
        """Return the words for each place, the most probable first."""
        words: list[list[str]] = [[] for _ in gaps]
        lengths = [len(gap.ids) for gap in gaps]
        for width, rows in same_width_batches(lengths, token_budget=self._token_budget, longest=self._longest):
            for row, row_words in zip(rows, self._of_batch([gaps[row] for row in rows], width), strict=True):
                words[row] = row_words
        return words

    def _of_batch(self, gaps: Sequence[_Gap], width: int) -> list[list[str]]:
        device = self._model.device
        ids = torch.tensor([[*gap.ids, *[0] * (width - len(gap.ids))] for gap in gaps], device=device)
        mask = torch.tensor([[1] * len(gap.ids) + [0] * (width - len(gap.ids)) for gap in gaps], device=device)
        try:
            with torch.inference_mode():
                logits = self._model(input_ids=ids, attention_mask=mask).logits
                at = torch.tensor([gap.at for gap in gaps], device=device)
                probabilities = logits[torch.arange(len(gaps), device=device), at].float().softmax(dim=1)
        except RuntimeError as error:
            raise FilterError(f"the masked language model failed on {len(gaps)} texts ({error})") from error
        return [self._likely(row) for row in probabilities.cpu()]

    def _likely(self, probabilities: Tensor) -> list[str]:
        """Return the most probable whole words."""
        ranked = probabilities.sort(descending=True, stable=True)
        found: list[str] = []
        for probability, token in zip(ranked.values.tolist(), ranked.indices.tolist(), strict=True):
            if probability < self._least or len(found) == self._n:
                break
            word = self._words[token] if token < len(self._words) else ""
            if word:
                found.append(word)
        return found


def _whole_words(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the word of each token, "" for pieces, signs and special tokens."""
    tokens = [
        str(token or "") for token in checkpoint.tokenizer.convert_ids_to_tokens(range(len(checkpoint.tokenizer)))
    ]
    marked = any(token.startswith(tuple(_MARKS)) for token in tokens)
    special = set(checkpoint.tokenizer.all_special_tokens)
    bare = [token.lstrip(_MARKS) if not marked or token.startswith(tuple(_MARKS)) else "" for token in tokens]
    return tuple(
        word if token not in special and any(map(str.isalpha, word)) and split_words(word) == [word] else ""
        for token, word in zip(tokens, bare, strict=True)
    )
