"""Words that are spelled out, letter by letter, put together again."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator

from guard.canonical import Canonical
from guard.offsets import Edit, edited
from guard.views import words
from guard.views.chunks import Chunk, chunks, cost

__all__ = ["joined", "regrouped", "segmented"]

# Single letters, or signs that stand for letters, with a few other characters between them.
_SIGN = re.compile(r"[^\W_]|[@$]")
_CHAIN = re.compile(r"(?<![^\W_@$])(?:(?:[^\W_]|[@$])(?:[^\w@$]|_){1,6})+(?:[^\W_]|[@$])(?![^\W_@$])")
_APOSTROPHES = frozenset("'\u2019")
_WITHIN = re.compile(r"(\S)['\u2019]\1")  # an apostrophe between two of the same sign
_CLOSING = re.compile(r"(?:[^\w\s@$]|_)(?=(?:[^\w\s@$]|_)+(?:\s|\Z))")
_MOST_COST = 2.55  # nats a letter: random letters cost over 3
_LEAST_LETTERS, _LEAST_PARTED = 3, 8
_LEAST_GROUPS, _MOST_MEAN = 3, 8  # groups, and letters of a group on average
_LONGEST_WORD = 20
_NEW_WORD = 0.5  # nats, so that a longer word wins over its parts
_STRAY = 6.0  # nats of a letter that is in no known word
_SURE_LETTERS = 5  # a known word of so many letters is no fragment
_LEAST_GAIN, _LEAST_SHARE = 6.0, 0.3  # nats, and of the cost of the fragments
_LONGEST_FRAGMENT = 4.0  # letters, on average: ordinary words are longer
_LEAST_STRANGE = 0.4  # of the fragments

_Group = tuple[list[int], list[str]]
"""Places of letters that stand together, and the words that they make."""


def joined(form: Canonical) -> Canonical:
    """Join letters that stand apart, where they make words.

    Where all gaps are alike, the words are those that the letters most cheaply divide into; where some are wider, these
    part the words.
    """
    edits = [edit for chain in _CHAIN.finditer(form.text) for edit in _chain_edits(form.text, *chain.span())]
    return edited(form, edits)


def regrouped(form: Canonical) -> Canonical:
    """Divide fragments of words anew, where spaces were put inside words."""
    edits: list[Edit] = []
    run: list[Chunk] = []
    for chunk in [*chunks(form.text), None]:
        core = chunk.core if chunk else ""
        whole = len(core) >= _SURE_LETTERS and core in words.costs()
        if chunk and core.isascii() and core.replace("'", "").isalpha() and not whole:
            run.append(chunk)
            continue
        edits += _run_edits(run)
        run = []
    return edited(form, edits)


def _run_edits(run: list[Chunk]) -> list[Edit]:
    n_strange = sum(chunk.core not in words.familiar() for chunk in run)
    n_letters = sum(len(chunk.core) for chunk in run)
    if n_strange < max(2, _LEAST_STRANGE * len(run)) or n_letters > _LONGEST_FRAGMENT * len(run):
        return []
    before = sum(cost(chunk.core) for chunk in run)
    places = [chunk.start + place for chunk in run for place, char in enumerate(chunk.core) if char != "'"]
    letters = "".join(chunk.core for chunk in run).replace("'", "")
    found = segmented(letters)
    after = sum(map(words.cost, found))
    if before - after < max(_LEAST_GAIN, _LEAST_SHARE * before) or after > _MOST_COST * len(letters):
        return []
    return list(_edits([(places, found)]))


def _chain_edits(text: str, start: int, end: int) -> list[Edit]:
    signs = [match.start() + start for match in _SIGN.finditer(text[start:end])]
    if len(signs) < _LEAST_LETTERS:
        return []
    gaps = [text[a + 1 : b] for a, b in itertools.pairwise(signs)]
    usual = Counter(gaps).most_common(1)[0][0]
    groups: list[list[int]] = [[signs[0]]]
    for place, gap in zip(signs[1:], gaps, strict=True):
        if _is_wider(gap, usual):
            groups.append([])
        groups[-1].append(place)
    # Gaps that part words of ordinary length are to be trusted: an unknown word among them is a name or rare.
    parted = len(groups) >= _LEAST_GROUPS and len(signs) <= _MOST_MEAN * len(groups)
    found = [(group, _words_of(group, text, parted=parted)) for group in groups]
    marked = {place for place, gap in zip(signs, gaps, strict=False) if not _APOSTROPHES.isdisjoint(gap)}
    if not _is_language(_plain_words(found, text), usual):
        return []
    return [*_edits(found, marked), *_last_sign(text, signs[-1] + 1, gaps)]


def _last_sign(text: str, place: int, gaps: list[str]) -> list[Edit]:
    """Take the sign away that stands between the last letter and the mark that ends its word, as in ``e_n_d_.``."""
    closing = _CLOSING.match(text, place)
    return [(place, place + 1, "")] if closing and closing[0] in gaps else []


def _plain_words(found: list[_Group], text: str) -> list[_Group]:
    """Leave names of users and numbers out of the question what is language, where enough else was spelled out."""
    plain = [(group, parts) for group, parts in found if text[group[0]] != "@" and "".join(parts).isalpha()]
    return plain if sum(len(group) for group, _ in plain) >= _LEAST_PARTED else found


def _is_wider(gap: str, usual: str) -> bool:
    """Whether a gap parts two words."""
    if gap == usual or gap.strip(usual + " ") in _APOSTROPHES or _WITHIN.fullmatch(gap):
        return False
    return len(gap) > len(usual) or (" " in gap and " " not in usual)


def _is_language(found: list[_Group], usual: str) -> bool:
    """Whether words were spelled out: initials and lists of letters are short, or no words, and stay."""
    longest = max(len(word) for _, parts in found for word in parts)
    n_letters = sum(len(group) for group, _ in found)
    if longest < _LEAST_LETTERS or (n_letters == _LEAST_LETTERS and "." in usual):
        return False
    parts = [word for _, group in found for word in group]
    if sum(map(words.cost, parts)) <= _MOST_COST * n_letters:
        return True
    n_known = sum(len(word) for word in parts if word in words.costs() and len(word) >= _LEAST_LETTERS)
    return len(found) > 1 and n_letters >= _LEAST_PARTED and 2 * n_known >= n_letters


def _words_of(group: list[int], text: str, *, parted: bool) -> list[str]:
    letters = "".join(text[place] for place in group).lower()
    if letters in words.costs():
        return [letters]
    if any(map(str.isalpha, letters)) and (known := words.leet(letters)):
        return [known]
    return [letters] if parted and len(group) <= _LONGEST_WORD else segmented(letters)


def _edits(found: list[_Group], marked: Collection[int] = ()) -> Iterator[Edit]:
    """Put each word where its letters are, an apostrophe after the `marked` ones, and one space where they part."""
    edges = []
    for group, parts in found:
        place = 0
        for part in parts:
            last = place + len(part) - 1
            marks = ["'" if spot in marked and spot != group[last] else "" for spot in group[place : last + 1]]
            edges.append((group[place], group[last] + 1, "".join(map("".join, zip(part, marks, strict=False)))))
            place += len(part)
    for (start, end, part), following in itertools.zip_longest(edges, edges[1:]):
        yield start, end, part
        if following:
            yield end, following[0], " "


def segmented(letters: str) -> list[str]:
    """Divide letters into the words of the least cost, by dynamic programming over the last word.

    Parameters
    ----------
    letters : str
        Small letters without spaces.

    Returns
    -------
    list of str
        Their concatenation is `letters`.
    """
    costs = words.costs()
    least = [0.0]
    sizes = [0]
    for end in range(1, len(letters) + 1):
        best, size = least[-1] + _STRAY, 1
        for start in range(max(0, end - _LONGEST_WORD), end):
            word_cost = costs.get(letters[start:end])
            if word_cost is not None and least[start] + word_cost + _NEW_WORD < best:
                best, size = least[start] + word_cost + _NEW_WORD, end - start
        least.append(best)
        sizes.append(size)
    parts, end = [], len(letters)
    while end:
        parts.append(letters[end - sizes[end] : end])
        end -= sizes[end]
    return _merged_strays(parts[::-1])


def _merged_strays(parts: list[str]) -> list[str]:
    """Put stray letters that follow each other together: they are a word that is not known."""
    merged: list[str] = []
    stray = False
    for part in parts:
        now = len(part) == 1 and part not in words.costs()
        if now and stray:
            merged[-1] += part
        else:
            merged.append(part)
        stray = now
    return merged
