"""Terms that stand for one another: read, found in texts, and exchanged with their case and their article kept."""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from guard.errors import DataError
from guard.explain.schema import Range

__all__ = ["Swap", "SwapSet", "read_swap_sets", "swaps_of"]

_VOWELS = frozenset("aeiou")


@dataclass(frozen=True)
class SwapSet:
    """Groups, and the words of each in forms that correspond.

    Parameters
    ----------
    name : str
        ``<kind>.<set>``, for example ``identity.religion``.
    groups : tuple of str
    forms : tuple of tuple of str
        Lower case; in each one word a group.
    before : tuple of str
        Words of which one must follow; none where any may.
    """

    name: str
    groups: tuple[str, ...]
    forms: tuple[tuple[str, ...], ...]
    before: tuple[str, ...] = ()

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """For each group what finds its words."""
        after = rf"(?=\s+(?:{'|'.join(map(re.escape, self.before))})\b)" if self.before else r"(?!\w)"
        words = [
            sorted({form[at] for form in self.forms}, key=lambda w: (-len(w), w)) for at in range(len(self.groups))
        ]
        return tuple(
            re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, group))}){after}", re.IGNORECASE) for group in words
        )

    def counterpart(self, group: int, word: str, other: int) -> str:
        """Return the word of another group in the form that a word has."""
        return next(form[other] for form in self.forms if form[group] == word.lower())


@dataclass(frozen=True)
class Swap:
    """A text in which one group's words were exchanged for another's.

    Parameters
    ----------
    set_name, group, other : str
    text : str
        After the exchange.
    ranges : tuple of (int, int)
        Of the words in the text before.
    """

    set_name: str
    group: str
    other: str
    text: str
    ranges: tuple[Range, ...]


def read_swap_sets(name: str) -> tuple[SwapSet, ...]:
    """Read the sets of a kind that ships, or of a file of the user's.

    Parameters
    ----------
    name : str
        ``identity``, ``topic``, or the path of a TOML file in the form of ``evals/data/swap_terms.toml``.

    Raises
    ------
    DataError
        No such kind or file, or it is none of that form; the message says where.
    """
    shipped = tomllib.loads(importlib.resources.files("evals").joinpath("data/swap_terms.toml").read_text("utf-8"))
    if name in shipped:
        return _sets({name: shipped[name]}, "swap_terms.toml")
    path = Path(name)
    try:
        if not path.is_file():
            raise DataError(f"--swap {name!r}: neither {' nor '.join(shipped)} nor a TOML file that is there")
        return _sets(tomllib.loads(path.read_text("utf-8")), name)
    except (OSError, ValueError) as error:
        raise DataError(
            f"--swap {name!r} cannot be read ({error}); give {', '.join(shipped)} or a TOML file"
        ) from error


def _sets(document: Mapping[str, Any], source: str) -> tuple[SwapSet, ...]:
    found = []
    for kind, sets in document.items():
        for name, given in sets.items() if isinstance(sets, dict) else [(kind, None)]:
            found.append(_set(f"{kind}.{name}", given, source))
    if not found:
        raise DataError(f"{source} holds no sets of terms; give [kind.name] with groups and forms")
    return tuple(found)


def _set(name: str, given: Any, source: str) -> SwapSet:
    known = {"groups", "forms", "before"}
    if not isinstance(given, dict) or not {"groups", "forms"} <= given.keys() <= known:
        raise DataError(f"{source}, {name}: a set has groups, forms and perhaps before, and nothing else")
    groups, forms, before = given["groups"], given["forms"], given.get("before", [])
    rows = [groups, before, *forms] if isinstance(forms, list) else [None]
    if not all(isinstance(row, list) and all(isinstance(word, str) and word.strip() for word in row) for row in rows):
        raise DataError(f"{source}, {name}: groups and before are lists of words, and forms a list of such lists")
    if len(groups) < 2 or not forms or any(len(form) != len(groups) for form in forms):
        raise DataError(f"{source}, {name}: it takes two groups or more, and one word a group in every form")
    lower = tuple(tuple(word.lower() for word in form) for form in forms)
    return SwapSet(name, tuple(groups), lower, tuple(word.lower() for word in before))


def swaps_of(text: str, sets: tuple[SwapSet, ...]) -> list[Swap]:
    """Return every exchange of a text: each group that it names, by each other group of the same set."""
    return [swap for one in sets for at in range(len(one.groups)) for swap in _swaps(text, one, at)]


def _swaps(text: str, terms: SwapSet, group: int) -> Iterator[Swap]:
    matches = [match.span() for match in terms.patterns[group].finditer(text)]
    for other in range(len(terms.groups)) if matches else ():
        if other == group:
            continue
        changed = _exchanged(text, matches, [terms.counterpart(group, text[a:b], other) for a, b in matches])
        if changed != text:
            yield Swap(terms.name, terms.groups[group], terms.groups[other], changed, tuple(matches))


def _exchanged(text: str, places: list[Range], words: list[str]) -> str:
    """Put words in places, in the case of what stood there, behind the article that they take."""
    done, at = "", 0
    for (start, end), word in zip(places, words, strict=True):
        done += _article(text[at:start], old=text[start:end], new=word) + _cased(word, text[start:end])
        at = end
    return done + text[at:]


def _article(before: str, *, old: str, new: str) -> str:
    """Write a for an, or an for a, where the new word begins otherwise."""
    found = re.search(r"(?<!\w)(an?)(\s+)$", before, re.IGNORECASE)
    vowels = [word[:1].lower() in _VOWELS for word in (old, new)]
    if found is None or vowels[0] == vowels[1]:
        return before
    article = found[1][0] + ("n" if vowels[1] else "")
    return before[: found.start()] + article + found[2]


def _cased(word: str, old: str) -> str:
    if old.isupper() and len(old) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if old[:1].isupper() else word
