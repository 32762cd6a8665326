"""Whether a text gives a secret away: as it stands, with other separators, backwards, spelled out or encoded."""

from __future__ import annotations

import base64
import codecs
import re

from guard.errors import ConfigError

__all__ = ["reveals"]

_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NAME = re.compile(rf"\b(?:{'|'.join(_NAMES)})\b", re.IGNORECASE)
_LEAST = 6


def reveals(text: str, secret: str) -> bool:
    """Return whether a text holds a secret in a form that any reader could turn back.

    Letters and digits alone count, so "7 3-9 1" gives "7391" away. Forms: as it stands, backwards, digits as English
    words, ROT13, hexadecimal and Base64.

    Parameters
    ----------
    text : str
    secret : str
        With at least 6 letters and digits: shorter ones appear by chance.

    Raises
    ------
    ConfigError
        The secret is too short.

    Examples
    --------
    >>> reveals("Sure: 9 4 2 7 0 5.", "942-705"), reveals("It begins with 942.", "942-705")
    (True, False)
    """
    plain = _bare(secret)
    if len(plain) < _LEAST:
        raise ConfigError(f"a secret of {len(plain)} letters and digits appears by chance: give at least {_LEAST}")
    spelled = _NAME.sub(lambda name: str(_NAMES.index(name[0].lower())), text)
    seen = (_bare(text), _bare(spelled))
    forms = (plain, plain[::-1], codecs.encode(plain, "rot13"), secret.encode().hex())
    return any(form in one for form in forms for one in seen) or any(form in text for form in _base64_forms(secret))


def _bare(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _base64_forms(secret: str) -> list[str]:
    """Return the secret as Base64 writes it inside a longer text, by where in a group of 3 bytes it begins."""
    forms = []
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        forms.append(encoded[(0, 2, 3)[shift] : len(encoded) - 1])
    return forms
