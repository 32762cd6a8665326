"""How much a text reads like English: the cost of words in nats, and which known word an odd spelling stands for."""

from __future__ import annotations

import functools
import gzip
import itertools
import math
import re
import string
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import TypeVar

from guard.views.one_slip import SlipIndex
from guard.views.word_index import WordIndex

__all__ = [
    "best",
    "collapsed",
    "cost",
    "costs",
    "familiar",
    "is_inflected",
    "leet",
    "lettered",
    "masked",
    "mended",
    "near",
    "near_swear",
    "skeleton",
    "swears",
    "unstretched",
]

K = TypeVar("K")

_UNKNOWN_BASE, _UNKNOWN_LETTER = 4.0, 3.0  # nats: an unknown word is its letters, nearly evenly drawn
_CONTRACTIONS = """
aren't can't couldn't didn't doesn't don't hadn't hasn't haven't he'd he'll he's i'd i'll i'm i've isn't it'd it'll
it's let's she'd she'll she's shouldn't that's there's they'd they'll they're they've wasn't we'd we'll we're we've
weren't what's who's won't wouldn't y'all you'd you'll you're you've
"""
_REPEATS = re.compile(r"(.)\1+")
_LEAST_SLIPPED, _LEAST_MENDED, _LONGEST_MENDED, _MOST_MENDED = 3, 4, 14, 12_000
_LEAST_NEAR = 5
_RARE = 12.0  # nats
_ENDINGS = ("s", "es", "ed", "er", "ers", "ing", "ly", "y", "less", "ness")
_WILD = "."

LEET: Mapping[str, str] = {
    **dict.fromkeys("1!|l¡", "i"),
    **dict.fromkeys("4@", "a"),
    **dict.fromkeys("3€£", "e"),
    **dict.fromkeys("0ø°", "o"),
    **dict.fromkeys("5$§z", "s"),
    **dict.fromkeys("7+†", "t"),
    **dict.fromkeys("8ß", "b"),
    **dict.fromkeys("96", "g"),
    **dict.fromkeys("(<¢", "c"),
    **dict.fromkeys("×%", "x"),
    "¥": "y",
}
"""A sign or letter to the letter that stands for its class in a skeleton."""

_SKELETON = str.maketrans(dict(LEET))


@functools.cache
def _lists() -> tuple[tuple[str, ...], frozenset[str]]:
    data = resources.files("guard.views").joinpath("words.txt.gz").read_bytes()
    words, _, swears_ = gzip.decompress(data).decode("ascii").partition("\n\n")
    return tuple(words.split("\n")), frozenset(swears_.split("\n"))


@functools.cache
def costs() -> Mapping[str, float]:
    """Return the cost in nats of every known word: minus the logarithm of its frequency by Zipf's law."""
    words = _lists()[0]
    scale = math.log(len(words))
    return {word: math.log((rank + 1) * scale) for rank, word in enumerate(words)}


@functools.cache
def swears() -> frozenset[str]:
    """Return the strong swear words of the public lexicon."""
    return _lists()[1]


@functools.cache
def familiar() -> frozenset[str]:
    """Return all that needs no second look as a whole: the known words and their contractions."""
    return frozenset(costs()) | frozenset(_CONTRACTIONS.split())


def cost(word: str) -> float:
    """Return the cost of a word of small letters."""
    found = costs().get(word)
    return _UNKNOWN_BASE + _UNKNOWN_LETTER * len(word) if found is None else found


def is_inflected(word: str) -> bool:
    """Whether a word is a known one with an English ending, so that it is no slip."""
    stems = (word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending))
    return any(stem in costs() or f"{stem}e" in costs() or stem[:-1] in costs() for stem in stems if len(stem) > 2)


def best(words: Iterable[str]) -> str | None:
    """Return the most frequent of some words; None of none."""
    return min(words, key=cost, default=None)


def collapsed(word: str) -> str:
    """Return a word with each letter that is repeated written once."""
    return _REPEATS.sub(r"\1", word)


def skeleton(word: str) -> str:
    """Return a word with signs and the letters they stand for made one."""
    return word.translate(_SKELETON)


