"""Passages that are no language as they stand and are English once turned round, turned over, or rotated by 13."""

from __future__ import annotations

import itertools
import math
import re
import string
from collections.abc import Callable, Iterator

from guard.canonical import Canonical
from guard.offsets import Edit, edited
from guard.views import words
from guard.views.chunks import Chunk, chunks, cost, is_read, text_cost

__all__ = ["turned"]

_SURE_LETTERS = 4  # a known word of so many letters is no accident: it parts the passages
_LEAST_PROMISE = 0.4  # share of the unknown words that are known once turned
_RARE = 10.5  # nats: a rare word may be an accident all the same
_LEAST_GAIN, _LEAST_SHARE = 6.0, 0.25  # nats, and of the cost of the passage
_MOST_COST = 2.6  # nats a letter of the reading

_PIECES = re.compile(r"(\s+)")
_LED = re.compile(r"(?:^|\s)[.,;:!?]\w")

_LOWER, _UPPER = string.ascii_lowercase, string.ascii_uppercase
_ROTATED = str.maketrans(_LOWER + _UPPER, _LOWER[13:] + _LOWER[:13] + _UPPER[13:] + _UPPER[:13])
_MIRRORED = str.maketrans(_LOWER + _UPPER, _LOWER[::-1] + _UPPER[::-1])
_UPRIGHT = "abcdefghijklmnopqrstuvwxyz"
_TURNED_OVER = str.maketrans(
    {
        **dict(zip("ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz", _UPRIGHT, strict=True)),
        **dict(zip("ɓɡıᴚⅎ∀ƆƎℲפſ⅂ԀΛ⅄ɒɘƨ", "ggirfacefgjlpvyaes", strict=True)),
        **dict(zip("⇂ᄅƐㄣϛ9ㄥ6", "12345678", strict=True)),
    }
)
"""Letters turned over by half a turn, or mirrored."""
_SIGNS_OF_TURNING = frozenset("ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎɓᴚⅎ∀ƆƎℲ⅂⅄ɒɘƨ")
_PAIRS = frozenset(
    [
        "a_lot",
        "all_of",
        "all_the",
        "and_the",
        "are_a",
        "are_the",
        "as_a",
        "at_the",
        "be_a",
        "by_the",
        "can_you",
        "do_you",
        "don't_know",
        "for_a",
        "for_the",
        "from_the",
        "going_to",
        "have_a",
        "have_to",
        "have_you",
        "how_do",
        "how_to",
        "i_am",
        "i_can",
        "i_don't",
        "i_have",
        "i_just",
        "i_need",
        "i_want",
        "i_was",
        "i'm_not",
        "if_you",
        "in_a",
        "in_the",
        "is_a",
        "is_my",
        "is_not",
        "is_the",
        "is_there",
        "it_is",
        "it_was",
        "it's_a",
        "kind_of",
        "like_a",
        "like_the",
        "my_account",
        "need_to",
        "not_a",
        "of_a",
        "of_my",
        "of_the",
        "of_them",
        "of_these",
        "of_you",
        "on_a",
        "on_my",
        "on_the",
        "one_of",
        "should_be",
        "such_a",
        "tell_me",
        "thank_you",
        "that_is",
        "that_the",
        "the_most",
        "the_same",
        "the_world",
        "there_is",
        "they_are",
        "this_is",
        "to_a",
        "to_be",
        "to_do",
        "to_get",
        "to_the",
        "want_to",
        "was_a",
        "we_are",
        "what_is",
        "when_i",
        "when_you",
        "who_are",
        "will_be",
        "with_a",
        "with_the",
        "would_be",
        "you_are",
        "you_can",
        "you_don't",
        "you_have",
        "you_know",
        "you're_a",
    ]
)
"""Frequent pairs of neighbours, which tell a sentence from the same words in the reverse order."""


def turned(form: Canonical) -> Canonical:
    """Turn the passages of a text that read better so."""
    edits = [edit for run in _passages(form.text) if (edit := _best_edit(form.text, run)) is not None]
    return edited(form, edits)


