from __future__ import annotations

from pathlib import Path

import pytest

from guard.attacks.schema import Ask, RandomSource
from guard.attacks.transformations.wordnet import SwapSynonym
from guard.attacks.transformations.wordnet_files import WordNet, find_wordnet
from guard.attacks.words import AttackedText
from guard.errors import ConfigError, DataError
from tests.guard.attacks.transformations.tiny_wordnet import SENSES, write_tiny_wordnet


@pytest.mark.parametrize(
    ("word", "synonyms"),
    [
        ("dog", ("chase", "hound", "tail")),  # noun and verb; the lemma of two words is left out
        ("Dogs", ("chase", "dog", "hound", "tail")),
        ("geese", ("Gans", "goose")),  # irregular
        ("went", ("go", "travel")),
        ("liked", ("enjoy", "like")),
        ("better", ("good", "just", "upright")),  # a mark of position is not part of the lemma
        ("well", ("good",)),
        ("days", ("day", "daylight")),
        ("cat", ()),
        ("aardvark", ()),
        ("zzz", ()),
        ("", ()),
    ],
)
def test_synonyms(tmp_path: Path, word: str, synonyms: tuple[str, ...]) -> None:
    assert WordNet(write_tiny_wordnet(tmp_path)).synonyms(word) == synonyms


def test_every_lemma_is_found(tmp_path: Path) -> None:
    wordnet = WordNet(write_tiny_wordnet(tmp_path))
    for senses in SENSES.values():
        for sense in senses:
            single = {lemma.split("(")[0] for lemma in sense if "_" not in lemma}
            for word in single:
                assert single - {word} <= set(wordnet.synonyms(word))


def test_swap_keeps_what_stands_around(tmp_path: Path) -> None:
    text = AttackedText.of("My dog, well.")
    (found,) = SwapSynonym(write_tiny_wordnet(tmp_path)).propose([Ask(text, (1, 2), text, 0, RandomSource(0))])
    assert [new.text for new in found] == ["My chase, well.", "My hound, well.", "My tail, well.", "My dog, good."]


def test_missing_database_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="apt install wordnet-base"):
        find_wordnet([tmp_path])
    with pytest.raises(DataError, match="cannot be read"):
        WordNet(tmp_path)


def test_database_is_looked_for_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_wordnet(tmp_path)
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    assert find_wordnet() == tmp_path
    monkeypatch.delenv("WNSEARCHDIR")
    corpus = tmp_path / "corpora" / "wordnet"
    corpus.mkdir(parents=True)
    write_tiny_wordnet(corpus)
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    assert find_wordnet() in (corpus, Path("/usr/share/wordnet"))


def test_installed_database() -> None:
    try:
        folder = find_wordnet()
    except ConfigError as error:
        pytest.skip(str(error))
    wordnet = WordNet(folder)
    assert {"auto", "automobile", "machine"} <= set(wordnet.synonyms("cars"))
    assert "good" in wordnet.synonyms("better")
    assert wordnet.synonyms("zyrian") == ("Komi", "Zyrian")  # the last of the nouns
