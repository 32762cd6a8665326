from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guard.errors import ConfigError, DataError
from guard.filters.lexical import LexicalFilter, Term

HEADER = "text,canonical_form_1,category_1,severity_rating,severity_description\n"
LEXICON = HEADER + (
    "damn,damn,general insult,1,Mild\n"
    "ass,ass,sexual anatomy,1,Mild\n"
    "bastard,bastard,general insult,2,Strong\n"
    "cunt,cunt,sexual anatomy,3,Severe\n"
    "go to hell,hell,religious offense,1.5,Strong\n"
    "@ss,ass,sexual anatomy,1,Mild\n"
    "spook,spook,racial / ethnic slurs,3,Severe\n"
    "Wet Back,wetback,racial / ethnic slurs,2.8,Severe\n"
    '"n, word",n,slurs,4,Severe\n'
)


@pytest.fixture
def lexicon(tmp_path: Path) -> LexicalFilter:
    path = tmp_path / "lexicon.csv"
    path.write_text(LEXICON, encoding="utf-8")
    return LexicalFilter.from_asset(path)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("You bastard!", 0.667),
        ("YOU BASTARD", 0.667),
        ("bástärd", 0.667),
        ("bаstаrd", 0.667),  # Cyrillic а
        ("b\u200ba\u200bstard", 0.667),
        ("ｂａｓｔａｒｄ", 0.667),
        ("b\u0336a\u0336s\u0336t\u0336a\u0336r\u0336d", 0.667),
        ("_bastard_", 0.667),
        ("你bastard好", 0.667),  # no spaces around it in Chinese
        ("you b-a-s-t-a-r-d", 0.667),
        ("b\U000e0061astard", 0.667),  # a hidden tag inside
        ("x \U000e0063\U000e0075\U000e006e\U000e0074", 1.0),  # hidden whole
        ("🇨🇺🇳🇹", 1.0),
        ("⒝⒜⒮⒯⒜⒭⒟", 0.667),
        ("bastard1", 0.667),
        ("bastard2000!", 0.667),
        ("bastard12345", 0.0),
        ("bastard4you", 0.0),
        ("1bastard", 0.0),
        ("\u02bcbastard\u02bc", 0.667),
        ("\u02bb\u02bbbastard\u02bd\u02bd.", 0.667),
        ("bastard\u02bcs", 0.667),  # as with an apostrophe
        ("x\u02bbbastard", 0.0),
        ("bastard\u02bba", 0.0),
        ("bastardise", 0.0),
        ("damn bastard cunt", 1.0),  # the gravest counts
        ("damn", 0.333),
        ("go to hell", 0.5),
        ("go  to\nhell", 0.5),
        ("go to hello", 0.0),
        ("n, word", 1.0),  # over the top rating
        ("assess the class of cocktails", 0.0),
        ("Scunthorpe", 0.0),
        ("Dickens", 0.0),
        ("kiss my @ss", 0.333),
        ("me@ss.com", 0.0),
        ("a spook in the attic", 0.2),  # more often a ghost
        ("sat with a wet back", 0.2),
        ("", 0.0),
    ],
)
def test_score_of(lexicon: LexicalFilter, text: str, score: float) -> None:
    assert lexicon.score_batch([text])[0, 0] == pytest.approx(score, abs=1e-3)


def test_locate_gives_offsets_of_the_original(lexicon: LexicalFilter) -> None:
    text = "é you b\u200bаstard and c\u0301unt"
    spans = lexicon.locate(text)
    assert [text[span.start : span.end] for span in spans] == ["b\u200bаstard", "c\u0301unt"]
    assert [(span.category, round(span.score, 2)) for span in spans] == [("profanity", 0.67), ("profanity", 1.0)]


def test_terms_of_several_categories() -> None:
    filter_ = LexicalFilter([Term("acme", "rival", 0.5), Term("acme", "brand", 0.9), Term("zonk", "rival", 1.0)])
    assert filter_.categories == ("brand", "rival")
    scores = filter_.score_batch(["ACME!", "zonk", "acme zonk"])
    assert scores == pytest.approx(np.array([[0.9, 0.5], [0.0, 1.0], [0.9, 1.0]]))


