"""HotFlip: which exchange of one token raises the loss most, to first order, from one gradient a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import Ask, Kind, TokenEncoding, WhiteBox
from guard.attacks.words import AttackedText, split_words
from guard.errors import ConfigError

__all__ = ["FlipTokens", "TokenWhiteBox"]

_CHUNK_ROWS = 512
_SPARE = 4  # ranked beyond what is asked for, since not every flip makes a word
_LEAST_RANKED = 16


@runtime_checkable
class TokenWhiteBox(WhiteBox, Protocol):
    """A white box that can also name its tokens."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each row of :meth:`embeddings`."""


@dataclass(frozen=True)
class _Pool:
    """Tokens that may stand in each other's place: all begin a word, or all continue one."""

    ids: npt.NDArray[np.int64]
    surfaces: tuple[str, ...]
    vectors: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Flip:
    """One token's exchange and what it is expected to do to the loss."""

    rise: float
    row: int
    surface: str


class FlipTokens:
    """The best exchanges of one token for another of the victim's whole vocabulary.

    Parameters
    ----------
    victim : TokenWhiteBox
        Loaded in float32: half precision ranks coarsely.
    top : int
        Most candidates of one ask, over all of its words together; the ones whose loss should rise most.

    Raises
    ------
    ConfigError
        The victim does not name its tokens, or `top` is below 1.

    Notes
    -----
    Ebrahimi et al. 2018, "HotFlip: White-Box Adversarial Examples for Text Classification", equation 1, on tokens: the
    loss rises by ``(E[new] - E[old]) @ gradient``. One pass forward and back for a text ranks every flip; many texts
    share a pass. A token is exchanged for one of its own kind (begins or continues a word), so that the flip can be
    written; the victim may still read the new word as other tokens, which is why candidates are scored and not
    believed.
    """

    def __init__(self, victim: TokenWhiteBox, *, top: int = 8) -> None:
        if not isinstance(victim, TokenWhiteBox):
            raise ConfigError(f"victim {getattr(victim, 'name', victim)!r} has no gradients; HotFlip needs a white box")
        if top < 1:
            raise ConfigError(f"top={top}: the rule is top >= 1")
        self._victim, self._top = victim, top

    def __repr__(self) -> str:
        """Say all settings."""
        return f"FlipTokens({self._victim.name!r}, top={self._top})"

    @property
    def kind(self) -> Kind:
        """A word for a word."""
        return "swap"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask, the most promising first."""
        asked = [index for index, ask in enumerate(asks) if ask.indices]
        gradients = self._victim.gradients([asks[i].text.text for i in asked], [asks[i].label for i in asked])
        found: list[list[AttackedText]] = [[] for _ in asks]
        for index, gradient in zip(asked, gradients, strict=True):
            found[index] = self._flipped(asks[index], gradient)
        return found

    def _flipped(self, ask: Ask, gradient: npt.NDArray[np.float32]) -> list[AttackedText]:
        """Return the best texts with one token exchanged."""
        (encoding,) = self._victim.tokens([ask.text.text])
        word_of = _word_rows(ask, encoding)
        texts: dict[str, AttackedText] = {}
        for flip in self._ranked(encoding, gradient, [*word_of]):
            index = word_of[flip.row]
            word = _exchanged(ask.text, index, encoding.offsets[flip.row], flip.surface)
            if word is not None:
                changed = ask.text.replace(index, word)
                texts.setdefault(changed.text, changed)
            if len(texts) == self._top:
                break
        return [*texts.values()]

    def _ranked(
        self, encoding: TokenEncoding, gradient: npt.NDArray[np.float32], rows: Sequence[int]
    ) -> Iterator[_Flip]:
        """Yield flips from the highest expected rise down, as many as are likely to be needed."""
        flips: list[_Flip] = []
        for continues, pool in enumerate(self._pools):
            mine = [row for row in rows if self._continues[encoding.ids[row]] == bool(continues)]
            for start in range(0, len(mine), _CHUNK_ROWS):
                flips += self._of_pool(pool, encoding, gradient, mine[start : start + _CHUNK_ROWS])
        yield from sorted(flips, key=lambda flip: (-flip.rise, flip.row, flip.surface))

    def _of_pool(
        self, pool: _Pool, encoding: TokenEncoding, gradient: npt.NDArray[np.float32], rows: Sequence[int]
    ) -> list[_Flip]:
        if not len(pool.ids):
            return []
        slopes = gradient[list(rows)]
        rises = slopes @ pool.vectors.T
        now = np.einsum("ij,ij->i", slopes, self._table[[encoding.ids[row] for row in rows]])
        n = min(max(_LEAST_RANKED, _SPARE * self._top), rises.shape[1])
        best = np.argpartition(-rises, n - 1, axis=1)[:, :n]
        return [
            _Flip(float(rises[place, other] - now[place]), row, pool.surfaces[other])
            for place, row in enumerate(rows)
            for other in best[place].tolist()
        ]

    @cached_property
    def _table(self) -> npt.NDArray[np.float32]:
        return self._victim.embeddings()

    @cached_property
    def _continues(self) -> npt.NDArray[np.bool_]:
        """Whether each token of the vocabulary continues a word, by the marks that the tokenizer writes."""
        tokens = self._victim.vocabulary
        if any(token.startswith("##") for token in tokens):
            return np.array([token.startswith("##") for token in tokens])
        return np.array([not token.startswith(("Ġ", "▁")) for token in tokens])

    @cached_property
    def _pools(self) -> tuple[_Pool, _Pool]:
        """The tokens that begin words, and those that continue them: letters and digits only, with a letter."""
        surfaces = [token.removeprefix("##").lstrip("Ġ▁") for token in self._victim.vocabulary]
        fit = np.array([s.isascii() and s.isalnum() and not s.isdigit() for s in surfaces])
        pools = []
        for continues in (False, True):
            ids = np.flatnonzero(fit & (self._continues == continues))
            pools.append(_Pool(ids, tuple(surfaces[i] for i in ids.tolist()), self._table[ids]))
        return pools[0], pools[1]


def _word_rows(ask: Ask, encoding: TokenEncoding) -> dict[int, int]:
    """Return for each token inside a word that may change, which word that is."""
    spans = [(ask.text.span(index), index) for index in ask.indices]
    return {
        row: index
        for row, (first, last) in enumerate(encoding.offsets)
        for (start, end), index in spans
        if start <= first < last <= end
    }


def _exchanged(text: AttackedText, index: int, token: tuple[int, int], surface: str) -> str | None:
    """Return a word with one of its tokens exchanged; None where that is no word, or the word as it was."""
    start, end = text.span(index)
    word = text.text[start : token[0]] + surface + text.text[token[1] : end]
    if word.lower() == text.words[index].lower() or split_words(word) != [word]:
        return None
    return word
