"""``assay harden guard`` from end to end on a tiny encoder, and what it says to input that it cannot use."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from cli import main
from evals.harden_filter.rows import Table
from evals.harden_guard.files import write_game
from evals.harden_guard.hardening import GameRequest, GameSizes, harden_guard
from guard.errors import OutputError
from guard.harden.filter_training import HardenSettings
from guard.train.encoder import TrainSettings, train, write_weights
from guard.train.lora import LoraSettings
from guard.train.rows import Row
from tests.guard.filters.tiny_bert import write_tiny_bert

HARMFUL = ("you are stupid", "i hate you", "stupid person", "you stupid person", "do not love you")
HARMLESS = ("you are kind", "i love you", "kind person", "you kind person", "the weather and you")
WORDS = ("and", "the", "weather", "a", "i", "do", "not", "are")


def _texts(sides: tuple[str, ...]) -> list[str]:
    return [f"{text} {one} {two}" for text in sides for one in WORDS for two in WORDS][:300]


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> GameRequest:
    folder = tmp_path_factory.mktemp("game")
    base = write_tiny_bert(folder / "base")
    rows = [
        Row(text, {"toxicity": label}, "toy", "train")
        for label, side in ((1.0, HARMFUL), (0.0, HARMLESS))
        for text in _texts(side)
    ]
    settings = TrainSettings(
        epochs=3, learning_rate=0.02, max_tokens=24, batch_tokens=256, noise=0, bfloat16=False, lora=LoraSettings(2)
    )
    tensors, config, _ = train(rows, base=base, settings=settings)
    write_weights(tensors, config, folder / "weights")
    table = pd.DataFrame({"text": [row.text for row in rows], "label": [int(row.labels["toxicity"]) for row in rows]})
    table.to_csv(folder / "texts.csv", index=False)
    return GameRequest(
        Table(folder / "texts.csv"),
        folder / "out",
        weights=folder / "weights",
        base=base,
        strategies=("deepwordbug",),
        rounds=1,
        training=HardenSettings(epochs=1, learning_rate=0.02, batch_tokens=256, allowed_drop=0.2),
        sizes=GameSizes(search=10, held_out=20, raided=20, budget=40),
    )


@pytest.mark.model
def test_a_game_leaves_its_defenders_and_a_report(request_: GameRequest) -> None:
    told: list[str] = []
    result = harden_guard(request_, tell=lambda what, done, total: told.append(what))
    written = write_game(result)
    assert sorted(path.name for path in request_.out.iterdir()) == ["game.html", "game.json", "game.md", "round-1"]
    assert json.loads(written[0].read_text())["outcome"] == result.outcome.name
    assert len(result.standings) == 2
    assert result.standings[0].success.n <= 20
    assert told == ["first search", "round 1", "measuring"]
    assert [path.name for path in request_.out.parent.iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_holds_something_is_left_alone(request_: GameRequest, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="not empty"):
        harden_guard(GameRequest(request_.table, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--category", "taste"), "no threshold on 'taste'"),
        (("--attack", "nonsense"), "no recipe is called 'nonsense'"),
        (("--filter", "lexical"), "cannot be hardened"),
        (("--filter", "encoder:nowhere"), "config.json"),
    ],
)
def test_what_cannot_be_played_exits_2_in_one_line(tmp_path: Path, options: tuple[str, str], said: str) -> None:
    (tmp_path / "texts.csv").write_text("text,label\na,1\n")
    run = CliRunner().invoke(
        main, ["harden", "guard", "--data", str(tmp_path / "texts.csv"), "--out", str(tmp_path / "out"), *options]
    )
    assert run.exit_code == 2
    assert said in run.output
    assert not (tmp_path / "out").exists()
