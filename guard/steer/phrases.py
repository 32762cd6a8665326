"""Phrases that may not be written, however they are cut into tokens."""

from __future__ import annotations

import bisect
import codecs
import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from transformers import LogitsProcessor

from guard.errors import ConfigError
from guard.steer.vocabulary import token_bytes

__all__ = ["BannedPhrases", "Trail"]

_MOST_CACHED = 4096
_NO_SPACES = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0xA4CF), (0xF900, 0xFAFF),
              (0x20000, 0x3FFFF))  # fmt: skip  # Thai, Lao, Myanmar, Khmer, Chinese, Japanese: no blanks between words


class Trail(NamedTuple):
    """What has to be known of a text to go on banning.

    Attributes
    ----------
    nodes : frozenset of int
        Where in the trie the phrases stand that have begun.
    after_word : bool
        The last character belongs to a word.
    after_blank : bool
    pending : bytes
        Bytes of a character that is not whole yet.
    """

    nodes: frozenset[int] = frozenset()
    after_word: bool = False
    after_blank: bool = True
    pending: bytes = b""


@dataclass(frozen=True)
class _Token:
    text: str
    odd: bool  # begins within a character


class BannedPhrases:
    """A trie of phrases over the text, not over tokens.

    Case, accents, invisible characters, compatibility forms and the width of blanks do not matter. A phrase is found as
    whole words: "ass" bans no "class". What comes after a token is not known yet, so a token that ends with the phrase
    is banned, also where a longer word could have followed in the next token; one that holds the longer word passes.

    Parameters
    ----------
    phrases : sequence of str
    tokenizer : transformers.PreTrainedTokenizerBase

    Attributes
    ----------
    digest : str
        12 hex digits of the digest of the folded phrases.

    Raises
    ------
    ConfigError
        No phrase, or one without any visible character.

    Notes
    -----
    A step of a row costs one look at each new character, and one look-up of the tokens that are banned where the text
    stands now; those are found by bisection in the sorted vocabulary at the first visit.
    """

    def __init__(self, phrases: Sequence[str], tokenizer: Any) -> None:
        folded = [_folded(phrase).strip() for phrase in phrases]
        if not folded or not all(folded):
            raise ConfigError(f"banned phrases {list(phrases)[:5]}: give at least one, each with visible characters")
        self.digest = hashlib.sha256(repr(sorted(folded)).encode()).hexdigest()[:12]
        self._children: list[dict[str, int]] = [{}]
        self._final: set[int] = set()
        for phrase in folded:
            self._add(phrase)
        self._bytes = token_bytes(tokenizer)
        self._tokens = [_token(spelt) for spelt in self._bytes]
        self._sorted = sorted((token.text, index) for index, token in enumerate(self._tokens) if token.text)
        self._inside = {after: self._found_inside(after) for after in (False, True)}
        self._banned: dict[Trail, tuple[int, ...]] = {}

    def advance(self, trail: Trail, token: int) -> Trail:
        """Return the trail after one more token."""
        spelt = self._bytes[token] if token < len(self._bytes) else b""
        text, pending = _decoded(trail.pending + spelt)
        for letter in _folded(text):
            trail = self._read(trail, letter)
        return trail._replace(pending=pending)

    def banned(self, trail: Trail) -> tuple[int, ...]:
        """Return the tokens that would complete a phrase, in ascending order."""
        found = self._banned.get(trail)
        if found is None:
            if len(self._banned) >= _MOST_CACHED:
                self._banned.clear()
            found = self._banned[trail] = tuple(sorted(self._find(trail)))
        return found

    def mask(self, logits: torch.Tensor, trails: Sequence[Trail]) -> torch.Tensor:
        """Return the logits with those of banned tokens at minus infinity.

        Parameters
        ----------
        logits : torch.Tensor
            Shape (n_rows, n_vocabulary).
        trails : sequence of Trail
            One a row.
        """
        banned = [self.banned(trail) for trail in trails]
        rows = [row for row, tokens in enumerate(banned) for _ in tokens]
        if not rows:
            return logits
        columns = [token for tokens in banned for token in tokens]
        logits = logits.clone()
        logits[rows, columns] = float("-inf")
        return logits

    def processor(self, prompt_width: int) -> LogitsProcessor:
        """Return a processor for ``model.generate``, for one batch.

        Parameters
        ----------
        prompt_width : int
            Columns of the batch that hold prompts: phrases are looked for in what comes after.
        """
        return _Processor(self, prompt_width)

    def _add(self, phrase: str) -> None:
        node = 0
        for letter in phrase:
            if letter not in self._children[node]:
                self._children[node][letter] = len(self._children)
                self._children.append({})
            node = self._children[node][letter]
        self._final.add(node)

    def _read(self, trail: Trail, letter: str) -> Trail:
        """Follow one folded character."""
        if letter == " " and trail.after_blank:
            return trail
        nodes = {self._children[node].get(letter, 0) for node in trail.nodes}
        if not (trail.after_word and _in_word(letter)):
            nodes.add(self._children[0].get(letter, 0))
        return Trail(frozenset(nodes - {0}), _in_word(letter), letter == " ")

    def _rests(self, node: int) -> Iterator[str]:
        """Yield what is missing of each phrase that has come as far as a node."""
        waiting = [(node, "")]
        while waiting:
            place, rest = waiting.pop()
            if rest and place in self._final:
                yield rest
            waiting += [(child, rest + letter) for letter, child in self._children[place].items()]

    def _find(self, trail: Trail) -> set[int]:
        if trail.pending:
            whole = self._read(trail._replace(pending=b""), "\ufffd")
            odd = {i for i, token in enumerate(self._tokens) if token.odd and self._completes(trail, i)}
            return odd | {i for i in self._find(whole) if not self._tokens[i].odd}
        found = set(self._inside[trail.after_word])
        for node in trail.nodes:
            for rest in self._rests(node):
                found |= self._beginning(rest)
                if trail.after_blank:  # a second blank does not count
                    found |= self._beginning(f" {rest}")
        return found

    def _beginning(self, rest: str) -> set[int]:
        """Return the tokens that begin with the rest of a phrase, as whole words."""
        start = bisect.bisect_left(self._sorted, (rest, -1))
        found = set()
        for text, index in self._sorted[start:]:
            if not text.startswith(rest):
                break
            if _ends_word(text, len(rest)):
                found.add(index)
        return found

    def _found_inside(self, after_word: bool) -> frozenset[int]:
        """Return the tokens that hold a whole phrase themselves, after a word or not."""
        return frozenset(
            index
            for index, token in enumerate(self._tokens)
            if any(self._from(token.text, start) for start in _starts(token.text, after_word))
        )

    def _from(self, text: str, start: int) -> bool:
        """Tell whether a phrase begins at a place and ends in the same text."""
        node = 0
        for place in range(start, len(text)):
            node = self._children[node].get(text[place], 0)
            if not node:
                return False
            if node in self._final and _ends_word(text, place + 1):
                return True
        return False

    def _completes(self, trail: Trail, token: int) -> bool:
        """Try one token, where half a character comes before it."""
        text = _folded(_decoded(trail.pending + self._bytes[token])[0])
        trail = trail._replace(pending=b"")
        for place, letter in enumerate(text):
            trail = self._read(trail, letter)
            if trail.nodes & self._final and _ends_word(text, place + 1):
                return True
        return False


