"""Training of the n-gram filter on rows made up here, and what it is trained on."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from guard.errors import DataError
from guard.filters.grams import Grams
from guard.filters.ngram import NgramFilter
from guard.train.ngram import Design, train_heads, write_weights
from guard.train.ngram_rows import chinese_rows, english_rows, harmless_chinese, heldout_chinese
from guard.train.rows import Row, normal_form

DESIGN = Design("zh", ("toxicity",), (Grams("han", (1, 2), 10),), 12, 8, 24, 8.0, 30)


def _rows(n: int, split: str) -> list[Row]:
    harmful = [Row(f"你真是个坏蛋{'零一二三四五六七八九'[i % 10]}", {"toxicity": 1.0}, "toy", split) for i in range(n)]  # type: ignore[arg-type]
    harmless = [Row(f"今天天气很好{'零一二三四五六七八九'[i % 10]}", {"toxicity": 0.0}, "toy", split) for i in range(n)]  # type: ignore[arg-type]
    return harmful + harmless


def test_trained_weights_load_and_tell_the_classes_apart(tmp_path: Path) -> None:
    tensors, config = train_heads(_rows(40, "train"), _rows(30, "val"), DESIGN, variants={})
    tensors["variants"] = np.zeros((0, 2), dtype=np.int32)
    write_weights(tensors, {"zh": config}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "ngram.safetensors"]
    filter_ = NgramFilter.load(tmp_path, languages=("zh",))
    bad, good = filter_.score_batch(["他是坏蛋", "天气很好"])[:, 0]
    assert bad > 0.7
    assert good < 0.3


def test_training_repeats_to_the_bit() -> None:
    first, second = (train_heads(_rows(20, "train"), _rows(20, "val"), DESIGN, variants={})[0] for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="needs harmful and harmless rows"):
        train_heads(_rows(20, "train")[:20], _rows(20, "val"), DESIGN, variants={})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "cold_zh"
    folder.mkdir()
    rows = [
        ("测试一", "race", 1, 2, "test"),
        ("测试二", "race", 0, 3, "test"),
        ("测试一！", "race", 1, "", "train"),  # a copy of a test text, but for a mark
        ("训练一", "race", 0, "", "train"),
        ("开发一", "race", 0, "", "dev"),
    ]
    with gzip.open(folder / "cold_zh.csv.gz", "wt", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("text", "topic", "label", "fine_label", "split"), *rows])
    return tmp_path


def test_no_copy_of_a_test_text_is_trained_on(data: Path) -> None:
    rows = [row for row in chinese_rows(data) if row.source == "cold_zh"]
    assert {(row.text, row.split) for row in rows} == {
        ("测试一", "test"), ("测试二", "test"), ("训练一", "train"), ("开发一", "val"),
    }  # fmt: skip
    assert [row.group for row in rows if row.split == "test"] == ["attacks group", "anti-bias"]


def test_own_sentences_leave_the_held_out_ones_alone(data: Path) -> None:
    own = {normal_form(row.text) for row in chinese_rows(data) if row.source.startswith("own:")}
    held_out = heldout_chinese()
    assert len(own) > 1000
    assert own.isdisjoint(normal_form(row.text) for row in held_out)
    assert sum(row.labels["toxicity"] for row in held_out) == len(held_out) / 2
    assert not any("{" in text for text in own)


def test_folder_without_chinese_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither of cold_zh, swsr_sexism_zh"):
        chinese_rows(tmp_path)
    assert harmless_chinese(tmp_path) == {}


def test_english_rows_leave_test_rows_and_the_judges_share_alone() -> None:
    from guard.train.mixture import judge_rows

    mixture = [
        Row(f"text number {i}", {"toxicity": 0.0}, "dynahate", "test" if i % 5 == 0 else "train") for i in range(200)
    ]
    judge = {row.text for row in judge_rows(mixture)}
    chosen = [row for row in english_rows(mixture) if row.source == "dynahate"]
    assert chosen
    assert judge
    assert {row.split for row in chosen} == {"train"}
    assert judge.isdisjoint(row.text for row in chosen)