def _best_edit(text: str, run: list[Chunk]) -> Edit | None:
    """Turn a run of pieces, or what is left of it without the known words at its ends, whichever reads better."""
    known = [is_read(chunk.core) for chunk in run]
    left, right = known.index(False), len(run) - known[::-1].index(False)
    found = []
    for part in {(0, len(run)), (left, right)}:
        pieces = run[part[0] : part[1]]
        start, end = pieces[0].start, pieces[-1].end
        if (better := _better(text[start:end])) is not None:
            kept = sum(cost(chunk.core) for chunk in [*run[: part[0]], *run[part[1] :]])
            found.append((better[0] + kept, (start, end, better[1])))
    return min(found)[1] if found else None


def _better(passage: str) -> tuple[float, str] | None:
    """Return the best reading of a passage and its cost, where that is far below the cost of the passage."""
    if not _is_promising([chunk.core for chunk in chunks(passage)]):
        return None
    before = text_cost(passage)
    n_letters = sum(char.isalpha() for char in passage)
    turns = _TURNS if _SIGNS_OF_TURNING.isdisjoint(passage) else _OVER
    readings = [turn(passage) for turn in turns]
    ranked = [(text_cost(reading), -_n_pairs(reading), number) for number, reading in enumerate(readings)]
    after, _, number = min(ranked)
    if before - after < max(_LEAST_GAIN, _LEAST_SHARE * before) or after > _MOST_COST * n_letters:
        return None
    return after, readings[number]


def _is_promising(cores: list[str]) -> bool:
    """Whether turning makes known words of enough of the pieces, told without turning the passage."""
    if any(not _SIGNS_OF_TURNING.isdisjoint(core) for core in cores):
        return True
    costs = words.costs()
    strange = [core for core in cores if core.isalpha() and core not in costs]
    least = max(1, _LEAST_PROMISE * len(strange))
    turned_cores = (
        [core[::-1] for core in strange],
        [core.translate(_ROTATED) for core in strange],
        [core.translate(_MIRRORED) for core in strange],
    )
    return any(sum(core in costs for core in cores) >= least for cores in turned_cores)


def _n_pairs(text: str) -> float:
    """Count frequent pairs of words, and a half for each sign that the order is right."""
    found = text.lower().split()
    n_pairs = sum(f"{a}_{b}" in _PAIRS for a, b in itertools.pairwise(found))
    n_led = len(_LED.findall(text))
    return n_pairs + 0.5 * text[:1].isupper() + 0.5 * (text[-1:] in ".!?") - 0.5 * n_led


def _passages(text: str) -> Iterator[list[Chunk]]:
    """Yield the runs of pieces between known words in which something is not known."""
    run: list[Chunk] = []
    for chunk in [*chunks(text), None]:
        if chunk and (len(chunk.core) < _SURE_LETTERS or words.costs().get(chunk.core, math.inf) > _RARE):
            run.append(chunk)
            continue
        if any(len(chunk.core) >= _SURE_LETTERS and _is_turnable(chunk.core) for chunk in run):
            yield run
        run = []


def _is_turnable(core: str) -> bool:
    return (core.isascii() or not _SIGNS_OF_TURNING.isdisjoint(core)) and not is_read(core)


def _each_reversed(text: str) -> str:
    pieces: list[str] = []
    place = 0
    for chunk in chunks(text):
        pieces += (text[place : chunk.start], text[chunk.start : chunk.end][::-1])
        place = chunk.end
    return "".join([*pieces, text[place:]])


def _pieces_reversed(text: str) -> str:
    return "".join(piece[::-1] for piece in _PIECES.split(text))


_TURNS: tuple[Callable[[str], str], ...] = (
    lambda text: text[::-1],
    _each_reversed,
    _pieces_reversed,
    lambda text: text.translate(_ROTATED),
    lambda text: text.translate(_MIRRORED),
)

_OVER: tuple[Callable[[str], str], ...] = (
    lambda text: text.translate(_TURNED_OVER)[::-1],
    lambda text: text.translate(_TURNED_OVER),
    lambda text: _pieces_reversed(text.translate(_TURNED_OVER)),
)
