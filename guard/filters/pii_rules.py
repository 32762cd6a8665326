"""How far each recogniser of personal data is believed: its form, its check, and the words beside it."""

from __future__ import annotations

import functools
import ipaddress
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CONTEXT_AFTER", "CONTEXT_BEFORE", "RULES", "Rule", "Window", "read_rules", "score_of"]

RULES = Path(__file__).with_name("pii.toml")
CONTEXT_BEFORE, CONTEXT_AFTER = 60, 25
_CONTEXT_GAIN, _LEAST_WITH_CONTEXT = 0.35, 0.6
_NAMED_OTHERWISE_SCORE = 0.2
_PERHAPS_VERSION_SCORE = 0.4
_SMALL_PARTS = 32
_PROVEN = 1.0  # Presidio's score where its own check confirms
_WEAK_FORM, _WEAK_FORM_SCORE = 0.1, 0.3  # Presidio's score of a form that is any number, and ours
_BARE_PHONE_DIGITS, _FORMED_PHONE_SCORE, _ODD_PHONE_SCORE = 10, 0.55, 0.35
_AREA_CODE_FORM = re.compile(r"(?!\d{10})\(?\d{3}\)?[-. ]?\d{3}[-. ]?\d{4}\Z|\(?0\d{1,4}\)?[ /-]\d[\d -]{4,}\Z")
_NAMED_OTHERWISE = re.compile(
    r"\b(?:isbn|issn|doi|order|invoice|tracking|ticket|case|ref|reference|version|release|build|sku|model|serial|"
    r"part|commit|revision|timestamp|flight|room|population|volume|issue|item|product|barcode|upc|ean|patent|error|"
    r"account|confirmation|booking|policy|claim|transaction|receipt|batch|lot)\b"
)
_VERSION = re.compile(r"(?:\bv|\bversion|\brelease|\bbuild|\bupdate|\bupgrade(?:d)?(?: to)?|==|>=|~=|\bfirmware) ?\Z")
_SURE = frozenset(("pii_email", "pii_card", "pii_bank", "pii_crypto"))
_DIGITS = re.compile(r"\d")
_MIXED = re.compile("[A-Za-z][0-9]|[0-9][A-Za-z]")


@dataclass(frozen=True)
class Window:
    """What rules ask about a piece of text before they try it.

    Parameters
    ----------
    text : str
        The piece, as recognisers read it.
    near : str
        The piece and what stands around it, in lower case.
    """

    text: str
    near: str

    @functools.cached_property
    def n_digits(self) -> int:
        """Count its digits."""
        return len(_DIGITS.findall(self.text))

    @functools.cached_property
    def lowered(self) -> str:
        """Put it into lower case."""
        return self.text.lower()

    @functools.cached_property
    def is_mixed(self) -> bool:
        """Whether a letter and a digit touch."""
        return _MIXED.search(self.text) is not None


@dataclass(frozen=True)
class Rule:
    """How far a recogniser is believed; see pii.toml."""

    recognizer: str
    category: str
    checked: float
    unchecked: float
    context: tuple[str, ...]
    needs_context: bool
    digits: int
    hints: tuple[str, ...]
    mixed: bool

    def fits(self, window: Window) -> bool:
        """Whether the recogniser could find anything there: trying costs a hundred times what asking costs."""
        return (
            window.n_digits >= self.digits
            and (not self.hints or any(hint in window.lowered for hint in self.hints))
            and (window.is_mixed or not self.mixed)
            and (not self.needs_context or (self.words is not None and self.words.search(window.near) is not None))
        )

    @functools.cached_property
    def words(self) -> re.Pattern[str] | None:
        """Find a context word; letters of scripts with spaces must not go on around it."""
        if not self.context:
            return None
        words = (rf"\b{re.escape(w)}\b" if w[-1].isascii() and w[-1].isalnum() else re.escape(w) for w in self.context)
        return re.compile("|".join(words))


def read_rules() -> tuple[Rule, ...]:
    """Read the rules of pii.toml, in its order."""
    tables = tomllib.loads(RULES.read_text(encoding="utf-8"))["recognizer"]
    return tuple(
        Rule(**{**table, "context": tuple(table["context"]), "hints": tuple(table["hints"])}) for table in tables
    )


def score_of(rule: Rule, value: str, confidence: float, lowered: str, start: int) -> float:
    """Return how sure a match is: raised by a context word, lowered by a word that names something else.

    Parameters
    ----------
    rule : Rule
    value : str
        What matched.
    confidence : float
        Presidio's, in [0, 1].
    lowered : str
        The whole text in lower case.
    start : int
        Where in it the match begins.

    Returns
    -------
    float
        May be over 1, by the gain of a context word.
    """
    score = rule.checked if confidence >= _PROVEN else rule.unchecked
    if confidence <= _WEAK_FORM:
        score = min(score, _WEAK_FORM_SCORE)
    if rule.recognizer == "PhoneRecognizer":
        score = _phone_score(value, rule)
    before = lowered[max(0, start - CONTEXT_BEFORE) : start]
    after = lowered[start + len(value) : start + len(value) + CONTEXT_AFTER]
    if score <= 0 or (rule.recognizer == "IpRecognizer" and _is_no_address(value, before)):
        return min(score, _NAMED_OTHERWISE_SCORE)
    if rule.words is not None and (rule.words.search(before) or rule.words.search(after)):
        return max(score + _CONTEXT_GAIN, _LEAST_WITH_CONTEXT)
    if rule.needs_context:
        return 0.0
    if rule.recognizer == "IpRecognizer" and _could_be_version(value):
        return _PERHAPS_VERSION_SCORE
    if rule.category not in _SURE and rule.words is not None and _NAMED_OTHERWISE.search(before[-30:]):
        return min(score, _NAMED_OTHERWISE_SCORE)
    return score


def _phone_score(value: str, rule: Rule) -> float:
    if value.startswith("+"):
        return rule.checked
    if _AREA_CODE_FORM.match(value):
        return _FORMED_PHONE_SCORE
    return rule.unchecked if value.isdigit() and len(value) >= _BARE_PHONE_DIGITS else _ODD_PHONE_SCORE


def _is_no_address(value: str, before: str) -> bool:
    """Whether an IP address is a version number, or one of those that lead to nobody."""
    if _VERSION.search(before):
        return True
    try:
        return not ipaddress.ip_address(value.partition("/")[0]).is_global
    except ValueError:
        return True


def _could_be_version(value: str) -> bool:
    """Whether the parts are so small that they count releases more often than they lead to a computer."""
    return all(part.isdigit() and int(part) < _SMALL_PARTS for part in value.split("."))
