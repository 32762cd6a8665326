"""What the encoder reads in place of a text: its canonical form, with emoji spelled out and endless words broken up."""

from __future__ import annotations

import functools
import re
import unicodedata

from guard.canonical import canonicalize
from guard.filters.grams import HAN
from guard.offsets import Canonical, Edit, edited

__all__ = ["emoji_name", "encoder_text"]

_NAME_WORDS = 4
_HAN_RUN = re.compile(f"[{HAN}]+")
_LONG_RUN = re.compile(r"\S{64}(?=\S)")
# Runs of one emoji count once; skin tones, joiners and variation selectors go with the emoji before them.
_EMOJI = re.compile(
    "([\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff])(?:\\1|[\u200d\ufe0e\ufe0f\U0001f3fb-\U0001f3ff])*"
)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)


@functools.lru_cache(maxsize=4096)
def emoji_name(char: str) -> str:
    """Return the Unicode name of an emoji in at most four lower-case words, or "" for a character without a name.

    Parameters
    ----------
    char : str
        One character. The letters that flags are made of give that letter.

    Examples
    --------
    >>> emoji_name("\U0001f412"), emoji_name("\U0001f62d")
    ('monkey', 'loudly crying face')
    """
    if ord(char) in _FLAG_LETTERS:
        return chr(ord(char) - _FLAG_LETTERS[0] + ord("a"))
    return " ".join(unicodedata.name(char, "").lower().replace("-", " ").split()[:_NAME_WORDS])


def encoder_text(text: str, *, emoji_names: bool) -> Canonical:
    r"""Return what the tokeniser is given, with its way back to the original.

    Parameters
    ----------
    text : str
    emoji_names : bool
        Spell emoji out: to WordPiece nearly every emoji is the same unknown token.

    Returns
    -------
    Canonical
        A run of over 64 characters without a space is broken up, since WordPiece makes one unknown token of a run of
        over 100: a place to hide. A typeset apostrophe becomes the typewriter's, which public text mostly has. Chinese
        goes: single signs without order are all that an English vocabulary makes of it.

    Examples
    --------
    >>> encoder_text("so sad\U0001f62d\U0001f62d", emoji_names=True).text
    'so sad loudly crying face '
    """
    form = canonicalize(text)
    edits: list[Edit] = []
    if emoji_names and not form.text.isascii():
        edits += [
            (found.start(), found.end(), f" {name} " if (name := emoji_name(found.group(1))) else " ")
            for found in _EMOJI.finditer(form.text)
        ]
    if not form.text.isascii():
        edits += [(at.start(), at.end(), "'") for at in re.finditer("\u2019", form.text)]
        edits += [(at.start(), at.end(), " ") for at in _HAN_RUN.finditer(form.text)]
        form = edited(form, sorted(edits))
    return edited(form, [(run.end(), run.end(), " ") for run in _LONG_RUN.finditer(form.text)])
