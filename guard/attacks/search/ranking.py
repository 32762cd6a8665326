"""Which words matter most to the victim: they are changed first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import TokenEncoding, WhiteBox
from guard.attacks.space import Searching, Space
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["RANKINGS", "Ranking", "rank_words", "word_tokens"]

Ranking = Literal["delete", "unknown", "saliency", "gradient", "random"]
"""How the importance of a word is told; see :func:`rank_words`."""

_Importance = npt.NDArray[np.float64]
_Measure = Callable[[Space, list[int], str], Searching[tuple[_Importance, bool]]]


def rank_words(
    space: Space, ranking: Ranking, unknown: str, first_words: int | None = None
) -> Searching[tuple[list[int], bool]]:
    """Return the words of the original that may change, most important first, and whether the budget is spent.

    Parameters
    ----------
    space : Space
    ranking : Ranking
        ``delete`` and ``unknown``: the score of the text without the word, or with `unknown` in its place (Jin et al.
        2020, "Is BERT Really Robust?", equation 2); ``saliency``: the softmax of the latter times the best score that
        a candidate of the word reaches (Ren et al. 2019, equations 5 to 8); ``gradient``: the L1 norm of the mean
        gradient of the word's tokens, which costs no query; ``random``.
    unknown : str
        What the victim is to take for a word it does not know.
    first_words : int or None
        Only so many of them from the start of the text.
    """
    indices = space.indices(space.start.text)
    if first_words is not None:
        indices = sorted(indices)[:first_words]
    if ranking == "random":
        space.random.numpy.shuffle(indices)
        return indices, False
    if not indices:
        return [], False
    importance, over = yield from RANKINGS[ranking](space, indices, unknown)
    order = np.argsort(-importance, kind="stable")
    return [indices[i] for i in order], over


def _by_texts(space: Space, texts: list[AttackedText]) -> Searching[tuple[_Importance, bool]]:
    verdicts = yield from space.judge(texts)
    # The budget may end among them; then the search ends too, and the order of the rest is nobody's concern.
    scores = [judged.score for judged in verdicts.judged]
    return np.array(scores + [0.0] * (len(texts) - len(scores))), verdicts.over


def _delete(space: Space, indices: list[int], _: str) -> Searching[tuple[_Importance, bool]]:
    return (yield from _by_texts(space, [space.start.text.delete(i) for i in indices]))


def _unknown(space: Space, indices: list[int], unknown: str) -> Searching[tuple[_Importance, bool]]:
    return (yield from _by_texts(space, [space.start.text.replace(i, unknown) for i in indices]))


def _saliency(space: Space, indices: list[int], unknown: str) -> Searching[tuple[_Importance, bool]]:
    saliency, over = yield from _unknown(space, indices, unknown)
    reached = np.zeros(len(indices))
    if not over:
        candidates = yield from space.propose_many([space.start.text] * len(indices), [[i] for i in indices])
        verdicts = yield from space.judge([text for mine in candidates for text in mine])
        over = verdicts.over
        scores = iter(verdicts.judged)
        for place, mine in enumerate(candidates):
            reached[place] = max((judged.score for _, judged in zip(mine, scores, strict=False)), default=0.0)
    powers = np.exp(saliency.astype(np.float32) - np.float32(saliency.max()))
    return (powers / powers.sum()) * reached, over


def _gradient(space: Space, indices: list[int], _: str) -> Searching[tuple[_Importance, bool]]:
    victim = space.victim
    if not isinstance(victim, WhiteBox):
        raise ConfigError(
            f"victim {victim.name} has no gradients; rank by 'unknown' or 'delete', or attack a white box"
        )
    text = space.start.text
    (gradient,) = yield from space.gradients([text])
    (encoding,) = victim.tokens([text.text])
    importance = np.zeros(len(indices))
    for place, index in enumerate(indices):
        rows = word_tokens(encoding, *text.span(index))
        if rows:
            importance[place] = np.abs(gradient[rows].mean(axis=0, dtype=np.float64)).sum()
    return importance, False


def word_tokens(encoding: TokenEncoding, start: int, end: int) -> list[int]:
    """Return which tokens have a character in ``[start, end)``, special tokens never."""
    return [i for i, (first, last) in enumerate(encoding.offsets) if first < end and last > start and last > first]


RANKINGS: dict[str, _Measure] = {"delete": _delete, "unknown": _unknown, "saliency": _saliency, "gradient": _gradient}