class _Processor(LogitsProcessor):  # type: ignore[misc]  # transformers ships no types
    """Follows the rows of one batch of ``model.generate``."""

    def __init__(self, phrases: BannedPhrases, prompt_width: int) -> None:
        self._phrases, self._seen = phrases, prompt_width
        self._trails: list[Trail] | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Ban what would complete a phrase; shapes (n_rows, width) and (n_rows, n_vocabulary)."""
        new = input_ids[:, self._seen :].tolist()
        self._seen = input_ids.shape[1]
        trails = self._trails or [Trail()] * len(new)
        for row, tokens in enumerate(new):
            for token in tokens:
                trails[row] = self._phrases.advance(trails[row], token)
        self._trails = trails
        return self._phrases.mask(scores, trails)


@lru_cache(maxsize=65536)
def _folded_letter(letter: str) -> str:
    if letter.isspace():
        return " "
    plain = unicodedata.normalize("NFKD", letter).casefold()
    kept = (c for c in unicodedata.normalize("NFKD", plain) if unicodedata.category(c) not in ("Mn", "Cf", "Cc"))
    return "".join(" " if c.isspace() else c for c in kept)


def _folded(text: str) -> str:
    """Fold character by character, so that a text folds the same in any pieces; runs of blanks become one."""
    folded = "".join(map(_folded_letter, text))
    while "  " in folded:
        folded = folded.replace("  ", " ")
    return folded


def _decoded(spelt: bytes) -> tuple[str, bytes]:
    """Split into whole characters and the bytes of one that is not whole."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(spelt)
    return text, decoder.getstate()[0]


def _token(spelt: bytes) -> _Token:
    return _Token(_folded(_decoded(spelt)[0]), odd=bool(spelt) and 0x80 <= spelt[0] < 0xC0)


def _in_word(letter: str) -> bool:
    code = ord(letter)
    return (letter.isalnum() or letter == "_") and not any(low <= code <= high for low, high in _NO_SPACES)


def _ends_word(text: str, end: int) -> bool:
    """Tell whether no word goes on at a place, as far as the text tells."""
    return end == len(text) or not (_in_word(text[end - 1]) and _in_word(text[end]))


def _starts(text: str, after_word: bool) -> Iterator[int]:
    """Yield the places at which a phrase may begin."""
    for place, letter in enumerate(text):
        if not (after_word and _in_word(letter)):
            yield place
        after_word = _in_word(letter)
