"""Every filter implementation under contract, one factory each: add yours here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from guard.filters.callable import CallableFilter, RegexFilter
from guard.filters.cascade import CascadeFilter
from guard.filters.detoxify import DetoxifyFilter
from guard.filters.domain import DomainFilter
from guard.filters.encoder import EncoderFilter
from guard.filters.generative import GenerativeGuardFilter
from guard.filters.lexical import LexicalFilter, Term
from guard.filters.ngram import NgramFilter
from guard.filters.pii import PiiFilter
from guard.filters.secrets import SecretsFilter
from guard.filters.transformer import TransformerFilter
from guard.schema import Filter
from tests.guard.filters.tiny import write_tiny_detoxify
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert
from tests.guard.filters.tiny_classifier import write_tiny_classifier
from tests.guard.filters.tiny_guard import GUARDS, write_tiny_guard

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


def _encoder_with_slips(folder: Path) -> Filter[str]:
    base, adapter = write_tiny_bert(folder / "base"), write_tiny_adapter(folder / "adapter")
    config = json.loads((adapter / "config.json").read_text(encoding="utf-8"))
    slips = {"charged": ["stupid"], "categories": ["toxicity", "refusal"]}
    (adapter / "config.json").write_text(json.dumps(config | {"slips": slips}), encoding="utf-8")
    return EncoderFilter.load(base=base, weights=adapter)


def _transformer(folder: Path) -> Filter[str]:
    return TransformerFilter.load(write_tiny_classifier(folder, labels=["a", "b"]))


def _llama_guard(folder: Path) -> Filter[str]:
    return GenerativeGuardFilter.load("llama-guard", write_tiny_guard(folder, GUARDS["llama-guard"]))


def _shieldgemma(folder: Path) -> Filter[str]:
    # One policy: each is a forward pass more.
    policies = {"harassment": '"No Harassment": none.'}
    return GenerativeGuardFilter.load(
        "shieldgemma", write_tiny_guard(folder, GUARDS["shieldgemma"]), stage="output", policies=policies
    )


def _ngram(_: Path) -> Filter[str]:
    return NgramFilter.load()


def _cascade(folder: Path) -> Filter[str]:
    def by_length(text: str) -> dict[str, float]:
        return dict.fromkeys(("insult", "number"), min(1.0, len(text) / 1000))

    cheap = CallableFilter(by_length, categories=("insult", "number"))
    return CascadeFilter(cheap, _regex(folder), low=0.005)


def _pii(_: Path) -> Filter[str]:
    return PiiFilter()


def _secrets(_: Path) -> Filter[str]:
    return SecretsFilter()


def _domain(_: Path) -> Filter[str]:
    return DomainFilter()


FACTORIES: dict[str, Factory] = {
    "callable": _callable,
    "cascade": _cascade,
    "detoxify": _detoxify,
    "domain": _domain,
    "encoder": _encoder,
    "encoder with slips": _encoder_with_slips,
    "lexical": _lexical,
    "pii": _pii,
    "secrets": _secrets,
    "llama-guard": _llama_guard,
    "ngram": _ngram,
    "regex": _regex,
    "shieldgemma": _shieldgemma,
    "transformer": _transformer,
}
