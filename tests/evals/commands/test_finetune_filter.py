"""``assay finetune filter`` on a tiny encoder: files, exit codes, the folder as a filter, and what is refused."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from evals.commands.calibrate import calibrate
from evals.commands.finetune import finetune
from evals.commands.score import score
from evals.console import Commands
from evals.finetune_filter.finetuning import finetune_filter
from evals.finetune_filter.request import FinetuneRequest, LabelledTable
from guard import assets
from guard.filters.encoder import EncoderFilter
from guard.train.classifier.settings import FilterTraining
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert

BAD = ("you are stupid", "i hate you", "stupid person")
GOOD = ("you are kind", "i love you", "kind person")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Path]:
    """Return a tiny encoder, a filter on it, a labelled table and an unlabelled one."""
    folder = tmp_path_factory.mktemp("finetune")
    base, weights = write_tiny_bert(folder / "base"), write_tiny_adapter(folder / "weights")
    tables = [folder / "rows.csv", folder / "more.csv"]
    for table, start in zip(tables, (0, 1000), strict=True):
        with table.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["comment", "rude"])
            writer.writerows(_texts(200, start))
    return base, weights, *tables


def _texts(n: int, start: int) -> list[tuple[str, str]]:
    """Texts of which no two share five words."""
    return [
        (f"n{at} {(BAD if at % 2 else GOOD)[at // 2 % 3]} m{at} k{at}", "yes" if at % 2 else "no")
        for at in range(start, start + n)
    ]


def _run(monkeypatch: pytest.MonkeyPatch, base: Path, *arguments: str) -> Result:
    """Run inside a group, so that errors become one line and their exit code."""
    real = assets.path
    monkeypatch.setattr(assets, "path", lambda name: base if name == "minilm" else real(name))
    group = Commands()
    for command in (finetune, score, calibrate):
        group.add_command(command)
    return CliRunner().invoke(group, arguments)


def _options(model: tuple[Path, Path, Path, Path], out: Path, *more: str) -> list[str]:
    table = ["--data", str(model[2]), "--column", "comment", "--label", "rude", "--category", "rude"]
    return ["finetune", "filter", "--filter", f"encoder:{model[1]}", *table, "--out", str(out), "--epochs", "2", *more]


def test_writes_a_filter_that_other_commands_load(
    monkeypatch: pytest.MonkeyPatch, model: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    result = _run(monkeypatch, model[0], *_options(model, out, "--layers", "1", "--json"))
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert sorted(path.name for path in out.iterdir()) == [
        "MODEL_CARD.md", "config.json", "encoder.safetensors", "finetune.json", "report.html",
    ]  # fmt: skip
    assert json.loads((out / "finetune.json").read_text(encoding="utf-8")) == document
    assert document["filter"] == EncoderFilter.load(base=model[0], weights=out).name
    assert document["rows"]["train"]["n"] + document["rows"]["validation"]["n"] + document["rows"]["test"]["n"] == 200
    figures = {change["name"]: change for change in document["changes"]["n-gram"]}
    assert set(figures) == {"n-gram/auroc", "n-gram/average_precision", "n-gram/f1"}
    assert all(change["interval"] and change["n_paired"] == 50 for change in figures.values())
    assert [one["category"] for one in document["other_categories"]] == ["toxicity", "refusal"]
    assert document["pseudo_labels"] is None
    page = (out / "report.html").read_text(encoding="utf-8")
    auroc = figures["n-gram/auroc"]
    assert f"{auroc['before']['value']:.3f} and {auroc['after']['value']:.3f} ({auroc['difference']:+.3f}" in page
    assert "<polyline" in page
    assert document["digests"]["labelled"] in page
    assert not any(text in page for text, _ in _texts(200, 0))

    plain, scored = tmp_path / "plain.csv", tmp_path / "scored.csv"
    plain.write_text("comment\nyou are stupid\n", encoding="utf-8")
    options = ["--column", "comment", "--filter", f"encoder:{out}", "--out", str(scored)]
    assert _run(monkeypatch, model[0], "score", str(plain), *options).exit_code == 0
    with scored.open(encoding="utf-8", newline="") as handle:
        assert set(next(csv.DictReader(handle))) == {"comment", "toxicity", "refusal", "rude"}
    policy = ["--filter", f"encoder:{out}", "--policy", "permissive", "--category", "rude"]
    calibrated = _run(
        monkeypatch, model[0], "calibrate", "--data", str(model[3]), "--column", "comment", "--label-column", "rude",
        "--positive", "yes", "--max-miss", "0.3", "--out", str(tmp_path / "p.toml"), *policy,
    )  # fmt: skip
    assert calibrated.exit_code == 0, calibrated.output
    assert "rude" in (tmp_path / "p.toml").read_text(encoding="utf-8")


def test_a_head_that_was_there_is_trained_on_and_compared_with_what_it_was(
    monkeypatch: pytest.MonkeyPatch, model: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    options = _options(model, out, "--layers", "0", "--category", "toxicity")
    result = _run(monkeypatch, model[0], *options)
    assert result.exit_code == 0, result.output
    assert "AUROC, against the head before" in " ".join(result.output.split())
    document = json.loads((out / "finetune.json").read_text(encoding="utf-8"))
    assert document["training"]["ridge"] is None
    assert [(one["category"], one["largest_change"]) for one in document["other_categories"]] == [("refusal", 0.0)]
    one, other = (EncoderFilter.load(base=model[0], weights=folder).score_batch(["i do"]) for folder in (model[1], out))
    assert np.array_equal(one[:, 1], other[:, 1])


def test_pseudo_labels_are_reported_or_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, model: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    few = tmp_path / "few.csv"  # of 18 rows to choose by no 20 can be accepted
    few.write_text("\n".join(["comment,rude", *map(",".join, _texts(72, 0))]), encoding="utf-8")
    more = (
        "--data",
        str(few),
        "--unlabelled",
        str(model[3]),
        "--layers",
        "1",
        "--contrastive",
        "0.1",
        "--filter",
        "fresh",
    )
    result = _run(monkeypatch, model[0], *_options(model, tmp_path / "a", *more))
    assert result.exit_code == 0, result.output
    assert "Pseudo-labels refused, trained on labels alone" in " ".join(result.output.split())
    assert "fewer than 20 labelled rows tell" in " ".join(result.output.split())
    card = (tmp_path / "a" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "## Pseudo-labels" in card
    assert "the frozen encoder alone" in card


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--column", "body"), "has no column 'body'"),
        (("--label", "ruder"), "has no column 'ruder'"),
        (("--category", "No Name"), "small letters"),
        (("--filter", "lexical"), "cannot be hardened"),
        (("--layers", "3"), "the encoder has 2"),
        (("--layers", "0", "--contrastive", "0.1"), "no layer is trained"),
        (("--resume",), "there is no run to resume"),
        (("--positive", "never"), "0 rows where the category applies"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    model: tuple[Path, Path, Path, Path],
    tmp_path: Path,
    more: tuple[str, ...],
    said: str,
) -> None:
    result = _run(monkeypatch, model[0], *_options(model, tmp_path / "out", *more))
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_folder_with_something_in_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, model: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    result = _run(monkeypatch, model[0], *_options(model, tmp_path))
    assert result.exit_code == 2
    assert "is not empty" in result.output


def test_a_run_that_was_killed_is_resumed_to_the_same_weights(
    model: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    table = LabelledTable(model[2], "comment", "rude")
    training = FilterTraining(epochs=3, upper=1, batch=20)
    requests = [
        FinetuneRequest(table, tmp_path / name, "rude", f"encoder:{model[1]}", training=training)
        for name in ("whole", "broken")
    ]

    def kill(what: str, done: int, whole: int) -> None:
        if what == "training" and done == 12:
            raise KeyboardInterrupt

    finetune_filter(requests[0], base=model[0])
    with pytest.raises(KeyboardInterrupt):
        finetune_filter(requests[1], base=model[0], progress=kill)
    assert not (tmp_path / "broken" / "encoder.safetensors").exists()
    finetune_filter(replace(requests[1], resume=True), base=model[0])
    one, other = ((tmp_path / name / "encoder.safetensors").read_bytes() for name in ("whole", "broken"))
    assert one == other
    assert not (tmp_path / "broken" / "state").exists()
