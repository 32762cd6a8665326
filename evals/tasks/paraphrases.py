"""Questions with one right answer in several wordings, typos that leave the answer readable, and answers read back."""

from __future__ import annotations

import importlib.resources
import random
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evals.perturb import PERTURBATIONS

__all__ = ["WORDINGS", "WordedQuestion", "plain", "shipped_questions", "with_typos"]

WORDINGS = ("clean", "paraphrase", "reordered", "typo")
"""The first is what the others are held against."""

_TYPOS = ("swap", "delete", "insert")
_RATE = 0.3
_SHORTEST_WORD = 4
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")


@dataclass(frozen=True)
class WordedQuestion:
    """One question, its wordings and how an answer to it is read.

    Parameters
    ----------
    id, kind : str
    wordings : mapping of str to str
        Keys of :data:`WORDINGS` without ``typo``; ``reordered`` only where there is another order.
    answers : tuple of str
        Spellings of the right answer, the usual one first.
    others : tuple of str
        Wrong answers that are recognised.
    """

    id: str
    kind: str
    wordings: Mapping[str, str]
    answers: tuple[str, ...]
    others: tuple[str, ...] = ()

    def read(self, text: str) -> str | None:
        """Return the answer that a text gives: the first of the known ones in it, or the first new number.

        Parameters
        ----------
        text : str

        Returns
        -------
        str or None
            The usual spelling of the right answer, a wrong answer in lower case, or None where none is found.
        """
        spellings = {plain(answer): plain(self.answers[0]) for answer in self.answers}
        spellings |= {plain(other): plain(other) for other in self.others}
        known = "|".join(sorted(map(re.escape, spellings), key=len, reverse=True))
        found = [(m.start(), spellings[m[0]]) for m in re.finditer(rf"\b(?:{known})\b", plain(text))]
        if self.kind == "arithmetic":
            found += self._numbers(plain(text))
        return min(found)[1] if found else None

    def _numbers(self, text: str) -> Iterator[tuple[int, str]]:
        """Numbers of the question are taken for its repetition and not for an answer."""
        asked = {number for wording in self.wordings.values() for number in _NUMBER.findall(wording)}
        spelled = {plain(answer) for answer in self.answers}
        return ((m.start(), m[0]) for m in _NUMBER.finditer(text) if m[0] not in asked and m[0] not in spelled)

    def typo(self, seed: int) -> str:
        """Return the clean wording with typos; no answer that could be given is misspelt."""
        kept = {word for answer in (*self.answers, *self.others) for word in plain(answer).split()}
        return with_typos(self.wordings["clean"], seed=seed, keep=kept)


def with_typos(text: str, *, seed: int, keep: Iterable[str] = ()) -> str:
    """Misspell three in ten of the longer words in lower case, one at least.

    Parameters
    ----------
    text : str
        Words are apart by single spaces.
    seed : int
    keep : iterable of str
        Words, in lower case, that stay as they are. Names and numbers stay too, unless there is nothing else.

    Returns
    -------
    str
        Two neighbouring letters exchanged, a letter left out or a letter doubled in each word that is touched.
    """
    rng = random.Random(f"typos/{seed}")  # noqa: S311 - a str seeds alike in every process
    words, kept = text.split(" "), set(keep)
    bare = [re.sub(r"\W+$", "", word) for word in words]
    long = [i for i, w in enumerate(bare) if len(w) >= _SHORTEST_WORD and w.isalpha() and w.lower() not in kept]
    candidates = [i for i in long if bare[i].islower()] or long
    if candidates:
        for i in rng.sample(candidates, max(1, round(_RATE * len(candidates)))):
            words[i] = _misspelt(bare[i], rng) + words[i][len(bare[i]) :]
    return " ".join(words)


def _misspelt(word: str, rng: random.Random) -> str:
    """Try the ways in drawn order until one changes the word, as an exchange of two equal letters does not."""
    for way in rng.sample(_TYPOS, len(_TYPOS)):
        changed = PERTURBATIONS[way](word, rng)
        if changed != word:
            return changed
    return word


def plain(text: str) -> str:
    """Return a text in lower case with single spaces and without punctuation at its ends."""
    return re.sub(r"^\W+|\W+$", "", " ".join(text.lower().split()))


def shipped_questions() -> list[WordedQuestion]:
    """Return the questions that ship with Assay."""
    text = importlib.resources.files("evals").joinpath("data/invariance_questions.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    capitals = [question["answers"][0] for question in document["question"] if question["kind"] == "capital"]
    pools = {**document["others"], "capital": [*document["others"]["capital"], *capitals]}
    return [_question(table, pools) for table in document["question"]]


def _question(table: Mapping[str, Any], pools: Mapping[str, list[str]]) -> WordedQuestion:
    wordings = {"clean": table["question"], "paraphrase": table["paraphrase"]}
    if "reordered" in table:
        wordings["reordered"] = table["reordered"]
    answers = tuple(table["answers"])
    others = [other for other in (*table.get("others", ()), *pools.get(table["kind"], ())) if other not in answers]
    return WordedQuestion(table["id"], table["kind"], wordings, answers, tuple(others))
