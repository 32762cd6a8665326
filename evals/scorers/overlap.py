"""How much an answer has in common with a reference: the same text, the reference in it, ROUGE-L, chrF."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from evals.scorers.text import words

__all__ = ["chrf", "contains", "exact_match", "rouge_l"]

_CHRF_ORDER, _CHRF_BETA = 6, 2
_SPACES = re.compile(r"\s+")
_EDGES = " .,;:!?。，；：！？、…\"'`“”‘’«»()[]（）【】*_"
_WORD = re.compile(r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def exact_match(answer: str, reference: str) -> float:
    """Return 1 where an answer is the reference, 0 where it is not.

    Case, spaces, typographic forms (NFKC) and marks at both ends are not looked at; marks inside are, so that "3.5" is
    not "35" and "-3" is not "3".

    Examples
    --------
    >>> exact_match(" Paris. ", "paris"), exact_match("It is Paris.", "Paris")
    (1.0, 0.0)
    """
    return float(_plain(answer) == _plain(reference))


def contains(answer: str, reference: str) -> float:
    """Return 1 where the reference stands in an answer as a whole word or number, 0 where it does not.

    It cannot see a negation: "not Paris" contains Paris. Where a script has no spaces, any place will do.

    Examples
    --------
    >>> contains("It is Paris, I think.", "Paris"), contains("13.5 litres", "3"), contains("答案是北京市", "北京")
    (1.0, 0.0, 1.0)
    """
    wanted, text = _plain(reference), f" {_plain(answer)} "
    if not wanted:
        return 0.0
    before = r"(?<!\w)(?<!\d[.,])(?<!\s-)" if _WORD.match(wanted) else ""
    after = r"(?![.,]?\d)(?!\w)" if _WORD.match(wanted[-1]) else ""
    return float(re.search(before + re.escape(wanted) + after, text) is not None)


def rouge_l(answer: str, reference: str) -> float | None:
    """Return ROUGE-L: the F1 of the longest common subsequence of words.

    Lin 2004, "ROUGE: A package for automatic evaluation of summaries", section 3.1 with beta = 1, as rouge-score has
    it, without stemming. Words are those of :func:`evals.scorers.text.words`: rouge-score drops everything but ASCII
    letters and digits, so that it gives Chinese 0.

    Returns
    -------
    float or None
        In [0, 1]; None where the reference has no words.

    Examples
    --------
    >>> rouge_l("the cat sat", "the cat lay there")
    0.5714285714285715
    """
    said, known = words(answer), words(reference)
    if not known:
        return None
    common = _common(said, known)
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(known)
    return 2 * precision * recall / (precision + recall)


def chrf(answer: str, reference: str) -> float | None:
    """Return chrF2: the F-score of character n-grams up to 6, with recall weighing twice as much.

    Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation", with the averaging and the defaults of
    sacrebleu: case counts, spaces do not, orders that one of both texts is too short for are left out.

    Returns
    -------
    float or None
        In [0, 1], where sacrebleu has 0 to 100; None where the reference has no characters.

    Examples
    --------
    >>> round(chrf("the cat", "the cats") or 0, 4)
    0.7968
    """
    said, known = "".join(answer.split()), "".join(reference.split())
    if not known:
        return None
    pairs = []
    for n in range(1, min(_CHRF_ORDER, len(said), len(known)) + 1):
        mine, theirs = _character_ngrams(said, n), _character_ngrams(known, n)
        matched = (mine & theirs).total()
        pairs.append((matched / mine.total(), matched / theirs.total()))
    precision = sum(p for p, _ in pairs) / len(pairs) if pairs else 0.0
    recall = sum(r for _, r in pairs) / len(pairs) if pairs else 0.0
    weight = _CHRF_BETA**2
    return (1 + weight) * precision * recall / (weight * precision + recall) if precision + recall else 0.0


def _character_ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[start : start + n] for start in range(len(text) - n + 1))


def _plain(text: str) -> str:
    """Return a text as two of them are compared."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip(_EDGES)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, a row of the table at once as the bits of a number.

    Hyyrö 2004, "Bit-parallel LCS-length computation revisited", figure 2.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(second)) - 1
    row = whole
    for word in first:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & whole
    return len(second) - row.bit_count()
