from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evals.finetuning.tracking import Curves, read_curves, trackers
from guard.errors import ConfigError, OutputError

ROOT = Path(__file__).resolve().parents[3]


def test_curves_are_whole_rows_and_a_run_that_goes_on_takes_over_its_own(tmp_path: Path) -> None:
    file = tmp_path / "curves.csv"
    first = Curves(file, start=0)
    for step in (1, 2, 3):
        first.scalars(step, "train", {"language": 1 / step, "norm": 0.1})
    first.close()
    with file.open("a") as handle:
        handle.write("4,train,lang")  # a kill tore this line
    again = Curves(file, start=2)
    for step in (2, 3):
        again.scalars(step, "train", {"language": 9.0 if step == 2 else 0.3, "norm": 0.1})
    again.close()
    rows = [(int(row["step"]), float(row["value"])) for row in read_curves(file) if row["name"] == "language"]
    assert rows == [(1, 1.0), (2, 0.5), (3, 0.3)]


def test_curves_that_cannot_be_written_are_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="--resume"):
        Curves(tmp_path / "none" / "curves.csv", start=0)


def test_tensorboard_shows_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    made = trackers(["tensorboard"], tmp_path, start=0, settings={})
    for one in made:
        one.scalars(1, "train", {"language": 2.0})
        one.scalars(2, "validation", {"language": 1.5})
        one.close()
    # Its reader warns on import, which says nothing of ours.
    program = (
        "import sys, json\nfrom tensorboard.backend.event_processing.event_accumulator import EventAccumulator as E\n"
        "e = E(sys.argv[1]); e.Reload()\n"
        "print(json.dumps({t: [(s.step, s.value) for s in e.Scalars(t)] for t in e.Tags()['scalars']}))"
    )
    line = [sys.executable, "-c", program, str(tmp_path / "tensorboard")]
    said = subprocess.run(line, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == {"train/language": [[1, 2.0]], "validation/language": [[2, 1.5]]}


def test_a_tracker_that_is_not_installed_is_said_and_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = builtins.__import__

    def missing(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] == "wandb" or name == "torch.utils.tensorboard":
            raise ImportError(name)
        return load(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    said: list[str] = []
    made = trackers(["tensorboard", "wandb"], tmp_path, start=0, settings={}, tell=said.append)
    assert [type(one) for one in made] == [Curves]
    made[0].close()
    assert "pip install 'assay[train]'" in said[0]
    assert "pip install wandb" in said[1]


def test_a_tracker_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'mlflow' is not known"):
        trackers(["mlflow"], tmp_path, start=0, settings={})


def test_weights_and_biases_takes_the_curves_offline(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    program = (
        "import sys\nfrom pathlib import Path\nfrom evals.finetuning.tracking import trackers\n"
        "made = trackers(['wandb'], Path(sys.argv[1]), start=0, settings={'rate': 0.1})\n"
        "[one.scalars(1, 'train', {'language': 2.0}) for one in made]\n"
        "[one.close() for one in made]\nassert len(made) == 2"
    )
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, env=environment, check=True, timeout=120)
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
