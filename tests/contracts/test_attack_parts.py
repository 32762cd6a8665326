"""What every transformation and constraint of an attack promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from guard.attacks.schema import Allowed, Ask, Check, Constraint, RandomSource, Transformation
from guard.attacks.words import AttackedText
from tests.contracts.attack_parts import ALLOWED, CONSTRAINTS, TRANSFORMATIONS

TEXTS = [
    "The cat don't like 12 dogs.",
    "it is the third of five good days",
    "",
    " ",
    "x",
    "I'm a\x00b \ud800 \U0001f600 café 你好",
    "-- '' @@",
    "word " * 300,
]


def asks(*, seed: int = 3) -> list[Ask]:
    found = []
    for number, text in enumerate(map(AttackedText.of, TEXTS)):
        indices = tuple(range(text.n_words))[: 40 if number else None]
        found.append(Ask(text, indices, text, 1, RandomSource(seed + number)))
    return found


@pytest.fixture(params=sorted(TRANSFORMATIONS))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Transformation]:
    folder = tmp_path / "data"
    folder.mkdir()
    return lambda: TRANSFORMATIONS[request.param](folder)


def texts_of(found: list[list[AttackedText]]) -> list[list[str]]:
    return [[text.text for text in mine] for mine in found]


def test_transformation_changes_only_words_it_may(make: Callable[[], Transformation]) -> None:
    found = make().propose(asks())
    assert len(found) == len(TEXTS)
    for ask, candidates in zip(asks(), found, strict=True):
        for candidate in candidates:
            assert candidate.text != ask.text.text
            assert len(candidate.origin) == ask.text.n_words
            gone = {i for i, place in enumerate(candidate.origin) if place < 0}
            changed = {i for i, place in enumerate(candidate.origin) if place in candidate.modified}
            assert changed | gone <= set(ask.indices)
    assert any(found)


def test_transformation_of_no_words_gives_nothing(make: Callable[[], Transformation]) -> None:
    text = AttackedText.of("the cat sat")
    assert make().propose([Ask(text, (), text, 1, RandomSource(0))]) == [[]]
    assert make().propose([]) == []


def test_transformation_does_not_depend_on_its_batch(make: Callable[[], Transformation]) -> None:
    together = make().propose(asks())
    alone = [make().propose([ask])[0] for ask in asks()]
    backwards = make().propose(asks()[::-1])[::-1]
    assert texts_of(together) == texts_of(alone) == texts_of(backwards)


def test_transformation_says_what_it_is(make: Callable[[], Transformation]) -> None:
    part = make()
    assert repr(part) == repr(make())
    assert " at 0x" not in repr(part)
    assert part.kind in ("swap", "delete", "insert", "text")


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_allowed_gives_indices_of_the_text(name: str) -> None:
    part: Allowed = ALLOWED[name]()
    swap = TRANSFORMATIONS["delete"](Path())
    for text in map(AttackedText.of, TEXTS):
        changed = text.replace(0, "zz") if text.n_words else text
        assert part.indices(changed, swap) <= set(range(changed.n_words))
    assert repr(part) == repr(ALLOWED[name]())
    assert " at 0x" not in repr(part)


@pytest.mark.parametrize("name", sorted(CONSTRAINTS))
def test_constraint_keeps_some_in_their_order(name: str) -> None:
    part: Constraint = CONSTRAINTS[name]()
    checks = []
    for original in map(AttackedText.of, TEXTS):
        candidates = [
            original.replace(i, new) for i in range(min(original.n_words, 9)) for new in ("zz", "zzz yyy", "")
        ]
        checks.append(Check(original, original, [original, *candidates]))
    together = texts_of(part.keep(checks))
    assert together == [texts_of(part.keep([check]))[0] for check in checks]
    for check, kept in zip(checks, together, strict=True):
        given = [text.text for text in check.candidates]
        assert kept[0] == check.original.text  # nothing changed breaks no limit
        assert [text for text in given if text in set(kept)] == [text for text in given if text in kept]
        assert set(kept) <= set(given)
    assert any(len(kept) < len(check.candidates) for check, kept in zip(checks, together, strict=True))
    assert part.keep([Check(checks[0].original, checks[0].original, [])]) == [[]]
    assert repr(part) == repr(CONSTRAINTS[name]())
    assert " at 0x" not in repr(part)
