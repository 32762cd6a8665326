"""Which words of a prompt made an output likely: leave-one-out, gradient x input, integrated gradients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from guard.errors import ConfigError
from guard.explain.filters.presence import Kept
from guard.explain.filters.shapley import sampled_shapley
from guard.explain.generation.erasure import Figure, erasure
from guard.explain.generation.framing import FramedPrompt
from guard.explain.generation.path import Node, Path, walk
from guard.explain.generation.prompt_words import PromptWords, over_words
from guard.explain.generation.white_box import OpenGenerator, Row, WhiteBox
from guard.explain.schema import Attribution, Range, Values

__all__ = ["METHODS", "LikelihoodExplainer", "Question"]

_TOLERANCE = 0.05
_NATS_ERROR = 0.1
_MOST_PAIRS = 32
_MOST_POINTS = 161
_LEAST_POINTS = 17


@dataclass(frozen=True)
class Question:
    """What is asked about an answer: why this, or why this and not that.

    Parameters
    ----------
    prompt : str
    output : str
        What the model wrote, or might have written.
    against : str, optional
        What it did not write: the number explained is then ``log p(output) - log p(against)``.
    parts : tuple of (int, int), optional
        Ranges of `output`: only tokens that touch one of them count. None counts all.
    """

    prompt: str
    output: str
    against: str | None = None
    parts: tuple[Range, ...] | None = None

    @property
    def about(self) -> str:
        """What the number is, as people read it."""
        part = "" if self.parts is None else " in part"
        return f"log p(output){part}" + ("" if self.against is None else " - log p(against)")


@dataclass(frozen=True)
class _Asked:
    """A question in tokens."""

    question: Question
    words: PromptWords
    framed: FramedPrompt
    targets: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]

    @property
    def n_sides(self) -> int:
        """1, or 2 where the question is why this and not that."""
        return len(self.targets)

    def rows(self, ids: Sequence[int]) -> list[Row]:
        """Return one row for each side, behind the same prompt."""
        return [Row(tuple(ids), target, weights) for target, weights in self.targets]


class LikelihoodExplainer:
    """Attributes the log-probability of an output to the words of its prompt.

    Parameters
    ----------
    generator : OpenGenerator
    method : {"leave-one-out", "gradient-x-input", "integrated-gradients"}
    tolerance : float
        Of integrated gradients: the gaps of all pieces of the path, added up in size, stay under this share of the
        explained change; the values themselves miss less, since gaps of both signs cancel.
    most_points : int
        Points of the path that may be asked for that; where they do not suffice, the gap says so.
    batch_size : int
        Rows that run together; no value depends on it.
    seed : int
        Of what is sampled: the orders of Shapley values, and the random words that :meth:`trust` compares with.

    Raises
    ------
    ConfigError
        No such method, or a path of fewer than 17 points.

    Notes
    -----
    Leave-one-out is Li et al. 2016 ("Understanding Neural Networks through Representation Erasure", section 3) on words
    of the prompt's text: the prompt is written without the word and read anew. Gradient x input is Shrikumar et al.
    2016; integrated gradients are Sundararajan et al. 2017, equation 1, over one path on which all words of the prompt
    come in together from the mean embedding of the vocabulary, while the chat template, what stands between words, and
    the output stay; so the values sum to what the words do. The path is cut finer where its slopes do not yet add up to
    what changes (:mod:`guard.explain.generation.path`). "Why this and not that" is Yin and Neubig 2022, "Interpreting
    Language Models with Contrastive Explanations", for whole outputs.
    """

    def __init__(
        self,
        generator: OpenGenerator,
        *,
        method: str = "leave-one-out",
        tolerance: float = _TOLERANCE,
        most_points: int = _MOST_POINTS,
        batch_size: int = 16,
        seed: int = 0,
    ) -> None:
        if method not in METHODS or most_points < _LEAST_POINTS:
            raise ConfigError(
                f"method {method!r} with {most_points} points: take one of {', '.join(METHODS)}, and at least"
                f" {_LEAST_POINTS} points"
            )
        self._box = WhiteBox(generator, batch_size=batch_size)
        self._method, self._tolerance, self._most_points, self._seed = method, tolerance, most_points, seed

    @property
    def method(self) -> str:
        """Its name, as people write it."""
        return self._method

    def explain(self, questions: Sequence[Question]) -> list[Attribution]:
        """Explain every question.

        Parameters
        ----------
        questions : sequence of Question

        Returns
        -------
        list of Attribution
            In their order. `text` is the prompt, `values` are nats; the values of a question depend on it alone.

        Raises
        ------
        ConfigError
            The chat template changes prompts, or the tokenizer is no fast one.
        DataError
            An empty output, or a prompt with its output that does not fit the context.
        GeneratorError
            The model failed.
        """
        asked = [self._asked(question) for question in questions]
        return METHODS[self._method](self, asked)

    def trust(self, questions: Sequence[Question], found: Sequence[Attribution]) -> list[list[Figure]]:
        """Measure how far each explanation can be trusted; see :func:`guard.explain.generation.erasure.erasure`.

        Raises
        ------
        DataError, GeneratorError
            As :meth:`explain`.
        """
        asked = [self._asked(question) for question in questions]
        return [
            erasure(one, partial(self._without, place), seed=self._seed)
            for place, one in zip(asked, found, strict=True)
        ]

    def _without(self, one: _Asked, left_out: Sequence[Collection[int]]) -> Values:
        """Return the number of a prompt without some of its words, for each set of them."""
        return self._numbers([(one, places) for places in left_out])

    def _numbers(self, wanted: Sequence[tuple[_Asked, Collection[int]]]) -> Values:
        """Return the numbers of prompts without some of their words, in one go."""
        rows, owners = list[Row](), list[int]()
        for at, (one, places) in enumerate(wanted):
            rows += (new := one.rows(self._box.frame(one.words.without(places)).ids))
            owners += [at] * len(new)
        return np.bincount(owners, weights=self._box.log_probabilities(rows), minlength=len(wanted)).astype(np.float64)

    def _asked(self, question: Question) -> _Asked:
        sides = [(question.output, 1.0, question.parts)]
        if question.against is not None:
            sides.append((question.against, -1.0, None))
        targets = []
        for text, sign, parts in sides:
            ids, ranges = self._box.target(text)
            weights = [sign * float(parts is None or any(a < e and s < b for s, e in parts)) for a, b in ranges]
            targets.append((ids, tuple(weights)))
        words = PromptWords.of(question.prompt)
        return _Asked(question, words, self._box.frame(question.prompt), tuple(targets))

    def _leave_one_out(self, asked: Sequence[_Asked]) -> list[Attribution]:
        """Score every prompt whole, without all of its words, and without each of them, in one go."""
        places = [[(), range(n), *([at] for at in range(n))] for n in (len(one.words.ranges) for one in asked)]
        numbers = self._numbers([(one, left) for one, own in zip(asked, places, strict=True) for left in own])
        found, at = [], 0
        for one, own in zip(asked, places, strict=True):
            here = numbers[at : at + len(own)]
            at += len(own)
            n_rows = len(own) * one.n_sides
            found.append(self._attribution(one, here[0] - here[2:], here[0], here[1], n_rows=n_rows))
        return found

    def _shapley(self, asked: Sequence[_Asked]) -> list[Attribution]:
        presence = _PromptPresence(asked, self._numbers)
        texts = [one.question.prompt for one in asked]
        found = sampled_shapley(presence, texts, "", error=_NATS_ERROR, most_pairs=_MOST_PAIRS, seed=self._seed)
        return [replace(got, category=one.question.about) for got, one in zip(found, asked, strict=True)]

    def _gradient_x_input(self, asked: Sequence[_Asked]) -> list[Attribution]:
        paths = [self._path(one, torch.zeros_like(self._box.word_embeddings[0])) for one in asked]
        both = self._ask(asked, paths, [(place, share) for place in range(len(asked)) for share in (1.0, 0.0)])
        return [
            self._attribution(one, self._words(one, there.slopes), there.number, nothing.number, n_rows=2 * one.n_sides)
            for one, there, nothing in zip(asked, both[::2], both[1::2], strict=True)
        ]

    def _integrated(self, asked: Sequence[_Asked]) -> list[Attribution]:
        nothing = self._box.word_embeddings.float().mean(dim=0)
        paths = [self._path(one, nothing) for one in asked]
        walk(paths, partial(self._ask, asked, paths))
        found = []
        for one, path in zip(asked, paths, strict=True):
            values, ends = self._words(one, path.values()), (path.nodes[1.0].number, path.nodes[0.0].number)
            n_rows = len(path.nodes) * one.n_sides
            found.append(self._attribution(one, values, *ends, n_rows=n_rows, complete=True))
        return found

    def _path(self, one: _Asked, nothing: Tensor) -> Path:
        """Return the way on which all words of a prompt come in together; what is no word stays."""
        whole = self._box.embed(one.framed.ids)
        start = torch.where(_moving(one)[:, None].to(whole.device), nothing.to(whole.dtype), whole)
        return Path(start, whole, self._tolerance, self._most_points)

    def _ask(self, asked: Sequence[_Asked], paths: Sequence[Path], wanted: Sequence[tuple[int, float]]) -> list[Node]:
        """Return the number and slopes at points of paths, in one go."""
        rows, prompts = list[Row](), list[Tensor]()
        for place, share in wanted:
            for row in asked[place].rows(asked[place].framed.ids):
                rows.append(row)
                prompts.append(paths[place].at(share))
        numbers, gradients = self._box.gradients(rows, prompts)
        found, at = [], 0
        for place, _ in wanted:
            way, sides = (paths[place].end - paths[place].start).double().cpu(), range(at, at + asked[place].n_sides)
            slopes = sum((gradients[side] * way).sum(dim=1).numpy() for side in sides)
            found.append(Node(float(sum(numbers[side] for side in sides)), np.asarray(slopes)))
            at += len(sides)
        return found

    def _words(self, one: _Asked, tokens: Values) -> Values:
        return over_words(one.words.ranges, one.framed.ranges, tokens)

    def _attribution(
        self, one: _Asked, values: Values, number: float, baseline: float, *, n_rows: int, complete: bool = False
    ) -> Attribution:
        return Attribution(
            text=one.question.prompt,
            category=one.question.about,
            method=self._method,
            parts=one.words.ranges,
            values=values,
            number=float(number),
            baseline=float(baseline),
            complete=complete,
            n_scored=n_rows,
        )


def _moving(one: _Asked) -> Tensor:
    """Tell which tokens touch a word of the prompt; bool, shape (n_tokens,)."""
    ones = np.ones(1)
    return torch.tensor([bool(over_words(one.words.ranges, [range_], ones).any()) for range_ in one.framed.ranges])


class _PromptPresence:
    """Prompts of which some words are there, as Shapley values ask for them."""

    def __init__(
        self, asked: Sequence[_Asked], numbers: Callable[[Sequence[tuple[_Asked, Collection[int]]]], Values]
    ) -> None:
        self._asked, self._numbers = asked, numbers

    @property
    def ranges(self) -> Sequence[tuple[Range, ...]]:
        """The words of every prompt."""
        return [one.words.ranges for one in self._asked]

    def numbers(self, questions: Sequence[Kept]) -> Values:
        """Return the number of each prompt without the words that are not there."""
        return self._numbers([(self._asked[one.text], np.flatnonzero(~one.parts).tolist()) for one in questions])


METHODS: Mapping[str, Callable[[LikelihoodExplainer, Sequence[_Asked]], list[Attribution]]] = MappingProxyType(
    {
        "leave-one-out": LikelihoodExplainer._leave_one_out,
        "gradient-x-input": LikelihoodExplainer._gradient_x_input,
        "integrated-gradients": LikelihoodExplainer._integrated,
        "shapley": LikelihoodExplainer._shapley,
    }
)
"""The methods by their names, as people write them."""
