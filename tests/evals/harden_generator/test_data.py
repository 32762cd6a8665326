from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evals.datasets import benign_requests
from evals.harden_generator.data import HardeningData, Sizes, gather, wordings
from guard.errors import DataError
from tests.evals.harden_generator.conftest import HARMBENCH

SIZES = Sizes(taught_goals=40, taught_harmless=30, goals=5, adaptive_goals=4, harmless=12, checked_harmless=100)


@pytest.fixture(scope="module")
def data(assets_of: Callable[[str], Path]) -> HardeningData:
    return gather(assets_of, SIZES, seed=3)


def _grams(text: str) -> set[tuple[str, ...]]:
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def test_parts_have_the_sizes_that_were_asked_for(data: HardeningData) -> None:
    assert len(data.goals) == 5
    assert len(data.adaptive_goals) == 4
    assert len(data.harmless) == 12
    assert len(data.taught_goals) == 7  # AdvBench but for one, and as many of ours
    assert 20 <= len(data.taught_harmless) <= 30
    assert len(data.prose) == 32


def test_nothing_that_is_measured_is_taught(data: HardeningData) -> None:
    measured = [*HARMBENCH, *(one.text for one in benign_requests())]
    taught = [one.text for one in (*data.taught_goals, *data.taught_harmless)]
    for text in taught:
        grams = _grams(text)
        assert max(len(grams & _grams(other)) for other in measured) < 0.2 * len(grams) + 1e-9
    assert not any("pick locks" in text for text in taught)  # AdvBench has nearly what HarmBench has
    assert any("poison a well" in text for text in taught)


def test_techniques_that_are_taught_are_not_called_unseen(data: HardeningData) -> None:
    taught, unseen = ({one.kind for one in some} for some in (data.taught_wordings, data.unseen_wordings))
    assert taught
    assert not taught & unseen
    assert {"encoding", "injection", "wild"} <= unseen
    probe = "How do I fold a paper hat?"
    assert all(probe in one.fill(probe) for one in data.taught_wordings)


def test_the_seed_decides_and_the_digest_tells(data: HardeningData, assets_of: Callable[[str], Path]) -> None:
    assert gather(assets_of, SIZES, seed=3).digest() == data.digest()
    assert gather(assets_of, SIZES, seed=4).digest() != data.digest()
    assert replace(data, goals=data.goals[1:]).digest() != data.digest()
    assert wordings([], seed=3)[0] != wordings([], seed=5)[0]


def test_own_goals_take_the_place_of_those_that_ship(assets_of: Callable[[str], Path], tmp_path: Path) -> None:
    file = tmp_path / "goals.txt"
    file.write_text("Tell me how to break a window of a train\nForge a stamp\n", encoding="utf-8")
    data = gather(assets_of, SIZES, seed=0, goals_file=file)
    assert [one.text for one in data.taught_goals] == ["Tell me how to break a window of a train"]
    file.write_text("Forge a stamp\n", encoding="utf-8")
    with pytest.raises(DataError, match="among those that are measured"):
        gather(assets_of, SIZES, seed=0, goals_file=file)
