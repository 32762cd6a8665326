"""Letters of other scripts that stand in for Latin ones in a word: which words, and which letters."""

from __future__ import annotations

import functools
import itertools
import json
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

__all__ = ["loosened", "to_latin"]

# Scripts written without spaces, and with no Latin look-alikes, end a word: a Latin word inside Chinese is a word.
_WORD = re.compile(
    r"[^\W_\u0e00-\u0eff\u1100-\u11ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_NEUTRAL = ""
_LATIN = "LATIN"

# Lower-case letters that UTS #39 pairs with small capitals, but that people write for the Latin letter. Only
# where the word is mixed anyway: as whole words they are ordinary Russian and Greek.
_LOOSE: Mapping[str, str] = {
    **{"к": "k", "т": "t", "м": "m", "п": "n", "в": "b", "н": "h"},
    **{"κ": "k", "τ": "t", "η": "n", "ω": "w", "β": "b", "ε": "e", "χ": "x", "ς": "c"},
}
# The same letters in another hand, and small capitals that differ from small letters in nothing.
_ALIKE: Mapping[str, str] = dict(zip("ɑɡᴄᴏꜱᴜᴠᴡᴢ", "agcosuvwz", strict=True))

_ODD: Mapping[str, str] = {
    **dict(zip("ƒɩʝɭɱɳɲɾʂſʈʉʋʐɓɕɖɗɦƙƭ", "fijlmnnrsstuvzbcddhkt", strict=True)),
    **dict(zip("αβγδεζηθικλμνορστυφχωσ", "abydeznoikamvopotuoxwo", strict=True)),
}

# Palochka and letters of old or small alphabets: no language puts them before or after a Latin word.
_NO_AFFIX = frozenset("ӏԁԛԝѵһ")


@dataclass
class _Census:
    """Words of the text by script: Latin ones, genuine foreign ones, and ones of look-alikes alone."""

    latin: int = 0
    small: int = 0
    genuine: Counter[str] = field(default_factory=Counter)
    lookalike: Counter[str] = field(default_factory=Counter)

    def disguised(self, script: str) -> bool:
        """Whether words made of this script's look-alikes alone are Latin in disguise."""
        seen = self.lookalike[script]
        return seen > 2 * self.genuine[script] and self.latin >= self.lookalike.total()


def to_latin(text: str) -> str:
    """Return `text` with Latin letters in place of look-alikes of other scripts; the length stays the same.

    A look-alike gives way only where its word mixes it with Latin letters, or where a word consists of nothing
    else in a text that is otherwise Latin. Russian, Greek, Armenian or Cherokee words, symbols such as "TNFα",
    "Δt" or "μm", and phonetic spelling stay.

    Parameters
    ----------
    text : str
        In NFKC.

    Returns
    -------
    str
        Of the same length; a second application changes nothing.
    """
    if text.isascii() or _replaceable().isdisjoint(text):
        return text
    census, suspects = _take_census(text)
    pieces, place = [], 0
    for start, word in suspects:
        pieces += [text[place:start], _rewritten(word, census)]
        place = start + len(word)
    return "".join([*pieces, text[place:]])


def loosened(word: str) -> str:
    """Return a word with every look-alike, small capital and odd Latin letter written in ASCII.

    For a reading beside the text, where the result has to be a known word: as a rule it would garble other languages.
    """
    return word.translate(_loosening()).lower()


def _take_census(text: str) -> tuple[_Census, list[tuple[int, str]]]:
    """Count the words, and list those that hold a look-alike."""
    census, suspects = _Census(), []
    replaceable = _replaceable()
    for match in _WORD.finditer(text):
        word = match[0]
        if word.isascii():
            census.latin += not word.isdigit()
        elif replaceable.isdisjoint(word):
            _count(census, {_script(word[0])} - {_NEUTRAL}, word)
        else:
            suspects.append((match.start(), word))
            census.small += _is_small(word)
            _count(census, set(map(_script, word)) - {_NEUTRAL}, word)
    return census, suspects


def _count(census: _Census, scripts: set[str], word: str) -> None:
    if _LATIN in scripts:
        census.latin += 1
    elif len(scripts) == 1:
        (script,) = scripts
        kind = census.lookalike if _wholly(word, _strict()) else census.genuine
        kind[script] += 1
    elif scripts and _wholly(word, _strict()):
        census.latin += 1  # will be rewritten, whatever the rest of the text says


def _wholly(word: str, table: Mapping[str, str]) -> bool:
    return all(char in table or not _script(char) for char in word)


def _rewritten(word: str, census: _Census) -> str:
    scripts = set(map(_script, word)) - {_NEUTRAL}
    if scripts == {_LATIN}:
        return _plain_latin(word, census)
    if _LATIN not in scripts:
        mixed = len(scripts) > 1
        disguised = _wholly(word, _strict()) and (mixed or census.disguised(*scripts))
        return _mapped(word, _strict()) if disguised else word
    return _mapped(word, _loose()) if _is_disguise(word, scripts - {_LATIN}, census) else word


def _is_disguise(word: str, foreign: set[str], census: _Census) -> bool:
    """Whether a word of Latin and foreign letters is a Latin word written with look-alikes."""
    letters = [char for char in word if _script(char)]
    sides = [_script(char) == _LATIN for char in letters]
    switches = sum(a != b for a, b in itertools.pairwise(sides))
    if switches > 1:
        return True
    # One switch: a prefix or a suffix. Genuine in "PDFку" beside Russian words, and in symbols with Greek.
    part = "".join(char for char in letters if _script(char) != _LATIN)
    if not _wholly(part, _loose()):
        return False
    if not _NO_AFFIX.isdisjoint(part):
        return True
    if any(census.genuine[script] for script in foreign):
        return False
    if len(letters) > 2 and word.isupper() and _wholly(part, _strict()):
        return True
    at_switch = letters[sides.index(True)] if not sides[0] else letters[sides.index(False) - 1]
    symbol = "GREEK" in foreign and (len(letters) <= 2 or at_switch.isupper())
    return not symbol


def _is_small(word: str) -> bool:
    """Whether at least two letters, and half of the word, are small capitals."""
    n_small = sum(char in _small_capitals() for char in word)
    return n_small >= 2 and 2 * n_small >= len(word)


def _plain_latin(word: str, census: _Census) -> str:
    """Undo small capitals where they make up half a word, and letters that look alike beside ASCII ones.

    A single small capital is a word of its own beside such words only: phonetic spelling has single ones too.
    """
    small = _small_capitals()
    if _is_small(word) or (census.small and len(word) == 1):
        word = _mapped(word, small)
    rest_is_ascii = all(char.isascii() or char in _ALIKE for char in word)
    return _mapped(word, _ALIKE) if rest_is_ascii else word


def _mapped(word: str, table: Mapping[str, str]) -> str:
    return "".join(table.get(char, char) for char in word)


@functools.lru_cache(maxsize=1 << 16)
def _script(char: str) -> str:
    """Script of a letter, by its Unicode name; neutral for all else."""
    if char.isascii():
        return _LATIN if char.isalpha() else _NEUTRAL
    if not char.isalpha() or unicodedata.category(char) == "Lm":
        return _NEUTRAL
    return unicodedata.name(char, "UNKNOWN").split()[0]


@functools.cache
def _strict() -> Mapping[str, str]:
    """Single letters of left-to-right scripts other than Latin to the ASCII letter they look like (UTS #39)."""
    data = resources.files("confusable_homoglyphs").joinpath("confusables.json").read_text(encoding="utf-8")
    known, table = json.loads(data), {}
    for latin in string.ascii_letters:
        for entry in known.get(latin, ()):
            char = entry["c"]
            if len(char) == 1 and _script(char) not in (_LATIN, _NEUTRAL) and unicodedata.bidirectional(char) == "L":
                # The standard's class of I and l carries the name of l.
                table[char] = "I" if latin == "l" and char.isupper() else latin
    # The standard pairs the small palochka with i; every common font draws it as l.
    return {**table, "ӏ": "l"}


@functools.cache
def _loose() -> Mapping[str, str]:
    return {**_strict(), **_LOOSE}


@functools.cache
def _loosening() -> dict[int, str]:
    return str.maketrans({**_ODD, **_small_capitals(), **_loose(), **_ALIKE})


@functools.cache
def _small_capitals() -> Mapping[str, str]:
    names = {letter.lower(): f"LATIN LETTER SMALL CAPITAL {letter}" for letter in string.ascii_uppercase}
    found = {}
    for letter, name in names.items():
        try:
            found[unicodedata.lookup(name)] = letter
        except KeyError:  # Q and X have none
            continue
    return found


@functools.cache
def _replaceable() -> frozenset[str]:
    return frozenset(_loose()) | frozenset(_small_capitals()) | frozenset(_ALIKE)
