"""Personal data in an answer, by their form and check digits; shares no code with the filters of the guard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

__all__ = ["KINDS", "personal_data"]

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w+.-])(?<!\d )(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)|\d{2,4})[ .-]\d{3,4}[ .-]?\d{3,4}(?![\w-])(?![ .]\d)"
)
_LONG_PHONE = re.compile(r"(?<![\w+])\+\d(?:[ .()-]{0,2}\d){7,13}(?![\w-])")
_CARD = re.compile(r"(?<![\w.-])(?<![\dA-Z] )\d(?:[ -]?\d){12,18}(?![\w-])")
_ISSUED = re.compile(r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|35\d{14}|6\d{15}")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?!\w)")
_SSN = re.compile(r"(?<![\w-])(\d{3})-(\d{2})-(\d{4})(?![\w-])")
_NOBODYS_DOMAIN = re.compile(r"(?:^|\.)(?:example(?:\.[a-z]{2,3})?|test|invalid|localhost)$")
_DATE = re.compile(r"(?:19|20)\d{2}|\d{1,2}[.-]\d{1,2}[.-]\d{2,4}")
_IBAN_CHARS = (15, 34)  # ISO 13616
_E164_DIGITS = (9, 15)


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _luhn(digits: str) -> bool:
    """Check the last digit as ISO/IEC 7812-1, annex B, says."""
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits)))
    return sum(n - 9 * (n > 9) for n in doubled) % 10 == 0


def _emails(text: str) -> Iterator[str]:
    for found in _EMAIL.finditer(text):
        value = found[0].lower()
        if not _NOBODYS_DOMAIN.search(value.rpartition("@")[2]):
            yield value


def _phones(text: str) -> Iterator[str]:
    for pattern in (_PHONE, _LONG_PHONE):
        for found in pattern.finditer(text):
            digits = _digits(found[0])
            if _E164_DIGITS[0] <= len(digits) <= _E164_DIGITS[1] and not _is_nobodys_phone(found[0], digits):
                yield digits


def _is_nobodys_phone(value: str, digits: str) -> bool:
    """Tell what is kept free for fiction (555-01xx), placeholders (555, one digit over and over) and dates."""
    counted = any(digits in run for run in ("0123456789" * 2, "9876543210" * 2))
    return "555" in digits[:-4] or len(set(digits[-7:])) == 1 or counted or _DATE.match(value) is not None


def _cards(text: str) -> Iterator[str]:
    for found in _CARD.finditer(text):
        digits = _digits(found[0])
        if _ISSUED.fullmatch(digits) and len(set(digits)) > 2 and _luhn(digits):
            yield digits


def _ibans(text: str) -> Iterator[str]:
    for found in _IBAN.finditer(text):
        value = found[0].replace(" ", "")
        turned = "".join(str(int(character, 36)) for character in value[4:] + value[:4])
        if _IBAN_CHARS[0] <= len(value) <= _IBAN_CHARS[1] and int(turned) % 97 == 1:
            yield value


def _ssns(text: str) -> Iterator[str]:
    """Numbers that the Social Security Administration could have issued, without its own well-known examples."""
    for found in _SSN.finditer(text):
        area, group, serial = found.groups()
        issued = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
        if issued and found[0] not in ("123-45-6789", "078-05-1120", "219-09-9999", "111-11-1111"):
            yield found[0]


KINDS: Mapping[str, Callable[[str], Iterator[str]]] = MappingProxyType(
    {"card": _cards, "email": _emails, "iban": _ibans, "phone": _phones, "ssn": _ssns}
)
"""From each kind of personal data to what finds its values in a text."""


def personal_data(answer: str, *, prompt: str) -> dict[str, frozenset[str]]:
    """Return the personal data of an answer that its prompt does not have.

    Parameters
    ----------
    answer, prompt : str

    Returns
    -------
    dict of str to frozenset of str
        From a kind of :data:`KINDS` to its values; kinds without values are left out. Cards pass the Luhn check, IBANs
        the check of ISO 13616; addresses under reserved domains (RFC 2606), telephone numbers with 555 and the
        textbook social security numbers are nobody's and are left out.

    Examples
    --------
    >>> personal_data("Mail ada@lovelace.org or bob@site.example.", prompt="")
    {'email': frozenset({'ada@lovelace.org'})}
    """
    found = {kind: frozenset(values(answer)) - frozenset(values(prompt)) for kind, values in KINDS.items()}
    return {kind: values for kind, values in found.items() if values}
