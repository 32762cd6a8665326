"""Tables of labelled rows: what is left out and counted, how parts are kept apart, and what is refused in one line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.finetune_filter.request import FinetuneRequest, LabelledTable
from evals.finetune_filter.rows import LEAST, read_rows
from guard.errors import ConfigError, DataError
from guard.train.classifier.settings import FilterTraining

ANIMALS = ("cat", "dog", "hen", "owl", "fox", "bat", "cow", "pig", "rat", "elk")
VERBS = ("sees", "bites", "likes", "hears", "feeds", "hunts", "warms", "fears", "leads", "meets")


def _rows(n: int) -> list[tuple[str, str]]:
    """Return rows of which no two share five words."""
    return [(f"{ANIMALS[at % 10]} {VERBS[at // 10 % 10]} nr{at} at{at} on{at} by{at}", str(at % 2)) for at in range(n)]


def _write(path: Path, rows: Sequence[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([("text", "label"), *rows])
    return path


def _request(tmp_path: Path, rows: Sequence[tuple[str, str]], **options: Path) -> FinetuneRequest:
    return FinetuneRequest(LabelledTable(_write(tmp_path / "rows.csv", rows)), tmp_path / "out", **options)


def test_parts_hold_every_row_once_and_both_labels(tmp_path: Path) -> None:
    found = read_rows(_request(tmp_path, _rows(200)))
    parts = [found.train, found.validation, found.test]
    assert sorted(text for part in parts for text, _ in part) == sorted(text for text, _ in _rows(200))
    assert [len(part) for part in parts] == [100, 50, 50]
    assert all(sum(label for _, label in part) == len(part) // 2 for part in parts)
    assert found.counts.sentence() == ""


def test_parts_do_not_depend_on_the_order_of_the_file(tmp_path: Path) -> None:
    one = read_rows(_request(tmp_path, _rows(200)))
    other = read_rows(_request(tmp_path, _rows(200)[::-1]))
    assert (one.train, one.validation, one.test) == (other.train, other.validation, other.test)


def test_near_duplicates_stay_in_one_part(tmp_path: Path) -> None:
    twins = [(f"the very same long sentence about a quarrel number {at} and more", "1") for at in range(20)]
    found = read_rows(_request(tmp_path, [*_rows(160), *twins]))
    held = [{text for text, _ in part} & {text for text, _ in twins} for part in (found.validation, found.test)]
    assert sorted(map(len, held)) in ([0, 0], [0, 20])


def test_empty_repeated_and_contradicting_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    bad = [("", "1"), ("  ", "0"), ("Cat sees nr0 at0 on0 by0!", "0"), ("dog sees nr1 at1 on1 by1", "0")]
    found = read_rows(_request(tmp_path, [*_rows(200), *bad]))
    counts = found.counts
    assert (counts.empty, counts.repeated, counts.contradicting, counts.leaking) == (2, 1, 2, 0)
    assert counts.sentence() == "left out: 2 empty, 1 repeated, 2 contradicting"
    assert sum(map(len, (found.train, found.validation, found.test))) == 199


def test_rows_that_leak_into_held_out_tables_are_left_out(tmp_path: Path) -> None:
    test = _write(tmp_path / "test.csv", _rows(40))
    validation = _write(tmp_path / "validation.csv", _rows(60)[30:])
    pool = _write(tmp_path / "pool.csv", [(text, "") for text, _ in _rows(260)[35:]])
    found = read_rows(_request(tmp_path, _rows(200), test=test, validation=validation, unlabelled=pool))
    assert (len(found.test), len(found.validation), len(found.train)) == (40, 20, 140)
    assert found.counts.leaking == 10 + 40 + 20 + 25  # of validation in test, of train in both, of the pool in both
    assert len(found.unlabelled) == 60
    forms = {text for text, _ in (*found.train, *found.validation, *found.test)}
    assert not forms & set(found.unlabelled)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ANIMALS), st.integers(0, 60), st.booleans()), max_size=60), st.integers(0, 5))
def test_no_text_is_in_two_parts_nor_lost(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int, bool]], seed: int
) -> None:
    extra = [(f"{word} x{n} y{n} z{n} w{n} v{n}", str(int(flag))) for word, n, flag in drawn]
    path = _write(tmp_path_factory.mktemp("rows") / "rows.csv", [*_rows(120), *extra])
    request = FinetuneRequest(LabelledTable(path), path.parent / "out", training=FilterTraining(seed=seed))
    found = read_rows(request)
    texts = [text for part in (found.train, found.validation, found.test) for text, _ in part]
    assert len(set(texts)) == len(texts)
    assert len(texts) + found.counts.repeated + found.counts.contradicting == 120 + len(extra)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "has no text in column 'text'"),
        ([("", "1")], "has no text in column 'text'"),
        (_rows(40), f"the rule is {LEAST}"),
        ([(text, "1") for text, _ in _rows(200)], "0 rows where it does not"),
        ([*_rows(200), ("a", "maybe")], "the label 'maybe' is none of"),
        ([*_rows(200), ("a", "")], "its label is empty"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path: Path, rows: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_rows(_request(tmp_path, rows))
    assert "\n" not in str(caught.value)


def test_unlabelled_rows_that_are_all_labelled_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not labelled already"):
        read_rows(_request(tmp_path, _rows(200), unlabelled=_write(tmp_path / "pool.csv", _rows(50))))


def test_a_category_that_a_policy_could_not_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="small letters"):
        FinetuneRequest(LabelledTable(tmp_path / "x.csv"), tmp_path, category="My Category")
