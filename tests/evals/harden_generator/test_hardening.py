from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evals.harden_generator.collecting import AttackSizes
from evals.harden_generator.data import Sizes
from evals.harden_generator.hardening import HardenRequest, harden
from evals.harden_generator.measuring import MeasureSettings
from evals.harden_generator.page import write_pages
from evals.harden_generator.result import HardenResult, figure_rows
from guard.errors import ConfigError
from guard.generators.source import resolve
from guard.generators.transformers import TransformersGenerator
from guard.harden.generator.training import TrainingSettings
from tests.tiny_llama import write_tiny_llama

Assets = Callable[[str], Path]


def _request(model: Path, out: Path) -> HardenRequest:
    return HardenRequest(
        str(model),
        out,
        dtype="float32",
        preference=0.1,
        sizes=Sizes(taught_goals=30, taught_harmless=12, goals=4, adaptive_goals=4, harmless=6),
        measuring=MeasureSettings(answer_tokens=4, benign_tokens=4, dressed=3, budget=2, explore=2),
        attacks=AttackSizes(drawn=12, goals=3, pulls=1),
        training=TrainingSettings(steps=6, round_steps=3, look_every=2),
    )


@pytest.fixture(scope="module")
def done(
    assets_of: Assets, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[HardenResult, HardenRequest, list[str]]:
    told: list[str] = []
    request = _request(tiny_llama, tmp_path_factory.mktemp("hardened") / "out")
    result = harden(request, asset=assets_of, tell=lambda what, done, total: told.append(what))
    return result, request, told


def test_every_figure_is_there_with_its_number(done: tuple[HardenResult, HardenRequest, list[str]]) -> None:
    result, _, told = done
    n = {one.name: one.n_paired for one in result.changes}
    assert n == {"adaptive": 2, "plain": 4, "seen": 4, "unseen": 4, "over_refusal": 6, "over_refusal_dressed": 3,
                 "bits_per_char": 32}  # fmt: skip
    assert result.perplexity.n == 32
    assert result.token_time.n > 0
    assert len(figure_rows(result)) == len(n) + 2
    assert [one["round"] for one in result.attacked] == [0, 1]
    assert set(result.spent) == {"before", "answered", "training", "after"}
    assert {"training", "before: measuring", "after: adaptive attack"} <= set(told)
    json.dumps(result.to_dict(), allow_nan=False)


def test_the_model_that_was_written_is_the_one_that_was_measured(
    done: tuple[HardenResult, HardenRequest, list[str]], tiny_llama: Path
) -> None:
    result, request, _ = done
    source = resolve(str(request.out / "model"))
    assert source.digest != resolve(str(tiny_llama)).digest == result.digest
    generator = TransformersGenerator.load(source.folder, device="cpu", dtype="float32")
    original = TransformersGenerator.load(tiny_llama, device="cpu", dtype="float32")
    ids = torch.tensor([[5, 30, 60, 9]])
    assert not torch.equal(generator.model(input_ids=ids).logits, original.model(input_ids=ids).logits)
    card = (source.folder / "README.md").read_text(encoding="utf-8")
    assert result.digest[:12] in card
    assert result.sentence in card
    record = json.loads((source.folder / "hardening.json").read_text(encoding="utf-8"))
    assert record["settings"]["seed"] == 0
    assert [term["name"] for term in record["terms"]] == ["Likelihood", "Leash", "Unlikelihood", "Preference"]
    assert [one.name for one in request.out.parent.iterdir()] == ["out"]
    assert {one.name for one in request.out.iterdir()} >= {"adapter", "model"}


def test_the_report_shows_every_figure_and_the_verdict(done: tuple[HardenResult, HardenRequest, list[str]]) -> None:
    result, request, _ = done
    written = write_pages(result)
    assert [file.name for file in written] == ["report.html", "report.md"]
    for file in written:
        text = file.read_text(encoding="utf-8")
        assert all(one.title in text for one in result.changes)
        assert "adaptive attack success" in text
    assert not list(request.out.glob("*.tmp"))


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("place", ["answers of the original", "training", "after: measuring"])
def test_a_run_that_was_killed_goes_on_to_the_same_result(
    done: tuple[HardenResult, HardenRequest, list[str]],
    assets_of: Assets,
    tiny_llama: Path,
    tmp_path: Path,
    place: str,
) -> None:
    def kill(what: str, done: int, total: int) -> None:
        if what == place and done in (1, 5):
            raise _KilledError

    request = _request(tiny_llama, tmp_path / "out")
    with pytest.raises(_KilledError):
        harden(request, asset=assets_of, tell=kill)
    assert not request.out.exists()
    result = harden(request, asset=assets_of)
    assert _timeless(result) == _timeless(done[0])
    assert (request.out / "model" / "model.safetensors").read_bytes() == (
        done[1].out / "model" / "model.safetensors"
    ).read_bytes()


def _timeless(result: HardenResult) -> dict[str, Any]:
    found = result.to_dict()
    for name in ("out", "spent", "token_time", "attacked"):
        found.pop(name)
    return {**found, "progress": {k: v for k, v in found["progress"].items() if not k.endswith("seconds")}}


def test_what_cannot_be_hardened_is_refused_at_once(assets_of: Assets, tiny_llama: Path, tmp_path: Path) -> None:
    request = _request(tiny_llama, tmp_path)
    (tmp_path / "mine").write_text("")
    with pytest.raises(ConfigError, match="is there already"):
        harden(request, asset=assets_of)
    base = write_tiny_llama(tmp_path / "base", chat=False)
    with pytest.raises(ConfigError, match="no chat template"):
        harden(replace(request, model=str(base), out=tmp_path / "out"), asset=assets_of)
    with pytest.raises(ConfigError, match="minutes"):
        replace(request, minutes=0.0)
