"""Training runs end to end on a tiny model and a toy data folder, and what it writes loads as a filter."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from guard.filters.encoder import EncoderFilter
from guard.train.card import main as card_main
from guard.train.encoder import TrainSettings, main, train
from guard.train.lora import LoraSettings
from guard.train.rows import HEADS, Row
from tests.guard.filters.tiny_bert import write_tiny_bert
from tests.guard.train.toy_data import write_toy_data

SETTINGS = TrainSettings(
    epochs=6, learning_rate=0.02, max_tokens=24, batch_tokens=256, noise=0.0, bfloat16=False, lora=LoraSettings(rank=2)
)


def _rows(n: int) -> list[Row]:
    rows = []
    for index in range(n):
        text = "you are stupid i hate you" if index % 2 else "you are kind i love you"
        rows.append(Row(text, {"toxicity": float(index % 2)}, "toy", "val" if index % 10 > 7 else "train"))
    return rows


def test_train_learns_and_is_reproducible(tmp_path: Path) -> None:
    base = write_tiny_bert(tmp_path)
    first, config, record = train(_rows(200), base=base, settings=SETTINGS)
    second, *_ = train(_rows(200), base=base, settings=SETTINGS)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {tensor.dtype for tensor in first.values()} == {torch.float16}
    assert config["categories"] == list(HEADS)
    assert record["n_rows"] == 160
    other, *_ = train(_rows(200), base=base, settings=replace(SETTINGS, seed=1))
    assert not torch.equal(first["heads.value"], other["heads.value"])


def test_main_writes_weights_that_load_and_separate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = write_tiny_bert(tmp_path / "base", max_positions=130)
    data = write_toy_data(tmp_path / "data")
    out = tmp_path / "out"
    main(["--data", str(data), "--base", str(base), "--out", str(out), "--limit", "400"])
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "encoder.safetensors"]
    encoder = EncoderFilter.load(base=base, weights=out, device="cpu")
    assert encoder.categories == HEADS
    assert encoder.score_batch(["you are stupid", ""]).shape == (2, len(HEADS))
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["training"][0]["n_rows"] > 200
    card_main(["--data", str(data), "--base", str(base), "--weights", str(out), "--no-baseline"])
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["filter"] == encoder.name
    assert set(metrics["thresholds"]) == set(HEADS)
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert encoder.name in card
    assert "| clinc150 | CC-BY-3.0 |" in card


def test_trained_filter_separates_what_it_was_taught(tmp_path: Path) -> None:
    from guard.train.encoder import write_weights

    base = write_tiny_bert(tmp_path / "base")
    tensors, config, _ = train(_rows(300), base=base, settings=SETTINGS)
    write_weights(tensors, config, tmp_path / "out")
    encoder = EncoderFilter.load(base=base, weights=tmp_path / "out", device="cpu")
    bad, good = encoder.score_batch(["you are stupid i hate you", "you are kind i love you"])[:, 0]
    assert np.float32(0.5) < bad
    assert good < np.float32(0.5)


def test_main_goes_on_from_an_earlier_pass_and_records_both(tmp_path: Path) -> None:
    base = write_tiny_bert(tmp_path / "base", max_positions=130)
    data = write_toy_data(tmp_path / "data")
    common = ["--data", str(data), "--base", str(base), "--limit", "100", "--own", "100"]
    main([*common, "--out", str(tmp_path / "first")])
    main(
        [
            *common,
            "--out",
            str(tmp_path / "second"),
            "--init",
            str(tmp_path / "first"),
            "--seed",
            "1",
            "--replay",
            "0.5",
        ]
    )
    config = json.loads((tmp_path / "second" / "config.json").read_text(encoding="utf-8"))
    assert [(one["seed"], one["replay"], one["n_own"]) for one in config["training"]] == [(0, 1.0, 100), (1, 0.5, 100)]
    names = {EncoderFilter.load(base=base, weights=tmp_path / out, device="cpu").name for out in ("first", "second")}
    assert len(names) == 2