def test_overlapping_terms_are_all_found() -> None:
    filter_ = LexicalFilter([Term("big fool", "a", 0.3), Term("fool", "a", 0.9), Term("fool you", "b", 0.5)])
    assert [(s.start, s.end) for s in filter_.locate("big fool you")] == [(0, 8), (4, 8), (4, 12)]


def test_chinese_terms_need_no_boundary() -> None:
    filter_ = LexicalFilter([Term("傻瓜", "insult", 0.8)])
    assert filter_.score_batch(["你这个傻瓜啊", "X傻瓜", "傻 瓜"]).ravel().round(1).tolist() == pytest.approx(
        [0.8, 0.8, 0.0]
    )


def _toml(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_merged_list_adds_and_overrides(tmp_path: Path, lexicon: LexicalFilter) -> None:
    own = LexicalFilter.from_toml(
        _toml(
            tmp_path,
            """
            [[term]]
            text = "Damn"
            category = "profanity"
            score = 0
            [[term]]
            text = "zonk"
            category = "house_rule"
            score = 1
            """,
        )
    )
    merged = lexicon.merged(own)
    assert merged.categories == ("house_rule", "profanity")
    scores = merged.score_batch(["damn", "zonk", "bastard"])
    assert scores == pytest.approx(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2 / 3]]))
    assert merged.locate("damn") == ()
    assert len({merged.name, own.name, lexicon.name}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the word list is empty"),
        ("[[terms]]\ntext = 'a'", "unknown key 'terms'; known: ..term.."),
        ("term = 3", "unknown key 'term'"),
        ("term = [3]", "term 1 must be a table"),
        ("[[term]]\ntext = 'a'\ncategory = 'b'\nscore = 1\nweight = 2", "term 1: unknown key 'weight'"),
        ("[[term]]\ntext = 'a'\nscore = 1", "text and category must be given"),
        ("[[term]]\ntext = 'a'\ncategory = 'b'", "score is None"),
        ("[[term]]\ntext = 'a'\ncategory = 'b'\nscore = true", "score is True"),
        ("[[term]]\ntext = 'a'\ncategory = 'b'\nscore = 1.5", "score 1.5: expected a number in"),
        ("[[term]]\ntext = 'a'\ncategory = 'b'\nscore = nan", "score nan"),
        ("[[term]]\ntext = '\u200b'\ncategory = 'b'\nscore = 1", "neither may be empty"),
        ("[[term", "is not valid TOML"),
    ],
)
def test_from_toml_refuses(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LexicalFilter.from_toml(_toml(tmp_path, text))


def test_from_toml_of_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        LexicalFilter.from_toml(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"word,severity_rating\na,1\n", "lacks the column 'text'"),
        (b"", "lacks the column 'text'"),
        (b"text,severity_rating\na,bad\n", "line 2: severity_rating is 'bad'"),
        (b"text,severity_rating\na\n", "line 2: severity_rating is None"),
        (b"text,severity_rating\na,-1\n", "line 2: expected a text and a rating"),
        (b"text,severity_rating\na,nan\n", "line 2: expected a text and a rating"),
        (b"text,severity_rating\n,1\n", "line 2: expected a text and a rating"),
        (b"text,severity_rating\n\xff,1\n", "cannot be read"),
    ],
)
def test_from_asset_refuses(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "lexicon.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        LexicalFilter.from_asset(path)


def test_from_asset_of_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        LexicalFilter.from_asset(tmp_path / "nowhere.csv")


@pytest.mark.shared
def test_public_lexicon_flags_slurs_and_spares_identities(shared_data: Path) -> None:
    filter_ = LexicalFilter.from_asset(shared_data / "profanity_lexicon_en" / "profanity_lexicon_en.csv")
    flagged = ["you faggot", "fucking hell", "what a c0cksucker", "nigger"]
    spared = [
        "I am gay",
        "a lesbian couple",
        "black people",
        "the Jewish holiday",
        "oh my god",
        "sex education",
        "he is queer",
    ]
    spared += [
        "kill the process",
        "my anus hurts",
        "Peter sat on a nuggets box",
        "the Moor hen and the coot",
        "a nonce in TLS",
    ]
    assert (filter_.score_batch(flagged) >= 0.6).all()
    assert (filter_.score_batch(spared) <= 0.2).all()
