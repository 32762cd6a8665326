"""A text under attack as words in place: immutable, replaced word by word, with the way back to the original words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from guard.errors import ConfigError

__all__ = ["AttackedText", "split_words"]

# Word characters, and what stands for some of them: look-alikes of the hyphen, the apostrophe and the letter x. The
# underscore, the apostrophe, the hyphen, the asterisk and the at sign are part of a word inside it, never at its ends.
_END = r"(?:[^\W_]|[˗`×])"
_INSIDE = r"[\w˗`×'\-*@]"
_WORD = re.compile(rf"{_END}(?:{_INSIDE}*{_END})?")
_CHINESE = re.compile("[\u4e00-\u9fff]")
_NO_CHINESE = "(?![\u4e00-\u9fff])"
_WORD_OR_CHINESE = re.compile(
    rf"[\u4e00-\u9fff]|{_NO_CHINESE}{_END}(?:(?:{_NO_CHINESE}{_INSIDE})*{_NO_CHINESE}{_END})?"
)


def split_words(text: str) -> list[str]:
    """Return the words of a text, without punctuation, in order.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        Runs of letters, digits, underscores, apostrophes, hyphens, asterisks and at signs, without the last five at
        their ends. Case is kept. A Chinese character is a word by itself, since no dictionary is at hand.

    Notes
    -----
    The words of TextAttack 0.3.11 (``words_from_text``), except in Chinese, which that cuts with a dictionary.

    Examples
    --------
    >>> split_words("'Don't', she said - twice_")
    ["Don't", 'she', 'said', 'twice']
    """
    return [match.group() for match in _find_words(text)]


def _find_words(text: str) -> Iterator[re.Match[str]]:
    """Give a match for each word."""
    return (_WORD_OR_CHINESE if _CHINESE.search(text) else _WORD).finditer(text)


def _stands_alone(word: str) -> bool:
    """Tell whether a word, or nothing, is that wherever it stands in the place of another."""
    return not word or (_WORD.fullmatch(word) is not None and not _CHINESE.search(word))


@dataclass(frozen=True)
class AttackedText:
    """A text, and where it stands against the one that the attack began with.

    Parameters
    ----------
    text : str
    origin : tuple of int
        For each word of the original text its index in this one, -1 where it is gone.
    modified : frozenset of int
        Indices of this text's words that are not the original's.
    newly_modified : frozenset of int
        Those of them that the last change made.
    similarity : float or None
        To the original text, where a constraint measured it; a search may choose by it.

    Examples
    --------
    >>> text = AttackedText.of("A fine, quiet day.")
    >>> text.replace(1, "dull").delete(2).text
    'A dull, day.'
    >>> text.delete(1).origin
    (0, -1, 1, 2)
    """

    text: str
    origin: tuple[int, ...]
    modified: frozenset[int] = frozenset()
    newly_modified: frozenset[int] = frozenset()
    similarity: float | None = None

    @classmethod
    def of(cls, text: str) -> AttackedText:
        """Begin with a text as it stands."""
        begun = cls(text, ())
        return replace(begun, origin=tuple(range(begun.n_words)))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words in order, as :func:`split_words` gives them."""
        return tuple(split_words(self.text))

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The character offset of each word."""
        return tuple(match.start() for match in _find_words(self.text))

    @property
    def n_words(self) -> int:
        """How many words there are."""
        return len(self.words)

    def span(self, index: int) -> tuple[int, int]:
        """Return the half-open range of characters of the word at `index`."""
        start = self.starts[self._checked(index)]
        return start, start + len(self.words[index])

    def replace(self, index: int, words: str) -> AttackedText:
        """Return the text with other words in the place of one.

        Parameters
        ----------
        index : int
            Of a word, from 0.
        words : str
            One word, several with spaces between them, or none, which deletes the word.

        Raises
        ------
        ConfigError
            There is no word at `index`.
        """
        return self._with(index, words) if words and _stands_alone(words) else self.replace_many({index: words})

    def _with(self, index: int, word: str) -> AttackedText:
        """Put one word in the place of another: what searches do thousands of times."""
        start, end = self.span(index)
        new = frozenset() if word == self.words[index] else frozenset((index,))
        changed = AttackedText(self.text[:start] + word + self.text[end:], self.origin, self.modified | new, new)
        changed._take_words(self, index, word)
        return changed

    def delete(self, index: int) -> AttackedText:
        """Return the text without one word and without the space before it (after it, when it is the first)."""
        return self.replace(index, "")

    def insert_before(self, index: int, words: str) -> AttackedText:
        """Return the text with words put before the word at `index`."""
        return self.replace(index, f"{words} {self.words[self._checked(index)]}")

    def insert_after(self, index: int, words: str) -> AttackedText:
        """Return the text with words put behind the word at `index`."""
        return self.replace(index, f"{self.words[self._checked(index)]} {words}")

    def replace_many(self, changes: Mapping[int, str]) -> AttackedText:
        """Return the text with several words replaced at once, as :meth:`replace` does for one.

        Parameters
        ----------
        changes : mapping of int to str
            Index of a word to what stands there then.

        Raises
        ------
        ConfigError
            There is no word at an index.
        """
        rebuilt, at = "", 0
        places = _Places(self.origin, self.modified)
        for index in sorted(changes):
            start, end = self.span(index)
            rebuilt += self.text[at:start]
            new, at = changes[index], end
            n_new = len(new) and 1 if _stands_alone(new) else len(split_words(new))
            places.change(index, self.words[index], new, n_new)
            if not n_new and at < len(self.text):
                if index == 0:
                    at += self.text[at] == " "
                else:
                    rebuilt = rebuilt.removesuffix(" ")
            rebuilt += new
        new_places = frozenset(places.newly_modified)
        changed = AttackedText(rebuilt + self.text[at:], places.origin, frozenset(places.modified), new_places)
        if len(changes) == 1:
            changed._take_words(self, *next(iter(changes.items())))
        return changed

    def _take_words(self, before: AttackedText, index: int, new: str) -> None:
        """Work out the words from those of the text before, where one was replaced, instead of splitting anew.

        Most candidates are only scored, and splitting all of them would take longer than everything else here.
        """
        if _stands_alone(new) and not _CHINESE.search(before.words[index]):
            words = (*before.words[:index], *([new] if new else []), *before.words[index + 1 :])
            self.__dict__["words"] = words

    def of_original(self, indices: list[int]) -> list[int]:
        """Return where words of the original are now, -1 for those that are gone."""
        return [self.origin[index] for index in indices]

    def differing(self, other: AttackedText) -> set[int]:
        """Return the indices, up to the end of the shorter text, at which the words of two texts differ."""
        return {i for i, (mine, theirs) in enumerate(zip(self.words, other.words, strict=False)) if mine != theirs}

    def window(self, index: int, n_words: int) -> str:
        """Return the stretch of the text with `n_words` words around the word at `index`, shifted inwards at the ends.

        Parameters
        ----------
        index : int
        n_words : int
            At least 1; an infinite window is ``n_words=text.n_words``.
        """
        half = (n_words - 1) / 2
        if index < half:
            first, final = 0, min(n_words, self.n_words) - 1
        elif index + half >= self.n_words:
            first, final = max(0, self.n_words - n_words), self.n_words - 1
        else:
            first, final = index - math.ceil(half), index + math.floor(half)
        return self.text[self.span(first)[0] : self.span(final)[1]]

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.n_words:
            raise ConfigError(f"no word {index} in a text of {self.n_words} words; give one from 0 on")
        return index


class _Places:
    """Where the original words are and which words are changed, while words are replaced from left to right."""

    def __init__(self, origin: tuple[int, ...], modified: frozenset[int]) -> None:
        self.origin, self.modified = origin, modified
        self.newly_modified: set[int] = set()
        self._shift = 0

    def change(self, index: int, old: str, new: str, n_new: int) -> None:
        """Take note that `n_new` words stand where the word at `index` stood."""
        grown = n_new - 1
        if grown:
            self.modified = frozenset(i + grown * (i > index) for i in self.modified if i != index)
            stays = grown < 0 or split_words(new)[0] == old
            self.origin = tuple(self._moved(i, index, grown, stays=stays) for i in self.origin)
        if new != old:
            places = range(index + self._shift, index + self._shift + n_new)
            self.modified |= frozenset(places)
            self.newly_modified.update(places)
        self._shift += grown

    @staticmethod
    def _moved(place: int, index: int, grown: int, *, stays: bool) -> int:
        if place == index:
            return -1 if grown < 0 else place if stays else place + grown
        return place + grown if place > index else place
