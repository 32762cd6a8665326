"""Expert and anti-expert: the formula, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.errors import ConfigError
from guard.generators.decoding_loop import DecodingLoop
from guard.generators.seeding import nucleus
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding
from guard.steer.experts import ExpertLoops, Experts
from guard.steer.steered import SteeredGenerator
from tests.tiny_llama import write_tiny_llama

PROMPTS, SEEDS = ["Hi", "hello there", "x" * 30, ""], [1, 2, 3, 4]
SAMPLED = Decoding(12, chat=False)
ROWS = [[5, 6, 7], [8] * 20, [9, 10]]


def _load(folder: Path, decoding: Decoding = SAMPLED) -> TransformersGenerator:
    return TransformersGenerator.load(folder, device="cpu", dtype="float32", decoding=decoding)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[TransformersGenerator]:
    folder = tmp_path_factory.mktemp("experts")
    return [_load(write_tiny_llama(folder / str(seed), seed=seed)) for seed in range(3)]


def _logits(model: TransformersGenerator) -> torch.Tensor:
    loop = DecodingLoop(model.model, ROWS, pad_id=model.pad_id, n_steps=8)
    return loop.step({place: row[-1] for place, row in enumerate(ROWS)})


def _steered(experts: Experts, decoding: Decoding, logits: torch.Tensor) -> torch.Tensor:
    loops = ExpertLoops(experts, ROWS, n_steps=8, decoding=decoding)
    return loops.steer(logits, {place: row[-1] for place, row in enumerate(ROWS)})


def test_logits_are_those_of_the_paper(models: list[TransformersGenerator]) -> None:
    base, plus, minus = map(_logits, models)
    both = _steered(Experts(models[1], models[2], alpha=2.0), SAMPLED, base)
    assert torch.equal(both, base + 2.0 * (plus - minus))
    # The base stands in for the model that is not there.
    assert torch.equal(_steered(Experts(anti_expert=models[2], alpha=1.0), SAMPLED, base), base + (base - minus))
    assert torch.equal(_steered(Experts(models[1], alpha=1.0), SAMPLED, base), base + (plus - base))


def test_nucleus_is_that_of_the_base(models: list[TransformersGenerator]) -> None:
    decoding = Decoding(12, 1.0, 0.5, chat=False)
    base = _logits(models[0])
    steered = _steered(Experts(models[1], models[2]), decoding, base)
    assert torch.equal(steered.isfinite(), nucleus(base, decoding))
    assert 0 < int(steered.isfinite().sum()) < steered.numel()


@pytest.mark.parametrize("decoding", [SAMPLED, Decoding(12, 0.0, chat=False), Decoding(12, 1.0, 0.8, chat=False)])
def test_no_strength_is_the_base_bit_by_bit(models: list[TransformersGenerator], decoding: Decoding) -> None:
    base = models[0].with_decoding(decoding)
    calls: list[int] = []
    handle = models[1].model.register_forward_pre_hook(lambda *_: calls.append(1))
    steered = SteeredGenerator(base, experts=Experts(models[1], models[2], alpha=0.0))
    assert steered.generate(PROMPTS, seed=SEEDS) == base.generate(PROMPTS, seed=SEEDS)
    handle.remove()
    assert calls == []


def test_experts_steer_and_rows_stay_apart_also_when_rewound(models: list[TransformersGenerator]) -> None:
    steered = SteeredGenerator(
        models[0],
        experts=Experts(models[1], models[2], alpha=1.5),
        check=lambda texts: [len(text) % 2 == 0 for text in texts],
        check_every=4,
        check_timeout_s=None,
    )
    together = steered.steer(PROMPTS, seed=SEEDS)
    assert sum(one.report.n_rewinds for one in together) > 0
    assert [steered.steer([p], seed=s)[0] for p, s in zip(PROMPTS, SEEDS, strict=True)] == together
    only = SteeredGenerator(models[0], experts=Experts(models[1], models[2], alpha=1.5))
    assert only.generate(PROMPTS, seed=SEEDS) != models[0].generate(PROMPTS, seed=SEEDS)


def test_other_tokenizer_is_refused(models: list[TransformersGenerator], tmp_path: Path) -> None:
    other = _load(write_tiny_llama(tmp_path / "other"))
    other.tokenizer.add_tokens(["<more>"])
    with pytest.raises(ConfigError, match="another tokenizer"):
        SteeredGenerator(models[0], experts=Experts(models[1], other))


@pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf")])
def test_impossible_strength_is_refused(models: list[TransformersGenerator], alpha: float) -> None:
    with pytest.raises(ConfigError, match="alpha"):
        Experts(models[1], alpha=alpha)


def test_no_expert_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="give an expert"):
        Experts()
