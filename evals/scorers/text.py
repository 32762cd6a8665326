"""Diversity and repetition of texts, counted on their words; no model and no dependency."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from guard.errors import ConfigError

__all__ = ["distinct_n", "han_share", "ngrams", "repetition", "words"]

_HAN = (
    (0x3400, 0x4DBF),  # extension A
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),  # compatibility
    (0x20000, 0x3FFFF),  # later extensions
)
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    *_HAN,
)
"""Scripts written without spaces between words: there each character is taken as a word."""

_APOSTROPHES = {ord("'"): None, ord("’"): None}
"""Left out before splitting, so that "don't" is one word however it is typed."""


def words(text: str) -> list[str]:
    """Split a text into case-folded words.

    A word is a run of letters, digits and the marks that belong to them. Where a script has no spaces between words,
    each character is one. Punctuation, symbols and emoji separate words and are dropped.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> words("Don’t STOP: 3 café…")
    ['dont', 'stop', '3', 'café']
    """
    folded = unicodedata.normalize("NFC", text.translate(_APOSTROPHES)).casefold()
    return [word for word in "".join(_spaced(folded)).split(" ") if word]


def distinct_n(texts: Sequence[str], n: int) -> float | None:
    """Return the share of different n-grams among all n-grams of the texts.

    Distinct-n of Li et al. 2016 ("A diversity-promoting objective function for neural conversation models"), with the
    number of n-grams below the line where the paper has the number of words, so that no repetition gives 1 for
    every `n`. It falls as text gets longer: compare like amounts of text, or one text at a time.

    Parameters
    ----------
    texts : sequence of str
        One text, or a corpus. No n-gram spans two texts.
    n : int
        At least 1.

    Returns
    -------
    float or None
        In (0, 1], higher is more diverse; None where no text has `n` words.

    Raises
    ------
    ConfigError
        `n` is below 1.

    Examples
    --------
    >>> distinct_n(["the cat the cat"], 2)
    0.6666666666666666
    """
    if n < 1:
        raise ConfigError(f"n-grams of {n} words: n must be at least 1")
    found = [ngram for text in texts for ngram in ngrams(words(text), n)]
    return len(set(found)) / len(found) if found else None


def repetition(text: str, *, n: int = 4) -> float | None:
    """Return the share of n-grams of a text that repeat an earlier one.

    seq-rep-n of Welleck et al. 2020 ("Neural text generation with unlikelihood training"), whose n is 4: one minus the
    share of different n-grams.

    Parameters
    ----------
    text : str
    n : int, default 4
        At least 1.

    Returns
    -------
    float or None
        In [0, 1), higher is more repetitive; None where the text has fewer than `n` words.

    Raises
    ------
    ConfigError
        `n` is below 1.

    Examples
    --------
    >>> repetition("la la la la la", n=2)
    0.75
    """
    distinct = distinct_n([text], n)
    return None if distinct is None else 1 - distinct


def ngrams(tokens: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """Yield the n-grams of a text in order; none where it has fewer than `n` tokens."""
    return zip(*(tokens[start:] for start in range(n)), strict=False)


def han_share(text: str) -> float | None:
    """Return the share of the letters of a text that are Chinese characters.

    Digits, marks and punctuation are in every language and count for none. Kana and hangul are letters that are not
    Chinese, so Japanese has a share well below 1.

    Parameters
    ----------
    text : str

    Returns
    -------
    float or None
        In [0, 1]; None where there is no letter.

    Examples
    --------
    >>> han_share("你好，world"), han_share("123")
    (0.2857142857142857, None)
    """
    letters = [character for character in text if unicodedata.category(character)[0] == "L"]
    n_han = sum(any(first <= ord(character) <= last for first, last in _HAN) for character in letters)
    return n_han / len(letters) if letters else None


def _spaced(text: str) -> Iterator[str]:
    """Yield the text with a space wherever one word ends and another begins."""
    alone = False
    for character in text:
        kind = unicodedata.category(character)[0]
        if kind != "M":  # a mark stays with what it marks
            was_alone, alone = alone, any(first <= ord(character) <= last for first, last in _UNSPACED)
            if was_alone or alone:
                yield " "
        yield character if kind in "LMN" else " "
