"""Credentials: the patterns of detect-secrets, those it lacks, and values that the text itself calls secret."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import math
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from guard.canonical import canonicalize
from guard.errors import FilterError
from guard.schema import Scores, Span

__all__ = ["SecretsFilter"]

_CATEGORY = "secret"
_LINE, _OVERLAP = 2000, 400
_LONGEST_KEY = 20_000

# Plugins of detect-secrets, and how far each pattern is believed on its own.
_PLUGINS = MappingProxyType(
    {
        "artifactory.ArtifactoryDetector": 0.4,  # "AP" and eight letters is also a word
        "aws.AWSKeyDetector": 0.95,
        "azure_storage_key.AzureStorageKeyDetector": 0.95,
        "basic_auth.BasicAuthDetector": 0.85,
        "cloudant.CloudantDetector": 0.8,
        "discord.DiscordBotTokenDetector": 0.85,
        "github_token.GitHubTokenDetector": 0.95,
        "gitlab_token.GitLabTokenDetector": 0.95,
        "ibm_cloud_iam.IbmCloudIamDetector": 0.7,
        "ibm_cos_hmac.IbmCosHmacDetector": 0.7,
        "jwt.JwtTokenDetector": 0.9,
        "mailchimp.MailchimpDetector": 0.9,
        "npm.NpmDetector": 0.95,
        "openai.OpenAIDetector": 0.95,
        "pypi_token.PypiTokenDetector": 0.95,
        "sendgrid.SendGridDetector": 0.95,
        "slack.SlackDetector": 0.95,
        "softlayer.SoftlayerDetector": 0.7,
        "square_oauth.SquareOAuthDetector": 0.95,
        "stripe.StripeDetector": 0.95,
        "telegram_token.TelegramBotTokenDetector": 0.9,
        "twilio.TwilioKeyDetector": 0.8,
    }
)
_OWN_SCORE = 0.95
_OWN = re.compile(
    r"\b(?:"
    r"github_pat_[0-9A-Za-z_]{50,90}|sk-(?:proj|svcacct|admin|ant|or|None)-[0-9A-Za-z_-]{20,200}|sk-[0-9A-Za-z]{32,64}"
    r"|[rsp]k_(?:live|test)_[0-9A-Za-z]{16,200}|whsec_[0-9A-Za-z]{24,80}|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{30,300}"
    r"|npm_[0-9A-Za-z]{36}|pypi-[0-9A-Za-z_-]{50,300}|hf_[0-9A-Za-z]{30,60}|xapp-[0-9A-Za-z-]{30,200}"
    r"|xox[abeoprs]-[0-9A-Za-z-]{20,200}|dop_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|dapi[0-9a-f]{32}"
    r"|gsk_[0-9A-Za-z]{40,80}|r8_[0-9A-Za-z]{30,50}|glpat-[0-9A-Za-z_-]{20,50}|AGE-SECRET-KEY-1[0-9A-Z]{50,70}"
    r"|LTAI[0-9A-Za-z]{12,24}|AKID[0-9A-Za-z]{32}"
    r")(?![0-9A-Za-z])"
)
_REST_OF_JWT = re.compile(r"[0-9A-Za-z_-]*")
_BEARER = re.compile(r"\b(?:[Bb]earer|[Bb]asic) (?P<value>[0-9A-Za-z._~+/-]{20,500}={0,2})")
_BEARER_SCORE = 0.85
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[23]:")
_KEY_END = "-----END"

# A value that the text calls secret: code, configuration, or a sentence.
_NAMES = (
    r"pass(?:word|wd|phrase|code)s?|pwd|(?:api|access|secret|private|auth|client|signing|encryption|service|account|"
    r"storage|master|session|db|database)[_ -]?(?:key|token|secret|pass|pwd)s?|secret(?:[_ -]?value)?|"
    r"token|credentials?|密码|口令|密钥|contraseña|passwort|mot de passe|senha|пароль"
)
_NAMED = re.compile(
    rf"(?<![0-9A-Za-z])(?:[A-Za-z0-9]{{1,20}}[_-]){{0,3}}(?:{_NAMES})(?:[_-][A-Za-z0-9]{{1,20}}){{0,2}}"
    r"(?:[\"'`\]]{0,2}\s{0,3}(?::=|=>|={1,3}|!=|:|：)\s{0,3}| (?:is|was|are) (?:now |set to |still )?|是|为)"
    r"(?P<quote>[bru@]?[\"'`\u201c\u2018])?(?P<value>[^\s\"'`\u201c\u201d\u2018\u2019]{4,200})",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"'](?P<value>[0-9A-Za-z+/=_-]{20,200})[\"']")
_TRAILING = ".,;:!?)]}>，。；！"
_CODE = re.compile(
    r"[(){}<>]|\[|^(?:os|env|process|config|settings|self|this|args|options|request|req|params|secrets|vault|ctx)\b|^[$%@*]|\*{3}|\.\.\.|::|://|^(?:true|false|null|none|nil|str|string|int|bytes)\b",
    re.IGNORECASE,
)
_STAND_INS = re.compile(
    r"^(?:x+|changeme.*|change[_-]?me.*|your[_-]?.*|my[_-]?(?:password|secret|token|key).*|example.*|placeholder.*|redacted.*|"
    r"(?:pass(?:word|wd)|secret|token|key|test|dummy|fake|foo|bar|todo|none|null|undefined|required|optional|insert.*)"
    r"[_-]?(?:here|goes.*|value)?|\d{1,5})$",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(
    r"data:[\w/+.-]{1,60};base64,[0-9A-Za-z+/=]+"
    r"|\bsha(?:1|256|384|512)[-:=][0-9A-Za-z+/]{20,}={0,2}"
    r"|\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
    r"|\bssh-(?:rsa|ed25519|dss) [0-9A-Za-z+/=]+"
)
_BLANK = "\u00a7"
_RUN = re.compile(r"[0-9A-Za-z_+/=.-]{18}")
_HINTS = ("pass", "pwd", "secret", "token", "key", "credential", "://", "密", "口令", "contrase", "senha", "парол")
_STRONG, _QUOTED_WORD, _BARE_WORD, _UNNAMED = 0.8, 0.55, 0.3, 0.4
_LEAST_ENTROPY = 3.5  # bits a character; detect-secrets takes 3 for hexadecimal and 4.5 for base64


@dataclass(frozen=True)
class _Found:
    start: int
    end: int
    score: float


class SecretsFilter:
    """Finds credentials: private keys, tokens of services, and values that are called a password or a key. A Locator.

    Nothing is verified over a network. A quoted random string that nothing calls secret scores 0.4 (a hash looks the
    same), a value without digits after ``password =`` 0.55, one in a sentence 0.3; 0.5 is the threshold that these
    are made for.

    Examples
    --------
    >>> SecretsFilter().locate("password = 'hunter2!x'")
    (Span(start=12, end=21, category='secret', score=0.8),)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[tuple[re.Pattern[str], str, float], ...] | None = None

    @property
    def name(self) -> str:
        """``secrets@`` and 12 hexadecimal digits of the SHA-256 of patterns, scores and the library's version."""
        return self._name

    @functools.cached_property
    def _name(self) -> str:
        own = [p.pattern for p in (_OWN, _BEARER, _KEY_BEGIN, _NAMED, _QUOTED, _CODE, _STAND_INS, _NOT_SECRET)]
        rules = repr((importlib.metadata.version("detect-secrets"), sorted(_PLUGINS.items()), own))
        return f"secrets@{hashlib.sha256(rules.encode()).hexdigest()[:12]}"

    @property
    def categories(self) -> tuple[str, ...]:
        """``("secret",)``."""
        return (_CATEGORY,)

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text by its surest secret.

        Parameters
        ----------
        items : sequence of str

        Returns
        -------
        Scores
            float32, shape (len(items), 1), in [0, 1]; 0 where nothing was found.

        Raises
        ------
        FilterError
            When detect-secrets cannot be imported.
        """
        best = [max((f.score for f in self._find(canonicalize(item).text)), default=0.0) for item in items]
        return np.array(best, dtype=np.float32).reshape(len(items), 1)

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return the values that are secret, without what names them, in order, as spans that do not overlap."""
        canonical = canonicalize(text)
        found = self._find(canonical.text)
        return tuple(Span(*canonical.span(f.start, f.end), _CATEGORY, f.score) for f in found)

    def _find(self, text: str) -> list[_Found]:
        lowered = text.lower()
        if not (_RUN.search(text) or any(hint in lowered for hint in _HINTS)):
            return []
        text = _NOT_SECRET.sub(lambda match: _BLANK * len(match[0]), text)
        found = [*_private_keys(text)]
        for start, line in _lines(text):
            # The overlap of two pieces of one line is seen twice; what a piece cuts, the other has whole.
            found += (_Found(start + f.start, start + f.end, f.score) for f in self._in_line(line))
        return _apart(found)

    def _in_line(self, line: str) -> Iterator[_Found]:
        for pattern, plugin, score in self._patterns():
            for match in pattern.finditer(line):
                start, end = match.span(1 if plugin.startswith("basic_auth") else 0)
                if plugin.startswith("jwt"):  # its expression leaves the signature out
                    end = _end_of_run(line, end)
                if _stands_alone(line, match.start()) and _is_sound(line[start:end], plugin):
                    yield _Found(start, end, score)
        yield from (_Found(*match.span(), _OWN_SCORE) for match in _OWN.finditer(line))
        yield from (_Found(*m.span("value"), _BEARER_SCORE) for m in _BEARER.finditer(line) if _is_random(m["value"]))
        yield from _named(line)
        yield from (_Found(*m.span("value"), _UNNAMED) for m in _QUOTED.finditer(line) if _is_random(m["value"]))

    def _patterns(self) -> tuple[tuple[re.Pattern[str], str, float], ...]:
        """Take the patterns out of the plugins, once: a plugin itself says what it found, and not where."""
        with self._lock:
            if self._made is None:
                self._made = tuple(_plugin_patterns())
            return self._made