def leet(word: str) -> str | None:
    """Return the known word that was written with signs for some letters, and perhaps with letters repeated."""
    key = skeleton(word)
    found = [known for known in _by_skeleton().get(key) if skeleton(known) == key]
    if not found and _REPEATS.search(key):
        short = collapsed(key)
        stretched = (known for known in _by_leet_collapse().get(short) if collapsed(skeleton(known)) == short)
        return best(known for known in stretched if len(known) <= len(word))
    return min(found, key=lambda known: (_mismatches(word, known), cost(known)), default=None)


def lettered(word: str) -> str:
    """Return a word with the likeliest letter for each sign."""
    return "".join(char if char.isalpha() else LEET.get(char, char) for char in word)


def _mismatches(word: str, known: str) -> int:
    return sum(a.isalpha() and a != b for a, b in zip(word, known, strict=True))


@functools.cache
def _by_skeleton() -> WordIndex:
    return WordIndex(costs(), lambda word: (skeleton(word),))


@functools.cache
def _by_collapse() -> WordIndex:
    return WordIndex((word for word in costs() if len(word) > 1), lambda word: (collapsed(word),))


@functools.cache
def _by_leet_collapse() -> WordIndex:
    return WordIndex((word for word in costs() if len(word) > 2), lambda word: (collapsed(skeleton(word)),))


def unstretched(word: str) -> str | None:
    """Return the known word that was written with some of its letters repeated."""
    lengths = [len(run[0]) for run in re.finditer(r"(.)\1*", word)]
    short = collapsed(word)
    alike = (known for known in _by_collapse().get(short) if collapsed(known) == short)
    return best(known for known in alike if _fits(known, lengths))


def _fits(known: str, lengths: list[int]) -> bool:
    """Whether no letter is repeated less often than in the known word."""
    return all(len(run[0]) <= n for run, n in zip(re.finditer(r"(.)\1*", known), lengths, strict=True))


@functools.cache
def _by_shape() -> Mapping[tuple[int, str], tuple[str, ...]]:
    return _grouped(((len(word), word[0]), word) for word in costs() if len(word) > 2)


@functools.lru_cache(maxsize=1 << 12)
def masked(pattern: str) -> str | None:
    """Return the most frequent known word that a pattern of letters and dots, which stand for any letter, fits."""
    matches = re.compile(pattern).fullmatch
    firsts = string.ascii_lowercase if pattern[0] == _WILD else pattern[0]
    return best(word for first in firsts for word in _by_shape().get((len(pattern), first), ()) if matches(word))


@functools.cache
def _mendable() -> SlipIndex:
    usual = itertools.islice(costs(), _MOST_MENDED)
    return SlipIndex(word for word in {*usual, *swears()} if _LEAST_SLIPPED <= len(word) <= _LONGEST_MENDED)


def near(word: str) -> set[str]:
    """Return the usual words of three letters and more that a word is one slip away from."""
    return _mendable().near(word) if _LEAST_SLIPPED <= len(word) <= _LONGEST_MENDED + 1 else set()


@functools.lru_cache(maxsize=1 << 14)
def mended(word: str) -> str | None:
    """Return the most frequent known word within one slip: a letter dropped, added, exchanged, or two swapped."""
    return best(known for known in near(word) if len(known) >= _LEAST_MENDED) if len(word) >= _LEAST_MENDED else None


@functools.cache
def _usual_swears() -> SlipIndex:
    return SlipIndex(word for word in swears() if _LEAST_NEAR <= len(word) <= _LONGEST_MENDED and cost(word) < _RARE)


def near_swear(word: str) -> str | None:
    """Return the swear word within one slip inside the word; names such as Fuchs have the slip at an end."""
    if not _LEAST_NEAR <= len(word) <= _LONGEST_MENDED + 1:
        return None
    return best(known for known in _usual_swears().near(word) if (word[0], word[-1]) == (known[0], known[-1]))


def _grouped(pairs: Iterable[tuple[K, str]]) -> Mapping[K, tuple[str, ...]]:
    groups: dict[K, list[str]] = {}
    for key, word in pairs:
        groups.setdefault(key, []).append(word)
    return {key: tuple(group) for key, group in groups.items()}
