"""Other readings of a text for hardened filters: slips as the words they stand for, at worst as harmful ones."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from guard.offsets import Edit
from guard.views import words
from guard.views.one_slip import SlipIndex

__all__ = ["LogitsOf", "SlipReader", "highest", "usual_words"]

Logits = npt.NDArray[np.float64]
LogitsOf = Callable[[Sequence[str]], Logits]
"""From texts to log-odds, shape (n_texts, k)."""

_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")
_SHORTEST, _LONGEST, _USUAL = 3, 15, 12_000
_SHORTEST_BOLD = 4  # too many words are a slip away from one of three letters
_FARTHER = 1.2  # nats: three times rarer
_COMMONER = 2.0  # nats: seven times more frequent
_SUSPECT = -1.5  # log-odds: a score of 0.18
_MOST_RAISED = 1.2  # log-odds: from a score of 0.31 to one of 0.6


class SlipReader:
    """Reads every word that is not known as the known one that it is a slip away from, if there is one.

    Parameters
    ----------
    charged : sequence of str
        Words that a filter finds harmful on their own. Of several words a slip away one of these comes first, unless it
        is over three times rarer than the most frequent; without this, whoever evades the filter would pick the slip
        that reads as something mild.
    bold : sequence of str
        The most harmful of them. Where a text is suspect, words are read as one of these that is a slip away: a slip
        may be nearer to a mild word, or make a known one ("pitch"). A known word must be seven times rarer for that.
    columns : sequence of int
        Categories whose score the other readings may raise.

    Notes
    -----
    Word recognition in front of a classifier: Pruthi et al. 2019, "Combating Adversarial Misspellings with Robust Word
    Recognition", section 4, by a dictionary in place of a trained recogniser; to the most frequent word a slip away:
    Jones et al. 2020, "Robust Encodings", section 4. It is read beside the text, not in its place, since names and
    words of other languages are not known either. The bold reading is only taken of texts that score 0.18 or more, and
    raises by 1.2 of log-odds at most: what is harmless in every other word stays so.

    Examples
    --------
    >>> SlipReader().read("You are stupdi, Anna")
    'You are stupid, Anna'
    >>> SlipReader(bold=["bitch"]).boldly("What a pitch, Anna")
    'What a bitch, Anna'
    """

    def __init__(self, charged: Sequence[str] = (), *, bold: Sequence[str] = (), columns: Sequence[int] = ()) -> None:
        self._charged, self._columns = frozenset(charged), list(columns)
        self._bold = frozenset(word for word in bold if len(word) >= _SHORTEST_BOLD)
        self._known = functools.lru_cache(maxsize=1 << 16)(self._meant)
        self._worst = functools.lru_cache(maxsize=1 << 14)(self._meant_at_worst)

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None, categories: Sequence[str]) -> SlipReader | None:
        """Return what ``slips`` in a filter's ``config.json`` asks for: ``charged`` words, ``bold``, ``categories``."""
        if settings is None:
            return None
        columns = [categories.index(name) for name in settings["categories"]]
        return cls(settings["charged"], bold=settings.get("bold", ()), columns=columns)

    def read(self, text: str) -> str:
        """Return the other reading of a canonical text: itself, where all its words are known or far from any."""
        return _WORD.sub(lambda match: self._known(match[0].lower()) or match[0], text)

    def boldly(self, text: str) -> str:
        """Return the bold reading of a canonical text."""
        return _WORD.sub(lambda match: self._at_worst(match[0]) or match[0], text)

    @property
    def columns(self) -> tuple[int, ...]:
        """Categories whose score the other readings may raise."""
        return tuple(self._columns)

    def combined(self, texts: Sequence[str], logits_of: LogitsOf) -> Logits:
        """Return log-odds, shape (n, k), of texts in all their readings.

        Parameters
        ----------
        texts : sequence of str
            Canonical.
        logits_of : callable
            Asked once for all texts and their other readings, and once for the bold ones, where there are any.
        """
        n, columns = len(texts), self._columns
        others = [(row, other) for row, text in enumerate(texts) if (other := self.read(text)) != text]
        read = logits_of([*texts, *(other for _, other in others)])
        joined = read[:n].copy()
        for (row, _), one in zip(others, read[n:], strict=True):
            joined[row, columns] = np.maximum(joined[row, columns], one[columns])
        bold = [(row, self.boldly(texts[row])) for row in self._suspects(joined)]
        bold = [(row, worst) for row, worst in bold if worst not in (texts[row], self.read(texts[row]))]
        raised = logits_of([worst for _, worst in bold]) if bold else np.zeros((0, joined.shape[1]))
        for (row, _), one in zip(bold, raised, strict=True):
            most = np.minimum(one[columns], joined[row, columns] + _MOST_RAISED)
            joined[row, columns] = np.maximum(joined[row, columns], most)
        return joined

    def edits(self, text: str, logits_of: LogitsOf) -> list[list[Edit]]:
        """Return the edits of a canonical text that its other readings make, for the one text that is explained."""
        usual = self._edits(text, lambda word: self._known(word.lower()))
        found = [usual] if usual else []
        worst = self._edits(text, self._at_worst) if self._bold else []
        if worst and worst != usual and self._suspects(logits_of([text, self.read(text)]).max(axis=0, keepdims=True)):
            found.append(worst)
        return found

    def _suspects(self, logits: Logits) -> list[int]:
        """Return the rows of which the bold reading is taken."""
        return [row for row, one in enumerate(logits[:, self._columns]) if self._bold and (one >= _SUSPECT).any()]

    def _edits(self, text: str, meaning: Callable[[str], str | None]) -> list[Edit]:
        meant = ((word, meaning(word[0])) for word in _WORD.finditer(text))
        return [(*word.span(), known) for word, known in meant if known]

    def _meant(self, word: str) -> str | None:
        """Return what an unknown word stands for; None for one that is known, or that nothing is near."""
        if word in words.familiar():
            return None
        near = _near(word)
        first, harmful = words.best(near), words.best(near & self._charged)
        close = first and harmful and words.cost(harmful) - words.cost(first) <= _FARTHER
        return harmful if close else first

    def _at_worst(self, word: str) -> str | None:
        """Return what a word as it is written stands for at worst; names such as Mormon are no slips."""
        small = word.lower()
        return self._known(small) if word.istitle() and small in words.familiar() else self._worst(small)

    def _meant_at_worst(self, word: str) -> str | None:
        """Return the harmful word that a word may stand for, unless it is a usual one itself; else :meth:`_meant`."""
        harmful = None if word in self._charged else words.best((_near(word) & self._bold) - {word})
        if harmful and (word not in words.familiar() or words.cost(word) - words.cost(harmful) >= _COMMONER):
            return harmful
        return self._known(word)


def highest(logits: Logits, owners: Sequence[int], n: int) -> Logits:
    """Return the log-odds of `n` texts, shape (n, k), from those of their windows: each category's highest.

    Parameters
    ----------
    logits : ndarray
        float64, shape (n_windows, k).
    owners : sequence of int
        The text of each window.
    n : int
    """
    found = np.full((n, logits.shape[1]), -np.inf)
    np.maximum.at(found, list(owners), logits)
    return found


def _near(word: str) -> set[str]:
    """Return the usual words that are a slip away from a word, or it."""
    return _usual_index().near(word) if _SHORTEST <= len(word) <= _LONGEST else set()


@functools.cache
def usual_words() -> tuple[str, ...]:
    """Return the words that slips are read as, most frequent first."""
    usual = dict.fromkeys([*itertools.islice(words.costs(), _USUAL), *sorted(words.swears())])
    return tuple(word for word in usual if _SHORTEST <= len(word) <= _LONGEST)


@functools.cache
def _usual_index() -> SlipIndex:
    return SlipIndex(usual_words())
