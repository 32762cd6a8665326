"""The yardstick of the model card: TF-IDF n-grams and a logistic regression for each head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from guard.canonical import canonicalize
from guard.train.rows import HEADS, Row

__all__ = ["TfidfBaseline"]


class TfidfBaseline:
    """Words and word pairs, characters in runs of 2 to 5, and one logistic regression a head.

    Parameters
    ----------
    rows : sequence of Row
        What the encoder trains on; a head uses the rows whose label is known and clear (0.2 or more from a half).
    max_features : int
        Most n-grams of each kind, by frequency.
    """

    def __init__(self, rows: Sequence[Row], *, max_features: int = 150_000) -> None:
        texts = [canonicalize(row.text).text for row in rows]
        self._word = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=max_features)
        self._char = TfidfVectorizer(
            ngram_range=(2, 5), analyzer="char_wb", sublinear_tf=True, max_features=max_features
        )
        features = csr_matrix(hstack([self._word.fit_transform(texts), self._char.fit_transform(texts)], format="csr"))
        self._heads: list[LogisticRegression | None] = [self._fit(features, rows, head) for head in HEADS]

    @staticmethod
    def _fit(features: csr_matrix, rows: Sequence[Row], head: str) -> LogisticRegression | None:
        """Fit one head; None where a class is missing."""
        clear = [index for index, row in enumerate(rows) if abs(row.labels.get(head, 0.5) - 0.5) > 0.2]
        labels = np.array([int(rows[index].labels[head] > 0.5) for index in clear])
        if len(set(labels)) < 2:
            return None
        return LogisticRegression(C=4.0, class_weight="balanced", max_iter=100, tol=1e-3).fit(features[clear], labels)

    def score_batch(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Score texts.

        Returns
        -------
        ndarray
            float32, shape (len(texts), n_heads), in [0, 1]; 0 for a head without training rows.
        """
        canonical = [canonicalize(text).text for text in texts]
        features = hstack([self._word.transform(canonical), self._char.transform(canonical)], format="csr")
        columns = [np.zeros(len(texts)) if head is None else head.predict_proba(features)[:, 1] for head in self._heads]
        return np.stack(columns, axis=1).astype(np.float32)
