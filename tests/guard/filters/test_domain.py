from __future__ import annotations

import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from guard.errors import ConfigError
from guard.filters.domain import DomainFilter
from guard.schema import Filter, Locator, check_scores

THRESHOLD = 0.5
CASES = tomllib.loads(Path(__file__).with_name("domain_cases.toml").read_text(encoding="utf-8"))

MODEL = """
[weights]
strong = 0.8
weak = 0.3
personal = 0.2
task = 0.5
previous = 0.5
[frames]
task = ["^write"]
personal = ["\\\\bmy\\\\b"]
"1.0" = ["should i"]
"0.5" = ["can i"]
[wine_advice]
strong = ["wine", "decant*"]
weak = ["glass"]
never = ["wine red"]
"""


@pytest.fixture(scope="module")
def domain() -> DomainFilter:
    return DomainFilter()


@pytest.fixture
def wine(tmp_path: Path) -> DomainFilter:
    path = tmp_path / "wine.toml"
    path.write_text(MODEL, encoding="utf-8")
    return DomainFilter(path)


@pytest.mark.parametrize("category", sorted(CASES))
def test_advice_on_ones_own_case_is_found(domain: DomainFilter, category: str) -> None:
    column = domain.categories.index(category)
    # 95%, 92.5% and 97.5% before any tuning; see docs/design/pii.md.
    assert (domain.score_batch(CASES[category]["advice"])[:, column] >= THRESHOLD).mean() >= 0.92


@pytest.mark.parametrize("text", [text for cases in CASES.values() for text in cases["topic"]])
def test_mere_topic_scores_low(domain: DomainFilter, text: str) -> None:
    assert domain.score_batch([text]).max() < THRESHOLD


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("should i drink wine", 0.8),
        ("SHOULD I drink W\u0456NE", 0.8),  # Cyrillic і
        ("should i drink my wine", 0.96),  # 0.8 x (1 + 0.2)
        ("can i drink wines", 0.4),
        ("can i decanter it", 0.4),
        ("should i break my glass", 0.36),  # 0.3 x 1.2
        ("should i put wine in a glass", 1.0),  # 0.8 + 0.3 is cut at 1
        ("wine is old", 0.08),
        ("this is wine. should i", 0.4),  # a topic of the sentence before counts half
        ("this is wine. it is old. should i", 0.2),
        ("write: should i drink wine", 0.4),
        ("should i wear wine red", 0.0),
        ("should i twine it", 0.0),
        ("should i go", 0.0),
        ("", 0.0),
    ],
)
def test_score_is_topic_times_frame(wine: DomainFilter, text: str, score: float) -> None:
    assert wine.score_batch([text])[0, 0] == pytest.approx(score, abs=1e-6)


def test_sentence_is_located(wine: DomainFilter) -> None:
    text = "It is late. Should I open the w\u200bine? Good night."
    spans = [(text[span.start : span.end].strip(), span.category, span.score) for span in wine.locate(text)]
    assert spans[0] == ("Should I open the w\u200bine?", "wine_advice", 0.8)
    assert all(score < THRESHOLD for _, _, score in spans[1:])


def test_domains_are_told_apart(domain: DomainFilter) -> None:
    row = dict(zip(domain.categories, domain.score_batch(["Should I sell my shares?"])[0], strict=True))
    assert row["financial_advice"] >= THRESHOLD
    assert row["medical_advice"] == row["legal_advice"] == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[weights]", "[weight]"),
        ("weak = [", "week = ["),
        ('"1.0"', '"one"'),
        ("can i", "can (i"),
        ("strong = 0.8\n", ""),
        ("weak = 0.3", "weak = -1"),
        ('"0.5"', '"nan"'),
    ],
)
def test_model_with_a_mistake_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "model.toml"
    path.write_text(MODEL.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match="phrase model"):
        DomainFilter(path)


@pytest.mark.parametrize("content", [None, b"= 1", b"\xff"])
def test_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="phrase model"):
        DomainFilter(path)


def test_keeps_the_contract_of_filters(domain: DomainFilter) -> None:
    texts = ["Should I take aspirin?", "hello", "", "\x00", "\ud800 lawyer", "sue " * 50, "İ. my rash"]
    assert isinstance(domain, Filter)
    assert isinstance(domain, Locator)
    together = check_scores(domain.score_batch(texts), n_items=len(texts), filter_=domain)
    assert np.array_equal(together, np.concatenate([domain.score_batch([text]) for text in texts]))
    check_scores(domain.score_batch([]), n_items=0, filter_=domain)
    for text, row in zip(texts, together, strict=True):
        spans = domain.locate(text)
        assert all(0 <= span.start < span.end <= len(text) for span in spans)
        assert {span.category for span in spans} == {c for c, s in zip(domain.categories, row, strict=True) if s > 0}
    assert domain.name == DomainFilter().name


@pytest.mark.parametrize("piece", ["aspirin ", "should i ", "is it a ", "what my aspirin ", "aspirin. ", "...", "$"])
def test_cost_is_linear_in_the_text(domain: DomainFilter, piece: str) -> None:
    def seconds(n_characters: int) -> float:
        text = (piece * n_characters)[:n_characters]
        started = time.perf_counter()
        domain.score_batch([text])
        return time.perf_counter() - started

    seconds(1000)
    # 8 times the text takes 8 times as long; quadratic cost would take 64 times.
    assert min(seconds(40_000), seconds(40_000)) < 24 * min(seconds(5_000), seconds(5_000)) + 0.05


def test_ordinary_requests_raise_few_alarms(domain: DomainFilter, shared_data: Path) -> None:
    lines = (shared_data / "banking77" / "banking77.csv").read_text(encoding="utf-8").splitlines()
    assert (domain.score_batch(lines[1:3001]).max(axis=1) >= THRESHOLD).mean() <= 0.01
