"""Presidio's recognisers as the pii filter uses them, and those that Presidio lacks."""

from __future__ import annotations

import datetime
import importlib
import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, cast

import phonenumbers
import tldextract

from guard.errors import ConfigError
from guard.filters.pii_rules import read_rules
from guard.filters.private_package import PrivatePackage

if TYPE_CHECKING:
    from presidio_analyzer import LocalRecognizer, Pattern, PatternRecognizer, RecognizerResult
    from presidio_analyzer.nlp_engine import NlpArtifacts

__all__ = ["Recognizer", "recognizers"]

_PREDEFINED = "presidio_analyzer.predefined_recognizers"
_IBAN = f"{_PREDEFINED}.generic.iban_patterns"
_BASES = ("LocalRecognizer", "Pattern", "PatternRecognizer", "RecognizerResult")
_OURS = frozenset(
    (
        *("CardNumberRecognizer", "ChinaMobileRecognizer", "ChinaResidentIdRecognizer", "EmailRecognizer"),
        *("EthereumRecognizer", "IbanRecognizer", "PassportRecognizer", "PhoneRecognizer", "SpelledEmailRecognizer"),
        "SsnLastFourRecognizer",
    )
)


def _presidio() -> Callable[[str, str], object]:
    """Return how to get names of Presidio: its recognisers of forms alone, or, where that cannot be, all of it.

    All of it is spaCy too, which takes seconds and 60 MiB, and which no recogniser of forms needs.
    """
    private = PrivatePackage("presidio_analyzer")
    wanted = {rule.recognizer for rule in read_rules()} - _OURS
    try:
        for module, name in (*(("presidio_analyzer", base) for base in _BASES), (_IBAN, "regex_per_country")):
            private.get(module, name)
        for name in wanted:
            private.get(_PREDEFINED, name)
    except Exception:  # a version laid out otherwise: whatever is amiss, the ordinary import will say
        return lambda module, name: getattr(importlib.import_module(module), name)
    return private.get


_get = _presidio()
if not TYPE_CHECKING:
    LocalRecognizer, Pattern, PatternRecognizer, RecognizerResult = (_get("presidio_analyzer", name) for name in _BASES)

_BASE_36 = string.digits + string.ascii_uppercase
_SEPARATORS = re.compile(r"[ .\-]")
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11,16}"  # Diners Club
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|62\d{14,17}|35\d{14,17}"  # Discover, UnionPay, JCB
    r"|(?:50|5[6-9]|6[37])\d{11,17}"  # Maestro
)
_ID_WEIGHTS = tuple(pow(2, 17 - place, 11) for place in range(17))
_ID_CHECKS = "10X98765432"
_PROVINCES = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]")


class _OfflineEmailRecognizer(PatternRecognizer):
    """Addresses under a public suffix, by the list that tldextract ships: no network, no cache folder.

    Presidio's own takes all of a link before an address in it, has no bound, and fetches the list.
    """

    def __init__(self) -> None:
        address = r"\w[\w.+%'~-]{0,63}@\w{1,63}(?:-{1,3}\w{1,63}){0,8}(?:\.\w{1,63}(?:-{1,3}\w{1,63}){0,8}){1,8}\b"
        super().__init__(supported_entity="EMAIL_ADDRESS", patterns=[Pattern("address", address, 0.5)])
        self._suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    def validate_result(self, pattern_text: str) -> bool:
        return self._suffixes(pattern_text.rpartition("@")[2]).fqdn != ""


class _SpelledEmailRecognizer(PatternRecognizer):
    """Addresses written to be read by people only: ``jo (at) example (dot) org``, ``jo at example dot org``."""

    def __init__(self) -> None:
        at, dot = r" ?[\[({] ?at ?[\])}] ?", r" ?[\[({] ?dot ?[\])}] ?"
        name, end = r"\b[\w.+-]{1,64}", r"[a-z]{2,6}\b"
        bracketed = rf"{name}(?:{at}|@)[\w-]{{1,63}}(?:{dot}|\.){end}"
        spoken = rf"{name} at [\w-]{{1,63}} dot {end}"
        super().__init__(
            supported_entity="EMAIL_ADDRESS",
            patterns=[Pattern("bracketed", bracketed, 0.5), Pattern("spoken", spoken, 0.4)],
        )

    def validate_result(self, pattern_text: str) -> bool | None:
        return True if re.search(r"[\[({]", pattern_text) else None


