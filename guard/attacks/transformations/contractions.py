"""English contractions written out, and what can be contracted contracted: the meaning stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from guard.attacks.schema import Ask, Kind, RandomSource
from guard.attacks.transformations.swapping import swap_words
from guard.attacks.words import AttackedText

__all__ = ["Contract", "WriteOut"]

_NOT = "are can could did does do had has have is might must need should was were would"
_ENDINGS = {
    "is": ("'s", "he how it she that there what when where who why"),
    "are": ("'re", "they we what who you"),
    "will": ("'ll", "he i it she that there they we what who you"),
    "would": ("'d", "he i it she they we who you"),
    "have": ("'ve", "could i might must should they we who would you"),
    "am": ("'m", "i"),
}


def _written_out() -> dict[str, str]:
    table = {"can't": "can not", "won't": "will not", "shan't": "shall not"}
    table |= {f"{verb}n't": f"{verb} not" for verb in _NOT.split() if verb != "can"}
    for verb, (ending, subjects) in _ENDINGS.items():
        table |= {subject + ending: f"{subject} {verb}" for subject in subjects.split()}
    return table


_WRITTEN_OUT = _written_out()
_CONTRACTED = {tuple(out.split()): short for short, out in _WRITTEN_OUT.items()}


def _like(word: str, new: str) -> str:
    """Give `new` the first letter of `word` as it is, and write "i" as English does."""
    new = new[0].upper() + new[1:] if word[0].isupper() else new
    return "I" + new[1:] if new == "i" or new.startswith(("i ", "i'")) else new


@dataclass(frozen=True)
class WriteOut:
    """A contraction becomes the words that it stands for.

    Source: Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList", invariance tests.
    """

    @property
    def kind(self) -> Kind:
        """A word for a word."""
        return "swap"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask."""
        return swap_words(asks, self._replacements)

    def _replacements(self, word: str, _: RandomSource) -> list[str]:
        out = _WRITTEN_OUT.get(word.lower())
        return [] if out is None else [_like(word, out)]


@dataclass(frozen=True)
class Contract:
    """Two words one after the other become their contraction. Both must be words that may change."""

    @property
    def kind(self) -> Kind:
        """A word for a word."""
        return "swap"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask."""
        return [self._contracted(ask) for ask in asks]

    def _contracted(self, ask: Ask) -> list[AttackedText]:
        words, text = ask.text.words, ask.text.text
        found = []
        for first in sorted(ask.indices):
            if first + 1 not in ask.indices:
                continue
            (start, end), (start_next, end_next) = ask.text.span(first), ask.text.span(first + 1)
            short = _CONTRACTED.get((words[first].lower(), words[first + 1].lower()))
            if short is not None and text[end:start_next].isspace():
                short = _like(words[first], short)
                placed = ask.text.replace_many({first: short, first + 1: ""})
                # Whatever space was between the two goes with it.
                found.append(replace(placed, text=text[:start] + short + text[end_next:]))
        return found
