"""WordNet's own database files: a word to its synonyms, looked up on disk without loading them."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from guard.attacks.words import split_words
from guard.errors import ConfigError, DataError

__all__ = ["WordNet", "find_wordnet"]

_PARTS = ("noun", "verb", "adj", "adv")
_MARK = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand

# Endings that morphy takes off, and what it puts on (morphy(7WN), "Rules of Detachment").
_ENDINGS = {
    "noun": "s: ses:s ves:f xes:x zes:z ches:ch shes:sh men:man ies:y",
    "verb": "s: ies:y es:e es: ed:e ed: ing:e ing:",
    "adj": "er: est: er:e est:e",
    "adv": "",
}
_RULES = {part: [tuple(rule.split(":")) for rule in rules.split()] for part, rules in _ENDINGS.items()}


def find_wordnet(folders: Sequence[Path] | None = None) -> Path:
    """Return the folder with WordNet's files.

    Parameters
    ----------
    folders : sequence of pathlib.Path, optional
        Where to look; by default ``$WNSEARCHDIR``, ``$WNHOME/dict``, the folders of Linux and macOS packages, and
        where NLTK keeps its corpus.

    Raises
    ------
    ConfigError
        It is in none of them; the message says what to install.
    """
    searched = list(folders) if folders is not None else list(_usual_folders())
    for folder in searched:
        if all((folder / f"{kind}.{part}").is_file() for kind in ("index", "data") for part in _PARTS):
            return folder
    raise ConfigError(
        "WordNet's database was not found; install it (Debian and Ubuntu: apt install wordnet-base;"
        " macOS: brew install wordnet; or NLTK's corpus 'wordnet', unpacked) or set WNSEARCHDIR to its folder"
    )


def _usual_folders() -> Iterator[Path]:
    environment = os.environ
    if "WNSEARCHDIR" in environment:
        yield Path(environment["WNSEARCHDIR"])
    if "WNHOME" in environment:
        yield Path(environment["WNHOME"]) / "dict"
    yield from (Path("/usr/share/wordnet"), Path("/usr/local/share/wordnet"), Path("/opt/homebrew/opt/wordnet/dict"))
    for data in [*environment.get("NLTK_DATA", "").split(os.pathsep), "~/nltk_data", "/usr/share/nltk_data"]:
        if data:
            yield Path(data).expanduser() / "corpora" / "wordnet"


class WordNet:
    """WordNet 3.0 or 3.1, from its ``index.*``, ``data.*`` and ``*.exc`` files.

    Parameters
    ----------
    folder : pathlib.Path

    Notes
    -----
    Lookups search the sorted index files on disk (wndb(5WN)), which takes microseconds and no memory to speak of.
    """

    def __init__(self, folder: Path) -> None:
        self._index = {part: _mapped(folder / f"index.{part}") for part in _PARTS}
        self._data = {part: _mapped(folder / f"data.{part}") for part in _PARTS}
        self._exceptions = {part: _exceptions(folder / f"{part}.exc") for part in _PARTS}
        self.synonyms = lru_cache(maxsize=1 << 16)(self._synonyms)

    def _synonyms(self, word: str) -> tuple[str, ...]:
        """Return the single words that share a sense with a word or with one of its base forms, sorted.

        Parameters
        ----------
        word : str
            Looked up in lower case, as it is and by its base forms.
        """
        found = {
            lemma for part in _PARTS for form in self._forms(word.lower(), part) for lemma in self._senses(form, part)
        }
        return tuple(sorted(lemma for lemma in found - {word} if "_" not in lemma and len(split_words(lemma)) == 1))

    def _forms(self, word: str, part: str) -> list[str]:
        """Return the word and its base forms; those that WordNet lacks have no senses."""
        known = self._exceptions[part].get(word)
        if known is not None:
            return [word, *known]
        return [word, *(word[: len(word) - len(old)] + new for old, new in _RULES[part] if word.endswith(old))]

    def _senses(self, form: str, part: str) -> Iterator[str]:
        """Give the lemmas of each sense of a base form."""
        # An empty key would be the licence's.
        line = _line_of(self._index[part], form.encode(errors="replace")) if form else None
        if line is None:
            return
        fields = line.split()
        n_synsets, n_pointers = int(fields[2]), int(fields[3])
        for offset in fields[6 + n_pointers : 6 + n_pointers + n_synsets]:
            start = int(offset)
            data = self._data[part]
            sense = data[start : data.find(b"\n", start)].decode().split(" ")
            for place in range(4, 4 + 2 * int(sense[3], 16), 2):
                yield _MARK.sub("", sense[place])


def _mapped(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise DataError(f"WordNet's file {path} cannot be read ({error}); install WordNet again") from error


def _exceptions(path: Path) -> dict[str, list[str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"WordNet's file {path} cannot be read ({error.strerror or error})") from error
    return {irregular: forms for irregular, *forms in (line.split() for line in lines if line.strip())}


def _line_of(index: mmap.mmap, lemma: bytes) -> bytes | None:
    """Return the line of a lemma in a sorted index: halves the range until one line is left."""
    low, high = 0, len(index)
    while low < high:
        middle = (low + high) // 2
        start = index.rfind(b"\n", low, middle) + 1 or low
        end = index.find(b"\n", start)
        end = len(index) if end < 0 else end
        line = index[start:end]
        key = line.partition(b" ")[0]  # the licence's lines begin with a space: their key is empty and sorts first
        if key == lemma:
            return line
        if key < lemma:
            low = end + 1
        else:
            high = start
    return None
