from __future__ import annotations

import base64
import random
import string
import time
from pathlib import Path

import numpy as np
import pytest

from guard.filters.secrets import SecretsFilter
from guard.schema import Filter, Locator, check_scores

THRESHOLD = 0.5
_RANDOM = random.Random(0)


def _made(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Digits and letters of no account: made here, so that no scanner of repositories takes them for real."""
    return "".join(_RANDOM.choice(alphabet) for _ in range(length))


HEX = "0123456789abcdef"
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256"}', b'{"sub":"12345"}', b"signature")
)
TOKENS = {
    "aws": "AKIA" + _made(16, string.ascii_uppercase + string.digits),
    "github": "ghp_" + _made(36),
    "github fine-grained": "github_pat_" + _made(82),
    "gitlab": "glpat-" + _made(20),
    "slack": "xoxb-" + "123456789012-" + _made(24),
    "stripe": "sk_live_" + _made(24),
    "stripe test": "sk_test_" + _made(24),
    "openai": "sk-" + _made(48),
    "openai project": "sk-proj-" + _made(60),
    "anthropic": "sk-ant-api03-" + _made(80),
    "google": "AIza" + _made(35),
    "npm": "npm_" + _made(36),
    "pypi": "pypi-AgEIcHlwaS5vcmc" + _made(80),
    "hugging face": "hf_" + _made(34),
    "sendgrid": "SG." + _made(22) + "." + _made(43),
    "telegram": "123456789:" + _made(35),
    "jwt": JWT,
    "digital ocean": "dop_v1_" + _made(64, HEX),
}

NAMED = [
    ("password = 'hunter2!x'", "hunter2!x"),
    ('PASSWORD="hunter22"', "hunter22"),
    ("DB_PASSWORD=S3cr3tPa55", "S3cr3tPa55"),
    ('{"api_key": "a1b2c3d4e5f6g7"}', "a1b2c3d4e5f6g7"),
    ("api-key: a1b2c3d4e5f6g7", "a1b2c3d4e5f6g7"),
    ("my password is Tr0ub4dor&3.", "Tr0ub4dor&3"),
    ("the passphrase was c0rrect-horse, ok", "c0rrect-horse"),
    ("密码是abc12345。", "abc12345"),
    ("client_secret: 'correcthorse'", "correcthorse"),
    ("postgres://admin:s3cretpw@db.example.org/x", "s3cretpw"),
    ("Authorization: Bearer " + "a1B2c3D4e5F6g7H8i9J0k1", "a1B2c3D4e5F6g7H8i9J0k1"),
    ("p\u200bassword = 'hun\u200bter2!x'", "hun\u200bter2!x"),
    ("ｐａｓｓｗｏｒｄ＝ｈｕｎｔｅｒ２２", "ｈｕｎｔｅｒ２２"),
]

HARMLESS = [
    "I forgot my password, how do I reset it?",
    "your password is incorrect",
    "the password is required",
    "password: string",
    'password = "changeme"',
    'password = "your-password-here"',
    'password = os.environ["DB_PASSWORD"]',
    "password = getpass.getpass()",
    "password = ${DB_PASSWORD}",
    "token = <your token>",
    "PASSWORD=********",
    "password = '[SECRET_1]' and token: [SECRET_2]",
    "the key is under the mat",
    "the secret is patience",
    "a token of appreciation: flowers",
    "my api key is not working",
    "def login(password: str, token: str) -> None:",
    'id = "550e8400-e29b-41d4-a716-446655440000"',
    'commit = "9fceb02d0ae598e95dc970b74767f19372d61af8"',
    '"integrity": "sha512-' + base64.b64encode(bytes(range(64))).decode() + '"',
    '<img src="data:image/png;base64,' + base64.b64encode(bytes(range(256)) * 8).decode() + '">',
    "requests==2.34.2 --hash=sha256:" + "0a1b" * 16,
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghij0123456789 jo@host",
    "https://example.org/path/a1b2c3d4e5f6g7h8i9j0?x=1",
    "https://user:password@example.org/",
    "APARTMENTS AND APPLICATIONS",
    "class AbstractSingletonProxyFactoryBean2 extends Base",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "primary_key = True",
    "sorted(items, key=lambda item: item.name)",
    "sk-learn and sk-image are libraries",
]


@pytest.fixture(scope="module")
def secrets() -> SecretsFilter:
    return SecretsFilter()


@pytest.mark.parametrize("kind", sorted(TOKENS))
def test_token_is_found_where_it_stands(secrets: SecretsFilter, kind: str) -> None:
    token = TOKENS[kind]
    text = f"use {token} for it"
    best = max(secrets.locate(text), key=lambda span: span.score)
    assert best.score >= THRESHOLD
    assert text[best.start : best.end] == token
    assert secrets.score_batch([text])[0, 0] == np.float32(best.score)


@pytest.mark.parametrize(("text", "value"), NAMED)
def test_value_called_secret_is_found_without_its_name(secrets: SecretsFilter, text: str, value: str) -> None:
    assert [text[span.start : span.end] for span in secrets.locate(text) if span.score >= THRESHOLD] == [value]


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_private_key_is_found_whole(secrets: SecretsFilter, kind: str) -> None:
    key = f"-----BEGIN {kind}PRIVATE KEY-----\n{_made(64)}\n{_made(40)}\n-----END {kind}PRIVATE KEY-----"
    text = f"here:\n{key}\nkeep it"
    span = secrets.locate(text)[0]
    assert (text[span.start : span.end], span.score) == (key, 1.0)


def test_private_key_without_an_end_is_found(secrets: SecretsFilter) -> None:
    assert secrets.score_batch(["-----BEGIN RSA PRIVATE KEY-----\nMIIE"])[0, 0] == 1.0


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_scores_low(secrets: SecretsFilter, text: str) -> None:
    assert secrets.score_batch([text])[0, 0] < THRESHOLD


def test_unnamed_random_string_scores_below_a_named_one(secrets: SecretsFilter) -> None:
    value = _made(32)
    unnamed, named = secrets.score_batch([f'x = "{value}"', f'secret_key = "{value}"'])[:, 0]
    assert 0 < unnamed < THRESHOLD <= named


def test_damaged_jwt_is_none(secrets: SecretsFilter) -> None:
    assert secrets.score_batch(["eyJhbGciOi.eyJzdWIiO.x"])[0, 0] < THRESHOLD


def test_secret_across_the_pieces_of_a_long_line_is_found_whole(secrets: SecretsFilter) -> None:
    token = TOKENS["github"]
    for shift in range(1500, 2100, 37):
        text = "a " * (shift // 2) + token + " b" * 1000
        assert token in {text[span.start : span.end] for span in secrets.locate(text)}


def test_keeps_the_contract_of_filters(secrets: SecretsFilter) -> None:
    texts = ["password = 'hunter2!x'", "hello", "", TOKENS["aws"], "\x00", "\ud800", "token: \udfff1234a", "key ﷺ" * 50]
    assert isinstance(secrets, Filter)
    assert isinstance(secrets, Locator)
    together = check_scores(secrets.score_batch(texts), n_items=len(texts), filter_=secrets)
    assert np.array_equal(together, np.concatenate([secrets.score_batch([text]) for text in texts]))
    check_scores(secrets.score_batch([]), n_items=0, filter_=secrets)
    assert all(bool(secrets.locate(text)) is bool(row[0] > 0) for text, row in zip(texts, together, strict=True))
    assert secrets.name == SecretsFilter().name


@pytest.mark.parametrize(
    "piece", ["password", "a1b2c3d4", "-----BEGIN RSA PRIVATE KEY-----", "://a:", "key=a1 ", "eyJ.", "aws_key '", "sl_"]
)
def test_cost_is_linear_in_the_text(secrets: SecretsFilter, piece: str) -> None:
    def seconds(n_characters: int) -> float:
        text = (piece * n_characters)[:n_characters]
        started = time.perf_counter()
        secrets.score_batch([text])
        return time.perf_counter() - started

    seconds(1000)
    # 8 times the text takes 8 times as long; quadratic cost would take 64 times.
    assert min(seconds(40_000), seconds(40_000)) < 24 * min(seconds(5_000), seconds(5_000)) + 0.05


def test_ordinary_requests_raise_no_alarm(secrets: SecretsFilter, shared_data: Path) -> None:
    lines = (shared_data / "banking77" / "banking77.csv").read_text(encoding="utf-8").splitlines()
    assert (secrets.score_batch(lines[1:3001]) >= THRESHOLD).mean() <= 0.005
