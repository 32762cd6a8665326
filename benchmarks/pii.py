"""Milliseconds a text, and identifiers found: the pii filter beside Presidio's own recognisers on the whole text.

Presidio runs here as its engine would run them without a language model: every English pattern recogniser and the
phone recogniser on every text, each finding at its own score. Both see the same texts in the same process. The other
rule filters, secrets and domain, are timed too.

Run ``python -m benchmarks.pii [--repeats 5]``; figures go to ``benchmarks/results/pii.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import tldextract
from presidio_analyzer.recognizer_registry import RecognizerRegistry

from guard.filters.domain import DomainFilter
from guard.filters.pii import PiiFilter
from guard.filters.secrets import SecretsFilter

RESULTS = Path(__file__).parent / "results" / "pii.json"
PROSE = (
    "The train was late again, so we walked along the river and talked about the film. You are the kindest person I "
    "know, and I would not want to work with anyone else. Please send me the invoice for last month. "
)
IDENTIFIERS = {
    "e-mail": "jo.smith@example.org",
    "card": "4111 1111 1111 1111",
    "phone": "+44 20 7946 0958",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "social security": "457-55-5462",
}
CHARACTERS_A_TOKEN = 4.4
N_TEXTS = 40


def texts_of(n_tokens: int, *, identified: bool) -> list[str]:
    """Return texts of about so many tokens, with one identifier in the middle of each where asked for."""
    length = round(n_tokens * CHARACTERS_A_TOKEN)
    texts = []
    for index in range(N_TEXTS):
        text = (PROSE * 20)[index : index + length]
        value = list(IDENTIFIERS.values())[index % len(IDENTIFIERS)]
        texts.append(f"{text[: length // 2]} {value} {text[length // 2 :]}" if identified else text)
    return texts


def presidio() -> Callable[[Sequence[str]], list[float]]:
    """Return a function from texts to the highest score that Presidio's recognisers give each."""
    # Its e-mail recogniser would fetch a list from the network on first use; here it takes the list that comes along.
    tldextract.extract.__globals__["TLD_EXTRACTOR"] = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    names = {"SpacyRecognizer", "UrlRecognizer", "DateRecognizer"}
    recognizers = [r for r in registry.recognizers if r.name not in names]

    def score(texts: Sequence[str]) -> list[float]:
        found = []
        for text in texts:
            results = [result for r in recognizers for result in r.analyze(text, r.supported_entities, None) or ()]
            found.append(max((result.score for result in results), default=0.0))
        return found

    return score


def milliseconds(run: Callable[[Sequence[str]], object], texts: Sequence[str], *, repeats: int) -> float:
    """Return the median time a text."""
    run(texts)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run(texts)
        times.append((time.perf_counter() - started) / len(texts) * 1000)
    return round(statistics.median(times), 4)


def hidden(value: str) -> str:
    """Put a zero-width space into a value."""
    return f"{value[: len(value) // 2]}\u200b{value[len(value) // 2 :]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    pii, peer = PiiFilter(), presidio()
    runs: dict[str, Callable[[Sequence[str]], object]] = {
        "pii": pii.score_batch,
        "Presidio's recognisers": peer,
        "secrets": SecretsFilter().score_batch,
        "domain": DomainFilter().score_batch,
    }
    speed = {}
    for n_tokens in (40, 400):
        for identified in (False, True):
            texts = texts_of(n_tokens, identified=identified)
            kind = f"{n_tokens} tokens, {'one identifier' if identified else 'prose'}"
            speed[kind] = {name: milliseconds(run, texts, repeats=repeats) for name, run in runs.items()}
    found = {}
    for kind, change in (("plain", str), ("zero-width space", hidden)):
        values = [f"Here it is: {change(value)} as asked" for value in IDENTIFIERS.values()]
        ours, theirs = pii.score_batch(values)[:, 0], peer(values)
        found[kind] = {"pii": int((ours >= 0.5).sum()), "Presidio's recognisers": sum(s >= 0.4 for s in theirs)}
    result = {"settings": {"repeats": repeats, "texts": N_TEXTS}, "milliseconds a text": speed, "found of 5": found}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
