"""Figures of a set of texts as a whole: how many different n-grams it has, and how alike its texts are."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evals.jackknife import SetFigure
from evals.scorers.text import ngrams, words

__all__ = ["corpus_distinct", "self_bleu"]

_ORDERS = 4

_Gram = tuple[str, ...]


def corpus_distinct(texts: Mapping[str, Sequence[str]], *, n: int) -> SetFigure:
    """Return the share of different n-grams among all of a set of texts, and the same without each prompt.

    Distinct-n of Li et al. 2016 over the whole set (:func:`evals.scorers.text.distinct_n`): a model that gives every
    prompt the same good answer has a low one. It falls as the set grows: compare equal numbers of texts.

    Parameters
    ----------
    texts : mapping of str to sequence of str
        By prompt.
    n : int
        At least 1.

    Returns
    -------
    SetFigure
        In (0, 1]; without a value where no text has `n` words.
    """
    by_prompt = {prompt: Counter(g for text in ones for g in ngrams(words(text), n)) for prompt, ones in texts.items()}
    everywhere = Counter(gram for grams in by_prompt.values() for gram in grams)
    n_types, n_tokens = len(everywhere), sum(grams.total() for grams in by_prompt.values())
    if not n_tokens:
        return SetFigure(None, {})
    left_out = {}
    for prompt, grams in by_prompt.items():
        rest = n_tokens - grams.total()
        if rest:
            left_out[prompt] = (n_types - sum(everywhere[gram] == 1 for gram in grams)) / rest
    return SetFigure(n_types / n_tokens, left_out)


def self_bleu(texts: Mapping[str, Sequence[str]]) -> SetFigure:
    """Return how alike the answers to different prompts are, and the same without each prompt.

    Self-BLEU (Zhu et al. 2018, "Texygen", section 3.1): BLEU-4 of each text against those of all other prompts, on
    average. High is monotonous. BLEU is sacrebleu's for a sentence: closest reference length, exponential smoothing and
    effective order (Post 2018; Chen & Cherry 2014, smoothing 3), on :func:`evals.scorers.text.words`, so that it reads
    Chinese. It rises with the number of texts: compare equal numbers.

    Parameters
    ----------
    texts : mapping of str to sequence of str
        By prompt. Texts of one prompt are no references for one another: that they are alike is no fault.

    Returns
    -------
    SetFigure
        In [0, 1]; without a value where fewer than two prompts have a text with a word. Others are left out.
    """
    split = {prompt: [tokens for text in ones if (tokens := words(text))] for prompt, ones in texts.items()}
    kept = {prompt: ones for prompt, ones in split.items() if ones}
    if len(kept) < 2:
        return SetFigure(None, {})
    return _Set(kept).figure()


@dataclass(frozen=True)
class _Scored:
    """One text against all others, and against all others but those of one prompt, where that makes a difference."""

    value: float
    without: Mapping[str, float]


class _Set:
    """The n-grams of a set, with the prompts that have each most often."""

    def __init__(self, kept: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._kept = kept
        self._n_texts = sum(map(len, kept.values()))
        self._most = _most_often(kept)
        self._lengths = sorted({(len(tokens), prompt) for prompt, ones in kept.items() for tokens in ones})

    def figure(self) -> SetFigure:
        scored = {prompt: [self._score(prompt, tokens) for tokens in ones] for prompt, ones in self._kept.items()}
        total = math.fsum(one.value for ones in scored.values() for one in ones)
        left_out = {}
        for gone in self._kept if len(self._kept) > 2 else ():
            rest = [one for prompt, ones in scored.items() if prompt != gone for one in ones]
            left_out[gone] = math.fsum(one.without.get(gone, one.value) for one in rest) / len(rest)
        return SetFigure(total / self._n_texts, left_out)

    def _score(self, prompt: str, tokens: Sequence[str]) -> _Scored:
        matches, losses = [0] * _ORDERS, defaultdict[str, list[int]](lambda: [0] * _ORDERS)
        for gram, count in _counted(tokens).items():
            others = [(most, other) for most, other in self._most[gram] if other != prompt]
            here = min(count, others[0][0]) if others else 0
            if here:
                matches[len(gram) - 1] += here
                losses[others[0][1]][len(gram) - 1] += here - (min(count, others[1][0]) if len(others) > 1 else 0)
        closest = self._closest(len(tokens), prompt)
        value = _bleu(len(tokens), closest[0][0], matches)
        without = {}
        for gone in {*losses, closest[0][1]} if len(self._kept) > 2 else ():
            left = [a - b for a, b in zip(matches, losses[gone], strict=True)]
            length = next(length for length, other in closest if other != gone)
            without[gone] = _bleu(len(tokens), length, left)
        return _Scored(value, without)

    def _closest(self, length: int, prompt: str) -> list[tuple[int, str]]:
        """Return the reference lengths of other prompts, closest first, until two prompts are among them."""
        found: list[tuple[int, str]] = []
        for one in sorted(self._lengths, key=lambda one: (abs(one[0] - length), one[0])):
            if one[1] != prompt:
                found.append(one)
            if len({other for _, other in found}) == 2:
                break
        return found


def _most_often(kept: Mapping[str, Sequence[Sequence[str]]]) -> dict[_Gram, list[tuple[int, str]]]:
    """Return for each n-gram the three prompts in one of whose texts it occurs most often, most first.

    Three, since a text is not its own reference and one prompt more is left out.
    """
    most: dict[_Gram, dict[str, int]] = defaultdict(dict)
    for prompt, ones in kept.items():
        for tokens in ones:
            for gram, count in _counted(tokens).items():
                most[gram][prompt] = max(count, most[gram].get(prompt, 0))
    return {
        gram: sorted(((count, prompt) for prompt, count in found.items()), key=lambda one: (-one[0], one[1]))[:3]
        for gram, found in most.items()
    }


def _counted(tokens: Sequence[str]) -> Counter[_Gram]:
    return Counter(_all_ngrams(tokens))


def _all_ngrams(tokens: Sequence[str]) -> Iterator[_Gram]:
    for n in range(1, _ORDERS + 1):
        yield from ngrams(tokens, n)


def _bleu(length: int, reference_length: int, matches: Sequence[int]) -> float:
    """Return the sentence BLEU, in [0, 1], of a text with so many matching n-grams of each order."""
    if not any(matches):
        return 0.0
    halvings, logs = 0, []
    for n, matched in enumerate(matches, 1):
        n_grams = length - n + 1
        if n_grams < 1:
            break
        halvings += matched == 0
        logs.append(math.log((matched or 0.5**halvings) / n_grams))
    shortfall = min(0.0, 1 - reference_length / length)
    return math.exp(shortfall + math.fsum(logs) / len(logs))
