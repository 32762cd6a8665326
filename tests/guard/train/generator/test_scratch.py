from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.errors import ConfigError
from guard.generators.loading import load_model
from guard.train.generator.continuing import continue_greedily
from guard.train.generator.encoding import Turn, encode_dialogue, encode_text
from guard.train.generator.fit_settings import FitSettings
from guard.train.generator.fitting import fit
from guard.train.generator.scratch import SIZES, ScratchSize, write_scratch
from guard.train.generator.tuned import Tuning, prepare

SIZE = ScratchSize(layers=2, width=32, heads=2, inner=64, vocabulary=320, context=64)
TEXTS = ["the cat sat on the mat", "my dog lay under a log", "naïve café 日本 \U0001f600"] * 4


def test_a_model_from_nothing_learns_its_texts_and_says_them_again(tmp_path: Path) -> None:
    write_scratch(tmp_path, TEXTS, SIZE, seed=0)
    model, tokenizer = load_model(tmp_path, device=torch.device("cpu"), dtype="float32")
    rows = [row for text in TEXTS for row in encode_text(tokenizer, text, most=64).rows]
    assert all(row.ids[0] == row.ids[-1] == tokenizer.eos_token_id for row in rows)
    tuned = prepare(model, Tuning("full"), seed=0)
    settings = FitSettings(steps=60, step_tokens=100, rate=0.01, packing=True, width=60, looks=2)
    progress = fit(tuned, rows, rows[:3], settings, pad_id=tokenizer.pad_token_id)
    assert progress.best_loss is not None
    assert progress.best_loss < 1.0 < progress.history[0]["total"]
    start = tokenizer("the cat sat")["input_ids"]
    (said,) = continue_greedily(tuned, [start], n_tokens=20, eos_id=tokenizer.eos_token_id, pad_id=0)
    assert tokenizer.decode(said) == " on the mat"


def test_any_text_can_be_written_and_the_seed_decides_the_weights(tmp_path: Path) -> None:
    weights = []
    for number, seed in enumerate((0, 0, 1)):
        write_scratch(tmp_path / str(number), TEXTS, SIZE, seed=seed)
        model, tokenizer = load_model(tmp_path / str(number), device=torch.device("cpu"), dtype="float32")
        weights.append(model.get_input_embeddings().weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    for text in ("naïve café 日本", "\x00 tab\t", "\U0001f9ff unseen", ""):
        assert tokenizer.decode(tokenizer(text)["input_ids"][1:]) == text


def test_a_dialogue_has_its_answers_learnt(tmp_path: Path) -> None:
    write_scratch(tmp_path, TEXTS, SIZE, seed=0)
    _, tokenizer = load_model(tmp_path, device=torch.device("cpu"))
    turns = [Turn("user", "the cat"), Turn("assistant", "sat"), Turn("user", "the dog"), Turn("assistant", "too")]
    (row,) = encode_dialogue(tokenizer, turns, most=64).rows
    learnt = tokenizer.decode([one for one, mark in zip(row.ids, row.learnt, strict=True) if mark])
    assert learnt == "sat<|endoftext|>too<|endoftext|>"


def test_sizes_have_names_or_stand_in_a_file(tmp_path: Path) -> None:
    assert ScratchSize.named("tiny") == SIZES["tiny"]
    (tmp_path / "mine.toml").write_text("layers = 3\nwidth = 64\nheads = 2\n")
    assert ScratchSize.named(str(tmp_path / "mine.toml")).layers == 3
    for content, said in (("depth = 3", "unknown fields"), ("layers =", "not TOML"), ("heads = 3", "divides")):
        (tmp_path / "wrong.toml").write_text(content)
        with pytest.raises(ConfigError, match=said):
            ScratchSize.named(str(tmp_path / "wrong.toml"))
    with pytest.raises(ConfigError, match="no size"):
        ScratchSize.named("huge")