def _plugin_patterns() -> Iterator[tuple[re.Pattern[str], str, float]]:
    for path, score in _PLUGINS.items():
        module, _, name = path.partition(".")
        try:
            plugin = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)
        except (ImportError, AttributeError) as error:
            raise FilterError(f"filter secrets needs {name} of detect-secrets: {error}") from error
        yield from ((pattern, path, score) for pattern in plugin.denylist)


def _is_sound(value: str, plugin: str) -> bool:
    if plugin.startswith("jwt"):
        from detect_secrets.plugins.jwt import JwtTokenDetector

        return JwtTokenDetector.is_formally_valid(value)
    return not (plugin.startswith("basic_auth") and (_CODE.search(value) or _STAND_INS.match(value)))


def _stands_alone(line: str, start: int) -> bool:
    """Whether a match is no part of a longer run, such as the inside of an encoded picture."""
    return start == 0 or not (line[start - 1].isalnum() and line[start].isalnum())


def _end_of_run(line: str, place: int) -> int:
    match = _REST_OF_JWT.match(line, place)
    return match.end() if match else place


def _private_keys(text: str) -> Iterator[_Found]:
    for match in _KEY_BEGIN.finditer(text):
        end = text.find(_KEY_END, match.end(), match.end() + _LONGEST_KEY)
        close = text.find("-----", end + len(_KEY_END), end + 100) if end >= 0 else -1
        yield _Found(match.start(), close + 5 if close >= 0 else match.end(), 1.0)