class _PhoneRecognizer(LocalRecognizer):
    """Telephone numbers that phonenumbers calls valid, region by region until one reads a number.

    A number with a plus is the same in all of them. Presidio's own imports spaCy for an annotation.
    """

    _SCORE = 0.4

    def __init__(self, regions: tuple[str, ...]) -> None:
        super().__init__(supported_entities=["PHONE_NUMBER"])
        self._regions = regions

    def load(self) -> None:
        """Nothing to load: phonenumbers reads what it knows of a region when first asked."""

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        for region in self._regions[:1] if text.startswith("+") else self._regions:
            matcher = phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID)
            if found := [RecognizerResult("PHONE_NUMBER", one.start, one.end, self._SCORE) for one in matcher]:
                return found
        return []


class _IbanRecognizer(LocalRecognizer):
    """International bank account numbers: the country's form, as Presidio lists it, and two check digits (ISO 13616).

    Letters after a number may belong to the next word, so it is tried without its last group, and the one before.
    """

    _NUMBER = re.compile(
        r"(?<![A-Z0-9])([A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,6})"
        r"((?:[ -]?[A-Z0-9]{4})?)((?:[ -]?[A-Z0-9]{1,3})?)(?![A-Z0-9])"
    )

    def __init__(self) -> None:
        super().__init__(supported_entities=["IBAN_CODE"])
        self._forms = {country: re.compile(form) for country, form in _iban_forms().items()}

    def load(self) -> None:
        """Nothing to load."""

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        return [RecognizerResult("IBAN_CODE", start, end, 1.0) for start, end in self._numbers(text)]

    def _numbers(self, text: str) -> Iterator[tuple[int, int]]:
        for match in self._NUMBER.finditer(text):
            for group in (3, 2, 1):
                if self._is_valid(text[match.start() : match.end(group)]):
                    yield match.start(), match.end(group)
                    break

    def _is_valid(self, value: str) -> bool:
        number = _SEPARATORS.sub("", value)
        form = self._forms.get(number[:2])
        turned = number[4:] + number[:2] + "00"
        checked = int("".join(str(_BASE_36.index(character)) for character in turned))
        return number[2:4] == f"{98 - checked % 97:02}" and form is not None and form.match(number) is not None


def _iban_forms() -> dict[str, str]:
    return cast("dict[str, str]", _get(_IBAN, "regex_per_country"))


class _CardNumberRecognizer(PatternRecognizer):
    """Payment cards of 13 to 19 digits, UnionPay (62...) among them: issuer prefix and Luhn's check (ISO/IEC 7812)."""

    def __init__(self) -> None:
        grouped = r"(?<![\w-])[1-9]\d{3}(?:([ -])\d{4}\1\d{4}\1\d{1,7}|([ -])\d{6}\2\d{4,5})(?![\w-])"
        plain = r"(?<![\w.-])[1-9]\d{12,18}(?![\w-])"
        patterns = [Pattern("grouped", grouped, 0.3), Pattern("plain", plain, 0.2)]
        super().__init__(supported_entity="CREDIT_CARD", patterns=patterns)

    def validate_result(self, pattern_text: str) -> bool | None:
        digits = _SEPARATORS.sub("", pattern_text)
        if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
            return False
        if _ISSUED.fullmatch(digits) and _passes_luhn(digits):
            return True
        # A card that is mistyped, or made up, is none; yet beside the word "card" it is one to its writer.
        return None if len(digits) == 16 else False


