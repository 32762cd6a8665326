"""How far an explanation can be trusted: what its strongest parts do to the score, alone and gone, and who agrees."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from guard.errors import ConfigError
from guard.explain.schema import Attribution, Values
from guard.schema import Filter, check_scores

__all__ = ["SHARES", "Faithfulness", "faithfulness", "in_random_order", "rank_agreement"]

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares of the parts that are taken, as in DeYoung et al. 2020, section 4.2."""

_ROWS = 512


@dataclass(frozen=True)
class Faithfulness:
    """What the strongest parts of one explanation do to the score.

    Parameters
    ----------
    text : str
    score : float
        Of the whole text, in [0, 1].
    shares : tuple of float
    comprehensiveness : ndarray
        float64, shape (len(shares),), in [-1, 1]: how much the score falls without so large a share of the parts, the
        one that raises it most first. High where the explanation found what the score rests on.
    sufficiency : ndarray
        The same shape and range: how much the score falls when those parts alone are there. Low where they suffice.
    gap : float or None
        The explanation's convergence gap, in its own unit.
    """

    text: str
    score: float
    shares: tuple[float, ...]
    comprehensiveness: Values
    sufficiency: Values
    gap: float | None

    @property
    def aopc_comprehensiveness(self) -> float:
        """The mean over the shares (area over the perturbation curve)."""
        return float(self.comprehensiveness.mean())

    @property
    def aopc_sufficiency(self) -> float:
        """The mean over the shares."""
        return float(self.sufficiency.mean())


def faithfulness(
    filter_: Filter[str], explanations: Sequence[Attribution], *, shares: Sequence[float] = SHARES
) -> list[Faithfulness | None]:
    """Measure explanations by the filter's own scores of what is left of their texts.

    Parameters
    ----------
    filter_ : Filter
        Whose scores were explained.
    explanations : sequence of Attribution
    shares : sequence of float
        In (0, 1], ascending. Of n parts a share takes ``ceil(share * n)``.

    Returns
    -------
    list of Faithfulness or None
        In the order of the explanations. None where a text has no parts: there is nothing to measure.

    Raises
    ------
    ConfigError
        Shares out of range.
    FilterError
        The filter failed.

    Notes
    -----
    DeYoung et al. 2020, "ERASER: A Benchmark to Evaluate Rationalized NLP Models", equations 1 and 2, and their mean
    over shares (section 4.2); here a score takes the place of the probability of a class. Words are cut out of the
    text, whatever the method put in their place, so that methods are compared by the same measure. What is left is no
    text that anyone would write; compare with :func:`in_random_order`, to which the same happens.
    """
    if not shares or any(not 0 < share <= 1 for share in shares) or sorted(shares) != list(shares):
        raise ConfigError(f"shares={tuple(shares)}: give numbers in (0, 1], ascending")
    questions = [_left(one, shares) for one in explanations]
    scores = _scores(filter_, explanations, questions)
    return [_measured(one, tuple(shares), found) for one, found in zip(explanations, scores, strict=True)]


def in_random_order(explanations: Sequence[Attribution], *, seed: int = 0) -> list[Attribution]:
    """Return explanations of the same parts in random order: what an explanation has to beat.

    Each text's order depends on `seed` and the text alone.
    """
    return [
        replace(
            one, method="random", values=_random(seed, one.text).random(len(one.parts)), errors=None, complete=False
        )
        for one in explanations
    ]


def _random(seed: int, text: str) -> np.random.Generator:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _left(one: Attribution, shares: Sequence[float]) -> list[str]:
    """Return the text, and for each share what is left without the strongest parts, and they alone."""
    n, order = len(one.parts), one.order()
    found = [_kept(one, set(range(n)))]
    for share in shares:
        strongest = set(order[: math.ceil(share * n)])
        found += [_kept(one, set(range(n)) - strongest), _kept(one, strongest)]
    return found


def _kept(one: Attribution, parts: set[int]) -> str:
    """Return the text with these parts and all white space between them."""
    pieces, place = list[str](), one.parts[0][0] if one.parts else 0
    for at, (start, end) in enumerate(one.parts):
        pieces += (one.text[place:start], one.text[start:end] if at in parts else "")
        place = end
    return "".join(pieces)


def _scores(
    filter_: Filter[str], explanations: Sequence[Attribution], questions: Sequence[Sequence[str]]
) -> list[Values]:
    """Score every question once, in the category of its explanation."""
    distinct = list(dict.fromkeys(text for some in questions for text in some))
    rows = [
        check_scores(filter_.score_batch(some), n_items=len(some), filter_=filter_)
        for some in (distinct[start : start + _ROWS] for start in range(0, len(distinct), _ROWS))
    ]
    places = {text: at for at, text in enumerate(distinct)}
    whole = np.concatenate(rows) if rows else np.zeros((0, len(filter_.categories)), dtype=np.float32)
    return [
        whole[[places[text] for text in some], filter_.categories.index(one.category)].astype(np.float64)
        for one, some in zip(explanations, questions, strict=True)
    ]


def _measured(one: Attribution, shares: tuple[float, ...], scores: Values) -> Faithfulness | None:
    if not one.parts:
        return None
    falls = scores[0] - scores[1:]
    return Faithfulness(one.text, float(scores[0]), shares, falls[0::2], falls[1::2], one.gap)


def rank_agreement(first: Sequence[Attribution], second: Sequence[Attribution]) -> list[float | None]:
    """Return how alike two methods order the parts of each text: Spearman's rank correlation, in [-1, 1].

    Parameters
    ----------
    first, second : sequence of Attribution
        Of the same texts. Parts that only one of the two has are left out.

    Returns
    -------
    list of float or None
        None where fewer than two parts are common, or one method values them all alike.
    """
    found: list[float | None] = []
    for one, other in zip(first, second, strict=True):
        theirs = dict(zip(other.parts, other.values, strict=True))
        pairs = [(value, theirs[part]) for part, value in zip(one.parts, one.values, strict=True) if part in theirs]
        ranks = np.array([_ranks(np.array(side)) for side in zip(*pairs, strict=True)]) if pairs else np.zeros((2, 0))
        alike = ranks.shape[1] < 2 or bool((ranks == ranks[:, :1]).all(axis=1).any())
        found.append(None if alike else float(np.clip(np.corrcoef(ranks)[0, 1], -1, 1)))
    return found


def _ranks(values: Values) -> Values:
    """Return ranks from 0, equal values sharing the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Values = ends - (counts + 1) / 2
    return means[which]