def _named(line: str) -> Iterator[_Found]:
    for match in _NAMED.finditer(line):
        value = match["value"].rstrip(_TRAILING)
        if len(value) < 4 or _CODE.search(value) or _BLANK in value:
            continue
        start = match.start("value")
        compared = re.search("[=!]=", line[match.start() : start]) is not None  # code asks, and does not tell
        quoted = match["quote"] is not None and not compared
        yield _Found(start, start + len(value), _named_score(value, quoted=quoted))


def _named_score(value: str, *, quoted: bool) -> float:
    if _STAND_INS.match(value):
        return _BARE_WORD
    has_letter, has_digit = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    has_sign = any(not char.isalnum() and char not in "_-./" for char in value)
    if len(value) >= 6 and has_letter and (has_digit or has_sign):
        return _STRONG
    return _QUOTED_WORD if quoted else _BARE_WORD


def _is_random(value: str) -> bool:
    """Whether letters and digits are mixed as by chance: Shannon's entropy of the characters."""
    if value.isalpha() or not any(map(str.isdigit, value)) or value.isdigit():
        return False
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares) >= _LEAST_ENTROPY


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines, and long ones in overlapping pieces, so that no expression meets a text without bound."""
    place = 0
    for line in text.splitlines(keepends=True):
        for start in range(0, max(len(line) - _OVERLAP, 1), _LINE - _OVERLAP):
            yield place + start, line[start : start + _LINE]
        place += len(line)


def _apart(found: list[_Found]) -> list[_Found]:
    """Keep the surest of overlapping findings, and of equally sure ones the longest."""
    kept: list[_Found] = []
    taken = bytearray(max((one.end for one in found), default=0))
    for one in sorted(set(found), key=lambda one: (-one.score, one.start - one.end, one.start)):
        if not any(taken[one.start : one.end]):
            taken[one.start : one.end] = b"\1" * (one.end - one.start)
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)
