"""Counting the words of permissive text sets into the word list that ships, most frequent first."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["build", "main"]

TARGET = Path(__file__).with_name("words.txt.gz")

# File below the data folder, its column of text, and its licence. Test splits stay out.
_SETS = (
    ("banking77/banking77.csv", "text", "CC-BY-4.0"),
    ("clinc150/clinc150.csv", "text", "CC-BY-3.0"),
    ("convabuse/convabuse.csv", "text", "CC-BY-4.0"),
    ("davidson_twitter/davidson_twitter.csv.gz", "text", "MIT"),
    ("diasafety/diasafety.csv.gz", "response", "Apache-2.0"),
    ("dynahate/dynahate.csv.gz", "text", "CC-BY-4.0"),
    ("edos_sexism/edos_sexism.csv.gz", "text", "CC0-1.0"),
    ("gptfuzz_responses/gptfuzz_responses.csv.gz", "response", "MIT"),
    ("harmfulqa/harmfulqa.csv", "prompt", "Apache-2.0"),
    ("implicit_hate/implicit_hate.csv.gz", "text", "MIT"),
    ("measuring_hate/measuring_hate.csv.gz", "text", "CC-BY-4.0"),
    ("multidogo_customer/multidogo_customer.csv.gz", "text", "CDLA-Permissive-1.0"),
    ("sentiment_vader/sentiment_vader.csv.gz", "text", "MIT"),
    ("toxic_spans/toxic_spans.csv.gz", "text", "CC0-1.0"),
    ("inthewild_jailbreaks/inthewild_jailbreaks.jsonl", "text", "Apache-2.0"),
)
_PLAIN = ("plain_text/tinyshakespeare.txt",)
_LEXICON = "profanity_lexicon_en/profanity_lexicon_en.csv"  # MIT

_WORD = re.compile(r"(?<![^\s\"'(\[*_])[a-z]+(?:['\u2019][a-z]+)?(?![\w@#$*/]|[.-]\w)")
_STRETCHED = re.compile(r"(.)\1\1|^(.)\2")
_VOWEL = re.compile("[aeiouy]")
_LEAST_ACRONYM = 60
_LEAST_COUNT = {1: 1_000_000, 2: 150, 3: 25}  # a short word must be frequent: most short strings are slips
_USUAL_COUNT = 5
_MOST_WORDS = 30_000
_LETTERS = frozenset({"a", "i", "u"})
_LONGEST_WORD = 20
_STRONG = 1.6  # of 3: the rating of the lexicon


def build(data: Path) -> tuple[list[str], list[str]]:
    """Return the words of the sets, most frequent first, and the strong swear words, which are all among them.

    Parameters
    ----------
    data : Path
        Folder that holds one folder a set.

    Returns
    -------
    (list of str, list of str)
        Small letters only; an apostrophe is left out, as people do.
    """
    counts: Counter[str] = Counter()
    for text in _texts(data):
        counts.update(word.replace("'", "").replace("\u2019", "") for word in _WORD.findall(text.lower()))
    kept = [word for word, count in counts.most_common() if _is_word(word, count)][:_MOST_WORDS]
    known = set(kept)
    with (data / _LEXICON).open(encoding="utf-8-sig", newline="") as file:
        strong = {row["text"].lower() for row in csv.DictReader(file) if float(row["severity_rating"]) >= _STRONG}
    swears = sorted(word for word in strong if word.isascii() and word.isalpha() and len(word) > 3)
    return kept + [word for word in swears if word not in known], swears


def _is_word(word: str, count: int) -> bool:
    if word in _LETTERS:
        return True
    if len(word) > _LONGEST_WORD or _STRETCHED.search(word):
        return False
    if not _VOWEL.search(word) and count < _LEAST_ACRONYM:
        return False
    return count >= _LEAST_COUNT.get(len(word), _USUAL_COUNT)


def _texts(data: Path) -> Iterator[str]:
    for file, column, _ in _SETS:
        for row in _rows(data / file):
            if row.get("split") != "test":
                yield str(row[column])
    for file in _PLAIN:
        yield (data / file).read_text(encoding="utf-8")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        if ".jsonl" in path.name:
            yield from map(json.loads, file)
        else:
            yield from csv.DictReader(file)


def main(argv: Sequence[str] | None = None) -> None:
    """Build the list and replace the one that ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds one folder a set")
    words, swears = build(parser.parse_args(argv).data)
    scratch = TARGET.with_suffix(".tmp")
    scratch.write_bytes(gzip.compress("\n".join([*words, "", *swears]).encode("ascii"), 9, mtime=0))
    os.replace(scratch, TARGET)


if __name__ == "__main__":
    main()
