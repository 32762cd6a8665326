"""What a filter says of a generator's answers: the same random numbers for every prompt, so that prompts compare."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError, GeneratorError
from guard.explain.generation.prompt_words import PromptWords
from guard.explain.schema import Attribution, Values
from guard.schema import Filter, Generator, check_scores

__all__ = ["AnswerScores", "explain_answers"]


class AnswerScores:
    """Scores the answers of any generator on one category of a filter.

    Parameters
    ----------
    generator : Generator
    filter_ : Filter
    category : str
        One of the filter's.
    n_samples : int
        Answers a prompt. One is enough for greedy decoding.
    seed : int
        Every prompt is answered with the same seeds, drawn from it.

    Raises
    ------
    ConfigError
        No such category, or no samples.
    """

    def __init__(
        self, generator: Generator[str], filter_: Filter[str], category: str, *, n_samples: int = 8, seed: int = 0
    ) -> None:
        if category not in filter_.categories or n_samples < 1:
            raise ConfigError(
                f"category {category!r} with {n_samples} samples: filter {filter_.name} has"
                f" {', '.join(filter_.categories)}, and a score needs at least 1 sample"
            )
        self._generator, self._filter, self.category = generator, filter_, category
        self._column = filter_.categories.index(category)
        self._seeds = [_seed(seed, number) for number in range(n_samples)]
        self._known: dict[str, npt.NDArray[np.float64]] = {}
        self._texts: dict[str, tuple[str | None, ...]] = {}
        self.n_answers = 0

    def scores(self, prompts: Sequence[str]) -> Values:
        """Return the score of every answer.

        Parameters
        ----------
        prompts : sequence of str
            Those asked before, or twice, cost nothing.

        Returns
        -------
        ndarray
            float64, shape (len(prompts), n_samples), in [0, 1]; NaN where an answer could not be had.

        Raises
        ------
        GeneratorError
            The generator failed, and does not say on which prompt.
        FilterError
            The filter failed.
        """
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        if new:
            self._ask(new)
        found = [self._known[prompt] for prompt in prompts]
        return np.array(found, dtype=np.float64).reshape(len(prompts), len(self._seeds))

    def answers(self, prompt: str) -> tuple[str | None, ...]:
        """Return the answers to a prompt, in order of the seeds; None for one that could not be had."""
        self.scores([prompt])
        return self._texts[prompt]

    def means(self, prompts: Sequence[str]) -> Values:
        """Return the mean score of the answers to each prompt; float64, shape (len(prompts),).

        Raises
        ------
        GeneratorError
            To one of them no answer could be had.
        FilterError
            The filter failed.
        """
        scores = self.scores(prompts)
        _require_answers(scores)
        means: Values = np.nanmean(scores, axis=1)
        return means

    def _ask(self, prompts: Sequence[str]) -> None:
        generator: Any = self._generator
        asked = [prompt for prompt in prompts for _ in self._seeds]
        # A row that fails costs no other row.
        ask = getattr(generator, "generate_rows", generator.generate)
        rows = [row if isinstance(row, str) else None for row in ask(asked, seed=self._seeds * len(prompts))]
        self.n_answers += len(rows)
        written = [row for row in rows if row is not None]
        scored = iter(check_scores(self._filter.score_batch(written), n_items=len(written), filter_=self._filter))
        each = [np.nan if row is None else float(next(scored)[self._column]) for row in rows]
        for number, prompt in enumerate(prompts):
            place = slice(number * len(self._seeds), (number + 1) * len(self._seeds))
            self._known[prompt], self._texts[prompt] = np.array(each[place]), tuple(rows[place])


def explain_answers(scores: AnswerScores, prompts: Sequence[str]) -> list[Attribution]:
    """Say which words of a prompt make its answers score: leave one out, ask again, score again.

    Parameters
    ----------
    scores : AnswerScores
    prompts : sequence of str

    Returns
    -------
    list of Attribution
        `values` are in the filter's score: for each word the mean, over the same random numbers, of the score of the
        answer to the whole prompt less that of the answer without the word. `errors` are standard errors of that mean,
        None for a single answer.

    Raises
    ------
    GeneratorError
        No answer could be had to a prompt, or to it without one of its words.
    FilterError
        The filter failed.

    Notes
    -----
    The value estimates ``E[s(answer) | prompt] - E[s(answer) | prompt without the word]``, the expected effect of the
    word on the score through whatever the generator writes. Common random numbers (Glasserman and Yao 1992) leave the
    mean as it is and lower the variance where the generator honours its seed; where it does not, the errors are
    those of independent answers. They cover which answers were drawn, not what the filter gets wrong.
    """
    split = [PromptWords.of(prompt) for prompt in prompts]
    texts = [
        [words.text, words.without(range(len(words.ranges))), *(words.without([at]) for at in range(len(words.ranges)))]
        for words in split
    ]
    scores.scores([text for own in texts for text in own])
    return [_attribution(scores, words, own) for words, own in zip(split, texts, strict=True)]


def _attribution(scores: AnswerScores, words: PromptWords, texts: Sequence[str]) -> Attribution:
    found = scores.scores(texts)
    _require_answers(found)
    differences = found[0] - found[2:]
    _require_answers(differences)
    n = (~np.isnan(differences)).sum(axis=1)
    several = found.shape[1] > 1 and bool((n > 1).all())
    errors = np.nanstd(differences, axis=1, ddof=1) / np.sqrt(n) if several else None
    means = np.nanmean(found[:2], axis=1)
    return Attribution(
        text=words.text,
        category=f"E[{scores.category} of the answer]",
        method="resampled",
        parts=words.ranges,
        values=np.nanmean(differences, axis=1) if len(differences) else np.zeros(0),
        number=float(means[0]),
        baseline=float(means[1]),
        errors=errors,
        n_scored=found.size,
    )


def _require_answers(scores: Values) -> None:
    missing = int(np.isnan(scores).all(axis=1).sum())
    if missing:
        raise GeneratorError(f"no answer could be had to {missing} of {len(scores)} wordings of a prompt; try again")


def _seed(seed: int, number: int) -> int:
    """Return the seed of one sample, in [0, 2**31), as endpoints take it."""
    return int.from_bytes(hashlib.sha256(f"explain\0{seed}\0{number}".encode()).digest()[:4], "big") >> 1
