"""Every filter implementation under contract, one factory each: add yours here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from guard.filters.callable import CallableFilter, RegexFilter
from guard.filters.detoxify import DetoxifyFilter
from guard.filters.encoder import EncoderFilter
from guard.filters.lexical import LexicalFilter, Term
from guard.schema import Filter
from tests.guard.filters.tiny import write_tiny_detoxify
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert

__all__ = ["FACTORIES", "Factory"]

Factory = Callable[[Path], Filter[str]]
"""Makes a small filter; the folder is empty and may be written to."""


def _lexical(_: Path) -> Filter[str]:
    return LexicalFilter([Term("you", "address", 0.3), Term("awful", "insult", 0.8), Term("傻瓜", "insult", 0.9)])


def _regex(_: Path) -> Filter[str]:
    return RegexFilter({"insult": [r"\bawful\b"], "number": [r"\d+"]})


def _callable(_: Path) -> Filter[str]:
    def share_of_vowels(text: str) -> float:
        n_vowels = len(re.findall("[aeiou]", text))
        return n_vowels / (n_vowels + 1000)

    return CallableFilter(share_of_vowels, categories=["vowels"])


def _detoxify(folder: Path) -> Filter[str]:
    return DetoxifyFilter.load(write_tiny_detoxify(folder), token_budget=4096)


def _encoder(folder: Path) -> Filter[str]:
    base, adapter = write_tiny_bert(folder / "base"), write_tiny_adapter(folder / "adapter")
    return EncoderFilter.load(base=base, weights=adapter)


FACTORIES: dict[str, Factory] = {
    "callable": _callable,
    "detoxify": _detoxify,
    "encoder": _encoder,
    "lexical": _lexical,
    "regex": _regex,
}
