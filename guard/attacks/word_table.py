"""Word embeddings as a table of whole words: which are near which."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from guard import assets
from guard.attacks.words import split_words
from guard.errors import ConfigError

__all__ = ["WordTable", "like_case"]

_MARKS = ("Ġ", "▁")


class WordTable:
    """The whole words of a vocabulary with their vectors, compared by cosine.

    Parameters
    ----------
    words : sequence of str
        In lower case, each once.
    vectors : ndarray
        float, shape (len(words), n_hidden).

    Raises
    ------
    ConfigError
        There are no words, or not one vector a word.

    Examples
    --------
    >>> table = WordTable(["good", "fine", "bad"], np.array([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0]]))
    >>> table.near("Good", n=2, least=0.5)
    ['Fine']
    """

    def __init__(self, words: Sequence[str], vectors: npt.NDArray[np.floating[npt.NBitBase]]) -> None:
        if not words or len(words) != len(vectors):
            raise ConfigError(f"{len(words)} words and {len(vectors)} vectors: give at least one word, one vector each")
        self._words = tuple(words)
        whole = np.asarray(vectors, dtype=np.float32)
        self._vectors = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), np.float32(1e-12))
        self._rows = {word: row for row, word in enumerate(self._words)}
        self._near = functools.lru_cache(maxsize=1 << 14)(self._nearest)

    @classmethod
    def of_vocabulary(cls, vocabulary: Sequence[str], vectors: npt.NDArray[np.floating[npt.NBitBase]]) -> WordTable:
        """Take the whole words out of a model's vocabulary, WordPiece or byte-level; pieces and signs stay behind."""
        marked = any(token.startswith(_MARKS) for token in vocabulary)
        rows: dict[str, int] = {}
        for row, token in enumerate(vocabulary):
            word = token[1:] if marked and token.startswith(_MARKS) else "" if marked else token
            # A special token or a piece is not what the splitter calls one word.
            if word.isascii() and any(map(str.isalpha, word)) and split_words(word) == [word]:
                rows.setdefault(word.lower(), row)
        return cls([*rows], np.asarray(vectors)[[*rows.values()]])

    @classmethod
    def minilm(cls) -> WordTable:
        """Take the words of the sentence encoder that the asset ``minilm`` holds: about 22,000.

        Raises
        ------
        AssetError
            It cannot be had.
        """
        from tokenizers import Tokenizer

        from guard.filters.bert import WORD_EMBEDDINGS, load_bert

        folder = assets.path("minilm")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        vectors = load_bert(folder)[1][WORD_EMBEDDINGS].numpy()
        return cls.of_vocabulary([tokenizer.id_to_token(row) or "" for row in range(len(vectors))], vectors)

    def __len__(self) -> int:
        """Return how many words there are."""
        return len(self._words)

    def __contains__(self, word: str) -> bool:
        """Tell whether the table has a word, whatever its case."""
        return word.lower() in self._rows

    @functools.cached_property
    def digest(self) -> str:
        """12 hexadecimal digits over words and vectors."""
        found = hashlib.sha256("\n".join(self._words).encode())
        found.update(np.ascontiguousarray(self._vectors).tobytes())
        return found.hexdigest()[:12]

    def __repr__(self) -> str:
        """Say what the table is of."""
        return f"WordTable({len(self)} words, {self.digest})"

    def near(self, word: str, *, n: int, least: float = -1.0) -> list[str]:
        """Return the words nearest to one, nearest first, in its case.

        Parameters
        ----------
        word : str
        n : int
            At most so many, at least 0.
        least : float
            Least cosine, in [-1, 1].

        Returns
        -------
        list of str
            Without the word itself; none where the table does not have it.
        """
        row = self._rows.get(word.lower())
        if row is None or n < 1:
            return []
        return [like_case(self._words[other], word) for other, cosine in self._near(row, n) if cosine >= least]

    def cosine(self, one: str, other: str) -> float | None:
        """Return the cosine of two words in [-1, 1]; None where the table lacks one of them."""
        rows = self._rows.get(one.lower()), self._rows.get(other.lower())
        if rows[0] is None or rows[1] is None:
            return None
        return float(self._vectors[rows[0]] @ self._vectors[rows[1]])

    def _nearest(self, row: int, n: int) -> tuple[tuple[int, float], ...]:
        cosines = self._vectors @ self._vectors[row]
        cosines[row] = -np.inf
        n = min(n, len(cosines) - 1)
        if n < 1:
            return ()
        some = np.argpartition(-cosines, n - 1)[:n]
        ranked = sorted(some.tolist(), key=lambda other: (-cosines[other], other))
        return tuple((other, float(cosines[other])) for other in ranked)


def like_case(word: str, model: str) -> str:
    """Return a word in the case of another: lower, UPPER or Capitalised; else as it is.

    Examples
    --------
    >>> like_case("fine", "Good"), like_case("fine", "GOOD"), like_case("fine", "gOOd"), like_case("fine", "I")
    ('Fine', 'FINE', 'fine', 'Fine')
    """
    if model.islower():
        return word.lower()
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.capitalize() if model[:1].isupper() and model[1:] == model[1:].lower() else word
