from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from guard.train.generator.ranks import Alone, launched
from tests.guard.train.generator import two_ranks

ROOT = Path(__file__).resolve().parents[4]


def together(model: Path, out: Path, *, kill_at: int = 0, beside: str = "") -> int:
    """Run the program in two processes, as a launcher does."""
    out.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "tests.guard.train.generator.two_ranks", str(model), str(out), str(kill_at), beside]
    begun = [
        subprocess.Popen(line, cwd=ROOT, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in (0, 1)
    ]
    return max(one.wait(timeout=240) for one in begun)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_and_go_on_to_the_same_weights(tiny_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    two_ranks.main(tiny_llama, tmp_path / "alone")
    assert together(tiny_llama, tmp_path / "whole") == 0
    alone = load_file(tmp_path / "alone" / "rank0.safetensors")
    first, second = (load_file(tmp_path / "whole" / f"rank{rank}.safetensors") for rank in (0, 1))
    for name, value in first.items():
        assert torch.equal(value, second[name])
        assert torch.allclose(value, alone[name], atol=2e-3)
    courses = [json.loads((tmp_path / name / "course.json").read_text()) for name in ("alone", "whole")]
    for one, other in zip(*courses, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert together(tiny_llama, tmp_path / "broken", kill_at=5) == 3
    assert together(tiny_llama, tmp_path / "broken") == 0
    resumed = load_file(tmp_path / "broken" / "rank1.safetensors")
    assert all(torch.equal(value, resumed[name]) for name, value in first.items())


@pytest.mark.slow
def test_terms_are_shared_out_too(tiny_llama: Path, tmp_path: Path) -> None:
    assert together(tiny_llama, tmp_path / "both", beside="beside") == 0
    first, second = (load_file(tmp_path / "both" / f"rank{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert json.loads((tmp_path / "both" / "course.json").read_text())[-1]["leash"] > 0


def test_a_process_that_nobody_launched_is_alone() -> None:
    ranks = launched(cpu=True)
    assert isinstance(ranks, Alone)
    assert (ranks.rank, ranks.n, ranks.gathered([1]), ranks.agreed("x")) == (0, 1, [[1]], "x")
