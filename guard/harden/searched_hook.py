"""Hook: A2T, adversarial texts by a short greedy search whose order of words comes from one gradient."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from guard.harden.batch import Batch, Trainable
from guard.harden.slips import EDITS, WORD

__all__ = ["Moves", "SearchedHook", "letter_moves", "row_losses", "word_importance"]

Moves = Callable[[str, random.Random], Sequence[str]]
"""A word, and a source of randomness: what may stand in its place."""

_KINDS = ("swap", "put", "delete", "insert")


def letter_moves(word: str, rng: random.Random) -> list[str]:
    """Return four misspellings: letters swapped, replaced, left out and put in."""
    return [EDITS[kind](word, rng) for kind in _KINDS] if len(word) > 1 else []


def row_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the binary cross entropy of each row's known labels, shape (n,)."""
    losses = functional.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none")
    return (losses * (labels >= 0)).sum(dim=1)


def word_importance(batch: Batch, model: Trainable) -> list[list[tuple[int, int]]]:
    """Return the words of each text as ranges of characters, the one with the largest gradient first.

    Notes
    -----
    Yoo and Qi 2021, section 3.1: the L1 norm of the gradient of the loss at a word's embedding, averaged over its
    tokens. One forward and one backward pass for the whole batch.
    """
    tokens = model.tokens(batch.texts)
    embedded = model.embed(tokens).detach().requires_grad_()
    loss = row_losses(model.logits(embedded, tokens.mask), torch.from_numpy(batch.labels)).sum()
    (gradient,) = torch.autograd.grad(loss, embedded)
    sizes = gradient.float().abs().sum(dim=2).numpy()
    ranked = []
    for text, offsets, row in zip(batch.texts, tokens.offsets, sizes, strict=True):
        spans = [(match.start(), match.end()) for match in WORD.finditer(text)]
        values = [_mean_inside(span, offsets, row) for span in spans]
        ranked.append([spans[at] for at in np.argsort(-np.array(values), kind="stable").tolist() if values[at] > 0])
    return ranked


def _mean_inside(span: tuple[int, int], offsets: Sequence[tuple[int, int]], sizes: npt.NDArray[np.float32]) -> float:
    """Return the mean size over the tokens of a word; 0 where it lies behind what the model read."""
    inside = [float(sizes[at]) for at, (start, end) in enumerate(offsets) if start < span[1] and end > span[0]]
    return sum(inside) / len(inside) if inside else 0.0


@dataclass
class _Row:
    """How far the search has come with one text."""

    text: str
    spans: list[tuple[int, int]]
    loss: float
    fooled: bool = False

    def with_word(self, at: int, word: str) -> str:
        """Return the text with another word in one place."""
        start, end = self.spans[at]
        return self.text[:start] + word + self.text[end:]

    def take(self, at: int, word: str, loss: float) -> None:
        """Put the word there for good, and move the places behind it."""
        start, end = self.spans[at]
        self.text, grown = self.with_word(at, word), len(word) - (end - start)
        self.spans = [(a + grown * (a >= end), b + grown * (b >= end)) for a, b in self.spans]
        self.loss = loss


@dataclass
class SearchedHook:
    """Adds adversarial versions of some rows, searched against the model as it is now.

    Parameters
    ----------
    seed : int
    rows : int
        Clean rows of a batch to attack, chosen at random; harmful and harmless alike.
    most_words : int
        Words changed at most.
    share : float
        Of the words of a text that may change.
    moves : callable
        What may stand in the place of a word; :func:`letter_moves` by default.
    weight : float
        Of a version in the loss, the original being 1.

    Notes
    -----
    Yoo and Qi 2021, "Towards Improving Adversarial Training of NLP Models" (A2T), section 3: words in the order of the
    gradient, computed once; for each the candidate that raises the loss most; a text is done when the prediction turns
    wrong. All texts of the batch go through each step together. The paper swaps words for near synonyms; which moves
    are made is open here.
    """

    seed: int = 0
    rows: int = 12
    most_words: int = 4
    share: float = 0.5
    moves: Moves = field(default=letter_moves, repr=False)
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Start the stream of choices."""
        if self.rows < 1 or self.most_words < 1 or not 0 < self.share <= 1:
            raise ValueError(f"{self!r}: the rule is rows >= 1, most_words >= 1 and 0 < share <= 1")
        self._random = random.Random(f"searched/{self.seed}")  # noqa: S311 - no secret

    def on_batch(self, batch: Batch, model: Trainable) -> Batch:
        """Return the batch with the texts that were found behind it; one that could not be changed is left out."""
        clean = batch.clean
        at = sorted(self._random.sample(clean, min(self.rows, len(clean))))
        found = self.search(batch.only(at), model)
        changed = [(row, text) for row, text in zip(at, found, strict=True) if text != batch.texts[row]]
        return batch.also([row for row, _ in changed], [text for _, text in changed], weight=self.weight)

    def search(self, batch: Batch, model: Trainable) -> list[str]:
        """Return the worst text that was found of each row."""
        labels = torch.from_numpy(batch.labels)
        rows = [
            _Row(text, ranked, -np.inf) for text, ranked in zip(batch.texts, word_importance(batch, model), strict=True)
        ]
        self._judge(rows, [(row, -1, text) for row, text in enumerate(batch.texts)], labels, model)
        for step in range(self.most_words):
            tries = [
                (number, step, word)
                for number, row in enumerate(rows)
                if not row.fooled and step < max(1, round(self.share * len(row.spans))) and step < len(row.spans)
                for word in self.moves(row.text[slice(*row.spans[step])], self._random)
            ]
            if not tries:
                break
            self._judge(rows, tries, labels, model)
        return [row.text for row in rows]

    def _judge(self, rows: list[_Row], tries: Sequence[tuple[int, int, str]], labels: Tensor, model: Trainable) -> None:
        """Read all candidates at once and take the worst of each row, where it is worse than what there is."""
        texts = [word if at < 0 else rows[number].with_word(at, word) for number, at, word in tries]
        owners = [number for number, *_ in tries]
        with torch.no_grad():
            tokens = model.tokens(texts)
            logits = model.logits(model.embed(tokens), tokens.mask)
            losses = row_losses(logits, labels[owners]).tolist()
            wrong = ((labels[owners] >= 0) & ((logits > 0) != (labels[owners] > 0.5))).any(dim=1).tolist()
        for index in sorted(range(len(tries)), key=lambda index: -losses[index]):
            number, at, word = tries[index]
            if losses[index] <= rows[number].loss:
                continue
            if at < 0:
                rows[number].loss = losses[index]
            else:
                rows[number].take(at, word, losses[index])
            rows[number].fooled = wrong[index]
