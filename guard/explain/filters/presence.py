"""What a filter says of a text of which only some parts are there: the one question behind occlusion and Shapley."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError
from guard.explain.filters.embedded import EmbeddedModel, Row
from guard.explain.filters.parts import Unit, text_parts
from guard.explain.schema import Range, Values
from guard.schema import Filter, check_scores

__all__ = ["EmbeddedPresence", "FilterPresence", "Kept", "Presence"]

_ROWS = 512
_LONG, _STRIDE = 256, 128


@dataclass(frozen=True)
class Kept:
    """One question: of which text, and which of its parts are there.

    Parameters
    ----------
    text : int
    parts : ndarray
        bool, shape (n_parts,).
    """

    text: int
    parts: npt.NDArray[np.bool_]


class Presence(Protocol):
    """The number of every text, as a function of which parts are there."""

    @property
    def ranges(self) -> Sequence[tuple[Range, ...]]:
        """The parts of every text."""
        ...

    def numbers(self, questions: Sequence[Kept]) -> Values:
        """Return one number a question: float64, shape (len(questions),)."""
        ...


class EmbeddedPresence:
    """Asks a model through its embeddings: the baseline stands in place of the tokens of parts that are not there.

    Parameters
    ----------
    model : EmbeddedModel
    texts : sequence of str
    unit : {"token", "word"}
    """

    def __init__(self, model: EmbeddedModel, texts: Sequence[str], unit: Unit) -> None:
        self._model = model
        self._windows = model.windows(texts, unit)

    @property
    def ranges(self) -> Sequence[tuple[Range, ...]]:
        """The parts of every text, in the window that decides it."""
        return [window.parts.ranges for window in self._windows]

    def numbers(self, questions: Sequence[Kept]) -> Values:
        """Return log-odds."""
        return self._model.values(self._windows, [self._row(question) for question in questions])

    def _row(self, question: Kept) -> Row:
        owners = self._windows[question.text].parts.owners
        # Special tokens, of part -1, are always there.
        there = np.append(question.parts, True)
        return Row(question.text, there[owners].astype(np.float32))


class FilterPresence:
    """Asks any filter by text: parts that are not there are cut out of it, the white space around them stays.

    Parameters
    ----------
    filter_ : Filter
    category : str
    texts : sequence of str
        A text of over 256 parts is cut into stretches that overlap by half; of these the one that scores highest is
        explained.
    unit : {"token", "word"}
        Of a filter without tokens, ``word``.

    Raises
    ------
    ConfigError
        Tokens are asked for.
    """

    def __init__(self, filter_: Filter[str], category: str, texts: Sequence[str], unit: Unit) -> None:
        if unit != "word":
            raise ConfigError(f"filter {filter_.name} shows no tokens; give unit word")
        self._filter, self._column, self._texts = filter_, filter_.categories.index(category), list(texts)
        self._ranges = self._stretches([text_parts(text) for text in texts])

    @property
    def ranges(self) -> Sequence[tuple[Range, ...]]:
        """The parts of every text, or of the stretch that decides it."""
        return self._ranges

    def numbers(self, questions: Sequence[Kept]) -> Values:
        """Return scores; the same text is asked for once."""
        return self._scores([self._left(question) for question in questions])

    def _scores(self, texts: Sequence[str]) -> Values:
        distinct = list(dict.fromkeys(texts))
        found: dict[str, float] = {}
        for start in range(0, len(distinct), _ROWS):
            some = distinct[start : start + _ROWS]
            scores = check_scores(self._filter.score_batch(some), n_items=len(some), filter_=self._filter)
            found |= dict(zip(some, scores[:, self._column].tolist(), strict=True))
        return np.array([found[text] for text in texts], dtype=np.float64)

    def _left(self, question: Kept) -> str:
        text, ranges = self._texts[question.text], self._ranges[question.text]
        is_cut = len(ranges) == _LONG
        pieces, place = [], ranges[0][0] if is_cut else 0
        for (start, end), there in zip(ranges, question.parts, strict=True):
            pieces.append(text[place:start])
            pieces.append(text[start:end] if there else "")
            place = end
        return "".join([*pieces, "" if is_cut else text[place:]])

    def _stretches(self, ranges: Sequence[Sequence[Range]]) -> list[tuple[Range, ...]]:
        """Return the parts of each text, and of a long one those of the stretch that scores highest."""
        chosen = []
        for text, parts in zip(self._texts, ranges, strict=True):
            last = max(0, len(parts) - _LONG)
            some = [tuple(parts[start : start + _LONG]) for start in (*range(0, last, _STRIDE), last)]
            scores = self._scores([text[one[0][0] : one[-1][1]] for one in some]) if len(some) > 1 else np.zeros(1)
            chosen.append(some[int(scores.argmax())])
        return chosen
