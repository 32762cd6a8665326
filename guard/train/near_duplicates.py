"""Grouping of texts that share much of their wording, so that a split never parts two versions of one prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from guard.train.rows import normal_form

__all__ = ["near_duplicate_groups", "near_duplicate_sets"]

_SKETCH = 48
_SHINGLE_WORDS = 5


def _sketch(text: str) -> frozenset[int]:
    """Return the smallest hashes of the word 5-grams: a sample in which overlap estimates that of the texts."""
    words = normal_form(text).split()
    shingles = {
        " ".join(words[start : start + _SHINGLE_WORDS]) for start in range(max(1, len(words) - _SHINGLE_WORDS + 1))
    }
    hashes = (hashlib.blake2b(shingle.encode("utf-8", "surrogatepass"), digest_size=8).digest() for shingle in shingles)
    return frozenset(sorted(int.from_bytes(digest, "big") for digest in hashes)[:_SKETCH])


def near_duplicate_groups(texts: Sequence[str], *, overlap: float = 0.2) -> list[str]:
    """Name the group of near-duplicates that each text belongs to.

    Parameters
    ----------
    texts : sequence of str
    overlap : float
        Share of the smaller sketch that two texts must have in common, in (0, 1]. Low on purpose: parting two
        versions of one prompt flatters a test, joining two prompts only makes a split coarser.

    Returns
    -------
    list of str
        The smallest hash among the members, so the name depends on the members alone. Groups are the connected
        components of the relation.

    Notes
    -----
    Bottom-k sketches: Broder 1997, "On the resemblance and containment of documents", section 3.
    """
    sketches = [_sketch(text) for text in texts]
    roots = _roots(sketches, overlap)
    names: dict[int, int] = {}
    for root, sketch in zip(roots, sketches, strict=True):
        names[root] = min(min(sketch, default=0), names.get(root, 2**64))
    return [f"{names[root]:016x}" for root in roots]


def near_duplicate_sets(texts: Sequence[str], *, overlap: float) -> list[int]:
    """Return the number of the set of near-duplicates that each text belongs to.

    Unlike the names of :func:`near_duplicate_groups`, which two groups that share their smallest hash have in common,
    the numbers keep apart whatever does not overlap; they depend on the order of the texts.

    Parameters
    ----------
    texts : sequence of str
    overlap : float
        As for :func:`near_duplicate_groups`.
    """
    return _roots([_sketch(text) for text in texts], overlap)


def _roots(sketches: Sequence[frozenset[int]], overlap: float) -> list[int]:
    """Return one member of each text's connected component."""
    parent = list(range(len(sketches)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    holders: dict[int, list[int]] = {}
    for index, sketch in enumerate(sketches):
        shared: dict[int, int] = {}
        for value in sketch:
            for other in holders.get(value, ()):
                shared[other] = shared.get(other, 0) + 1
            holders.setdefault(value, []).append(index)
        for other, count in shared.items():
            if count >= max(1, overlap * min(len(sketch), len(sketches[other]))):
                parent[root(index)] = root(other)
    return [root(index) for index in range(len(sketches))]
