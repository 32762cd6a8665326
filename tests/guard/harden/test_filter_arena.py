"""A whole game on a tiny encoder: attackers misspell, the filter learns, and rows stay in their parts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from guard.attacks.constraints.modifiable import NotTwice
from guard.attacks.goals import Untargeted
from guard.attacks.search.greedy import GreedyByImportance
from guard.attacks.space import Attack
from guard.attacks.transformations.characters import DeleteCharacter, SwapNeighbours
from guard.errors import ConfigError
from guard.filters.encoder import EncoderFilter
from guard.harden.batch import Batch
from guard.harden.encoder_model import HardenableEncoder
from guard.harden.filter_arena import ArenaRows, FilterArena
from guard.harden.filter_training import HardenSettings, LabelledText
from guard.harden.game import Split, play
from guard.harden.raid_hook import RaidHook
from guard.harden.validation import Validation
from guard.train.encoder import TrainSettings, train, write_weights
from guard.train.lora import LoraSettings
from guard.train.rows import Row
from tests.guard.filters.tiny_bert import write_tiny_bert
from tests.guard.harden.tiny_model import TinyModel, batch_of

BAD, GOOD = ("you are stupid", "i hate you", "stupid person"), ("you are kind", "i love you", "kind person")
THRESHOLD = 0.5


def _texts(n: int) -> list[str]:
    return [(BAD if at % 2 else GOOD)[at // 2 % 3] + (" and the weather" if at % 5 == 0 else "") for at in range(n)]


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> tuple[FilterArena, Path]:
    folder = tmp_path_factory.mktemp("arena")
    base = write_tiny_bert(folder / "base")
    rows = [Row(text, {"toxicity": float(at % 2)}, "toy", "train") for at, text in enumerate(_texts(160))]
    settings = TrainSettings(
        epochs=8, learning_rate=0.02, max_tokens=24, batch_tokens=256, noise=0, bfloat16=False, lora=LoraSettings(2)
    )
    tensors, config, _ = train(rows, base=base, settings=settings)
    write_weights(tensors, config, folder / "first")
    return _arena(base, folder / "out"), folder / "first"


def _attack(name: str, transformation: DeleteCharacter | SwapNeighbours) -> Attack:
    return Attack(name, Untargeted(THRESHOLD), (transformation,), GreedyByImportance("delete"), (NotTwice(),))


def _arena(base: Path, out: Path, *, slips: bool = True) -> FilterArena:
    train_rows = [LabelledText(f"r{at}", text, (float(at % 2), -1, -1, -1, -1)) for at, text in enumerate(_texts(60))]
    return FilterArena(
        base=base,
        out=out,
        category="toxicity",
        threshold=THRESHOLD,
        attacks={"swap": _attack("swap", SwapNeighbours()), "delete": _attack("delete", DeleteCharacter())},
        rows=ArenaRows(train_rows, search=BAD, held_out=[f"{text} and the weather" for text in BAD], raided=20),
        validation=Validation(_texts(60), [bool(at % 2) for at in range(60)], column=0, threshold=THRESHOLD),
        settings=HardenSettings(
            epochs=4, learning_rate=0.02, batch_tokens=128, task=1.0, leash=0.05, pull=0.05, allowed_drop=0.1
        ),
        budget=40,
        slips=slips,
    )


def test_a_game_ends_with_a_defender_that_misspellings_beat_less_often(arena: tuple[FilterArena, Path]) -> None:
    place, first = arena
    game = play(place, place.defender(first), rounds=2, seed=1)
    # A round in which nothing gets better leaves the defender as it was.
    assert len(game.defenders) == 3
    assert game.defenders[1].name != game.defenders[0].name
    assert game.payoffs[-1].mean() < game.payoffs[0].mean()
    assert game.exploitability[-1] <= game.exploitability[0]
    assert sorted(path.name for path in game.defenders[-1].weights.iterdir()) == ["config.json", "encoder.safetensors"]


@pytest.mark.parametrize("slips", [True, False])
def test_a_defender_reads_slips_and_keeps_its_false_alarms_level(
    arena: tuple[FilterArena, Path], tmp_path: Path, slips: bool
) -> None:
    _, first = arena
    place = _arena(first.parent / "base", tmp_path / "out", slips=slips)
    before = place.defender(first)
    after = place.learn(before, [place.raid(before, "swap", "train", seed=0)], [1.0], round_=1, seed=0)
    config = json.loads((after.weights / "config.json").read_text())
    assert ("slips" in config) is slips
    assert not slips or config["slips"]["categories"] == ["toxicity"]
    assert after.filter.name == EncoderFilter.load(base=first.parent / "base", weights=after.weights).name
    harmless = [text for at, text in enumerate(_texts(60)) if not at % 2]
    fired = [(one.filter.score_batch(harmless)[:, 0] >= THRESHOLD).sum() for one in (before, after)]
    assert fired[1] <= fired[0]


def test_a_training_after_which_everything_fires_comes_out_level(
    arena: tuple[FilterArena, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overeager(model: HardenableEncoder, *_: object, **__: object) -> None:
        tensors = model.tensors()
        model.load_tensors({**tensors, "heads.bias": tensors["heads.bias"] + 8})

    monkeypatch.setattr("guard.harden.filter_arena.harden", overeager)
    _, first = arena
    place = _arena(first.parent / "base", tmp_path / "out")
    before = place.defender(first)
    after = place.learn(before, [place.raid(before, "swap", "train", seed=0)], [1.0], round_=1, seed=0)
    harmless = [text for at, text in enumerate(_texts(60)) if not at % 2]
    fired = [(one.filter.score_batch(harmless)[:, 0] >= THRESHOLD).sum() for one in (before, after)]
    assert fired[1] <= fired[0] < len(harmless)


def test_a_reading_that_is_there_is_kept(arena: tuple[FilterArena, Path], tmp_path: Path) -> None:
    _, first = arena
    place = _arena(first.parent / "base", tmp_path / "out")
    defender = place.defender(first)
    for round_ in (1, 2):
        defender = place.learn(defender, [place.raid(defender, "swap", "train", seed=0)], [1.0], round_=round_, seed=0)
    readings = [
        json.loads((tmp_path / "out" / f"round-{round_}" / "config.json").read_text())["slips"] for round_ in (1, 2)
    ]
    assert readings[0] == readings[1]


def test_the_same_seed_raids_the_same_way(arena: tuple[FilterArena, Path]) -> None:
    place, first = arena
    splits: tuple[Split, ...] = ("search", "train", "held out")
    for split in splits:
        one, two = (place.raid(place.defender(first), "swap", split, seed=3) for _ in range(2))
        assert one.texts == two.texts
        assert np.array_equal(one.success, two.success, equal_nan=True)


def test_harmless_rows_are_raided_until_they_fire(arena: tuple[FilterArena, Path]) -> None:
    place, first = arena
    defender = place.defender(first)
    raid = place.raid(defender, "swap", "train", seed=0)
    fires = defender.filter.score_batch(raid.texts)[:, 0] >= THRESHOLD
    harmless = np.arange(20) % 2 == 0
    assert (fires[harmless] == (raid.success[harmless] == 1)).all()
    assert (~fires[~harmless] == (raid.success[~harmless] != 0)).all()


def test_replayed_texts_succeed_where_the_filter_is_silent(arena: tuple[FilterArena, Path]) -> None:
    place, first = arena
    defender = place.defender(first)
    made = ["kind person", *(f"{text} and the weather" for text in BAD[1:])]
    assert place.replay(defender, made, "held out").tolist() == [1.0, 0.0, 0.0]


def test_a_game_without_rows_is_refused(tmp_path: Path, arena: tuple[FilterArena, Path]) -> None:
    with pytest.raises(ConfigError, match="labelled rows"):
        FilterArena(
            base=tmp_path,
            out=tmp_path,
            category="toxicity",
            threshold=0.5,
            attacks={},
            rows=ArenaRows([], (), ()),
            validation=Validation(_texts(60), [bool(at % 2) for at in range(60)], column=0, threshold=0.5),
            settings=HardenSettings(),
        )


def test_raid_hook_adds_the_version_of_its_row_with_the_rows_label() -> None:
    batch = batch_of(("bad", 1.0), ("good", 0.0), ("so", 0.0))
    hook = RaidHook([{"r0": "b ad", "r1": "good"}, {"r0": "bda"}], (0.0, 1.0))
    after = hook.on_batch(batch, TinyModel())
    assert after.texts == ("bad", "good", "so", "bda")
    assert after.labels[-1].tolist() == [1.0]
    assert after.ids[-1] == "r0"
    assert after.altered == (False, False, False, True)


def test_raid_hook_draws_by_share() -> None:
    batch: Batch = batch_of(*[("bad", 1.0)] * 300)
    hook = RaidHook([{f"r{i}": "one" for i in range(300)}, {f"r{i}": "two" for i in range(300)}], (1.0, 3.0))
    drawn = hook.on_batch(batch, TinyModel()).texts[300:]
    assert 0.65 < drawn.count("two") / 300 < 0.85


@pytest.mark.parametrize("shares", [(1.0,), (1.0, -1.0), (1.0, float("nan"))])
def test_raid_hook_refuses_shares_that_do_not_fit(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="shares"):
        RaidHook([{}, {}], shares)