class _ChinaResidentIdRecognizer(PatternRecognizer):
    """Chinese resident identity numbers: province, date of birth and check character (GB 11643-1999)."""

    def __init__(self) -> None:
        number = r"(?<![0-9A-Za-z])[1-8]\d{5}[ -]?(?:18|19|20)\d{6}[ -]?\d{3}[\dXx](?![0-9A-Za-z])"
        super().__init__(supported_entity="CN_RESIDENT_ID", patterns=[Pattern("resident id", number, 0.5)])

    def validate_result(self, pattern_text: str) -> bool:
        digits = _SEPARATORS.sub("", pattern_text).upper()
        total = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, digits[:17], strict=True))
        return bool(_PROVINCES.match(digits)) and _is_date(digits[6:14]) and _ID_CHECKS[total % 11] == digits[17]


def _is_date(digits: str) -> bool:
    try:
        born = datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return born.year >= 1880


def _passes_luhn(digits: str) -> bool:
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    return (sum(int(digit) for digit in digits[-1::-2]) + sum(two - 9 * (two > 9) for two in doubled)) % 10 == 0


def _of_pattern(entity: str, *expressions: str, score: float = 0.5) -> PatternRecognizer:
    return PatternRecognizer(
        supported_entity=entity, patterns=[Pattern(f"{entity} {i}", e, score) for i, e in enumerate(expressions)]
    )


def _china_mobile() -> PatternRecognizer:
    return _of_pattern("CN_MOBILE", r"(?<![\w+.-])(?:(?:\+|00)?86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}(?![\w-])")


def _ethereum() -> PatternRecognizer:
    return _of_pattern("CRYPTO", r"\b0x[0-9a-f]{40}\b")


def _passport() -> PatternRecognizer:
    return _of_pattern("PASSPORT", r"\b(?=(?:[A-Z]{0,9}\d){3})[A-Z0-9]{8,9}\b", score=0.3)


def _ssn_last_four() -> PatternRecognizer:
    named = r"\b(?:ssn|social(?: security(?: number)?)?)"
    between = r"(?: ?(?:is|are|in|no|num|number|:|=|#|ends? (?:in|with)|ending|last (?:4|four)|digits?|,|-)){0,4} ?"
    return _of_pattern("US_SSN", rf"(?<={named}{between})\b\d{{4}}\b(?! ?[-\d])")


Recognizer = PatternRecognizer | _IbanRecognizer | _PhoneRecognizer
"""Takes a text and entities, and needs no language model."""

_OWN: dict[str, Callable[[], Recognizer]] = {
    "CardNumberRecognizer": _CardNumberRecognizer,
    "ChinaMobileRecognizer": _china_mobile,
    "ChinaResidentIdRecognizer": _ChinaResidentIdRecognizer,
    "EmailRecognizer": _OfflineEmailRecognizer,
    "EthereumRecognizer": _ethereum,
    "IbanRecognizer": _IbanRecognizer,
    "PassportRecognizer": _passport,
    "SpelledEmailRecognizer": _SpelledEmailRecognizer,
    "SsnLastFourRecognizer": _ssn_last_four,
}


def recognizers(names: Iterable[str], *, regions: Sequence[str]) -> dict[str, Recognizer]:
    """Make recognisers by name.

    Parameters
    ----------
    names : iterable of str
        Classes of ``presidio_analyzer.predefined_recognizers``, or recognisers of this file.
    regions : sequence of str
        Whose national phone numbers are read, as ISO 3166 codes.

    Raises
    ------
    ConfigError
        A name that neither has.
    """
    return {name: _made(name, tuple(regions)) for name in names}


def _made(name: str, regions: tuple[str, ...]) -> Recognizer:
    if name in _OWN:
        return _OWN[name]()
    if name == "PhoneRecognizer":
        return _PhoneRecognizer(regions)
    try:
        made = _get(_PREDEFINED, name)
    except (AttributeError, ImportError):
        made = None
    if not (isinstance(made, type) and issubclass(made, PatternRecognizer)):
        raise ConfigError(f"there is no pattern recogniser {name!r} in {_PREDEFINED}")
    recognizer: PatternRecognizer = made()  # type: ignore[call-arg]  # each names its own entity and patterns
    return recognizer
