"""A victim that can be computed by hand: logistic in a sum of word weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import Probabilities, TokenEncoding
from guard.attacks.words import AttackedText

WEIGHTS = {"awful": 2.0, "bad": 1.0, "poor": 0.5, "fine": -1.0}


class WordVictim:
    """Label 1 is as probable as the logistic of the sum of its words' weights; words it does not know weigh nothing.

    White box: each word is one token between two special ones, and its embedding is its weight, so that the gradient
    of the cross entropy of label y by any word's embedding is ``p(1) - y``.
    """

    labels = ("good", "bad")

    def __init__(self, weights: Mapping[str, float] = WEIGHTS) -> None:
        self.weights = dict(weights)
        self.vocabulary = ("[UNK]", *sorted(self.weights))
        self.batches: list[list[str]] = []

    @property
    def name(self) -> str:
        return f"words@{hashlib.sha256(repr(sorted(self.weights.items())).encode()).hexdigest()[:12]}"

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        self.batches.append(list(texts))
        sums = [sum(self.weights.get(word.lower(), 0.0) for word in AttackedText.of(text).words) for text in texts]
        bad = 1 / (1 + np.exp(-np.array(sums, dtype=np.float64)))
        return np.stack([1 - bad, bad], axis=1)

    def tokens(self, texts: Sequence[str]) -> list[TokenEncoding]:
        return [self._encoding(AttackedText.of(text)) for text in texts]

    def _encoding(self, attacked: AttackedText) -> TokenEncoding:
        ids = [self._id(word) for word in attacked.words]
        spans = [attacked.span(i) for i in range(attacked.n_words)]
        return TokenEncoding((0, *ids, 0), ((0, 0), *spans, (0, 0)))

    def gradients(
        self, texts: Sequence[str], labels: Sequence[int], *, halfway_to: int | None = None
    ) -> list[npt.NDArray[np.float32]]:
        # Linear in the embeddings up to the loss: halfway to any token the direction is the same.
        bad = self.probabilities(texts)[:, 1]
        each = []
        for text, p, label in zip(texts, bad, labels, strict=True):
            # Word by word the same, so each row is scaled by how much the word is weighed: what a deeper model does.
            scale = [0.0, *(self.weights.get(w.lower(), 0.0) for w in AttackedText.of(text).words), 0.0]
            each.append(((p - label) * np.array(scale, dtype=np.float32))[:, None])
        return each

    def embeddings(self) -> npt.NDArray[np.float32]:
        return np.array([[self.weights.get(word, 0.0)] for word in self.vocabulary], dtype=np.float32)

    def _id(self, word: str) -> int:
        return self.vocabulary.index(word.lower()) if word.lower() in self.weights else 0


class SwapTo:
    """Replaces a word by each of the words that a table gives for it."""

    kind = "swap"

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self.table = {word: tuple(news) for word, news in table.items()}

    def __repr__(self) -> str:
        return f"SwapTo({self.table})"

    def propose(self, asks):  # type: ignore[no-untyped-def]
        return [
            [ask.text.replace(i, new) for i in ask.indices for new in self.table.get(ask.text.words[i], ())]
            for ask in asks
        ]
