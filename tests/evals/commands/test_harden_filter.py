"""``assay harden filter`` on a tiny model: files, exit codes, the folder as a filter, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evals.commands.harden_filter import filter_
from evals.console import Commands
from guard import assets
from guard.errors import AssetError
from guard.filters.encoder import EncoderFilter
from guard.train.encoder import TrainSettings, train, write_weights
from guard.train.lora import LoraSettings
from guard.train.rows import Row
from tests.guard.filters.tiny_bert import write_tiny_bert

BAD = ("you are a stupid person", "i hate you and the weather", "stupid kind of person", "i do hate the person")
GOOD = ("you are a kind person", "i love you and the weather", "not a person", "do love the weather")


pytestmark = pytest.mark.model  # the attacks leave stop words alone, which are an asset


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return a tiny encoder, a filter on it, and a table."""
    try:
        assets.path("nltk-stopwords")
    except AssetError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("harden")
    base = write_tiny_bert(folder / "base")
    rows = [Row(text, {"toxicity": float(label)}, "toy", "train") for text, label in _texts(120)]
    settings = TrainSettings(
        epochs=4, learning_rate=0.02, max_tokens=24, batch_tokens=256, noise=0, bfloat16=False, lora=LoraSettings(2)
    )
    tensors, config, _ = train(rows, base=base, settings=settings)
    write_weights(tensors, config, folder / "weights")
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["comment", "toxic"])
        writer.writerows(_texts(400))
    return base, folder / "weights", folder / "rows.csv"


def _texts(n: int) -> list[tuple[str, int]]:
    """Texts that all differ, harmful in turns."""
    return [((BAD if at % 2 else GOOD)[at // 2 % 4] + f" {chr(97 + at % 26)} {at}", at % 2) for at in range(n)]


def _run(monkeypatch: pytest.MonkeyPatch, model: tuple[Path, Path, Path], *options: str) -> Result:
    """Run the command inside a group, so that errors become one line and their exit code."""
    real = assets.path
    monkeypatch.setattr(assets, "path", lambda name: model[0] if name == "minilm" else real(name))
    group = Commands()
    group.add_command(filter_)
    common = ["filter", "--filter", f"encoder:{model[1]}", "--data", str(model[2]), "--column", "comment"]
    return CliRunner().invoke(group, [*common, "--label-column", "toxic", *options])


def test_hardens_measures_and_writes_a_filter(
    monkeypatch: pytest.MonkeyPatch, model: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = _run(
        monkeypatch,
        model,
        "--out",
        str(out),
        "--hook",
        "random",
        "--hook",
        "recipe:pruthi",
        "--attacked",
        "10",
        "--json",
    )
    document = json.loads(result.stdout)
    assert result.exit_code == {"pass": 0, "fail": 1, "inconclusive": 3}[document["outcome"]], result.output
    assert json.loads((out / "harden.json").read_text(encoding="utf-8")) == document
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json", "encoder.safetensors", "harden.html", "harden.json", "harden.md",
    ]  # fmt: skip
    figures = {change["name"]: change for change in document["changes"]}
    assert {"auroc", "recall", "false_alarms/test", "false_alarms/lookalikes", "ms_a_text"} <= set(figures)
    assert figures["attack/pruthi/success"]["title"] == "pruthi success (moves trained on)"
    assert figures["attack/deepwordbug/caught"]["n_paired"] == document["rows"]["attacked"] == 10
    assert sum(document["rows"][part] for part in ("train", "validation", "test")) == 400
    hardened = EncoderFilter.load(base=model[0], weights=out)
    assert document["filter"]["after"] == hardened.name != document["filter"]["before"]
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["slips"]["categories"] == ["toxicity"]
    assert config["hardening"][0]["hooks"] == ["random", "recipe:pruthi"]
    markdown = (out / "harden.md").read_text(encoding="utf-8")
    assert "| AUROC, clean |" in markdown
    assert f"{document['outcome']}**" in markdown


def test_reading_slips_alone_needs_no_training(
    monkeypatch: pytest.MonkeyPatch, model: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    options = ("--out", str(tmp_path / "out"), "--hook", "none", "--attacked", "5", "--attack", "pruthi")
    result = _run(monkeypatch, model, *options)
    assert result.exit_code in (0, 1, 3), result.output
    assert "Written:" in result.output
    assert json.loads((tmp_path / "out" / "harden.json").read_text(encoding="utf-8"))["training"] is None
    assert _run(monkeypatch, model, *options).exit_code == 2  # the folder is taken now


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--hook", "rondom"), "did you mean 'random'"),
        (("--hook", "recipe"), "needs the name of an attack"),
        (("--hook", "random:3"), "takes no argument"),
        (("--attack", "deepwordbag"), "no recipe is called"),
        (("--category", "sarcasm"), "no output rule on 'sarcasm'"),
        (("--category", "sarcasm", "--threshold", "0.5"), "has no 'sarcasm'"),
        (("--hook", "none", "--no-slips"), "nothing is hardened"),
        (("--filter", "lexical"), "cannot be hardened"),
        (("--filter", "encoder:nowhere"), "holds no config.json"),
        (("--column", "body"), "has no column 'body'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    model: tuple[Path, Path, Path],
    tmp_path: Path,
    options: tuple[str, ...],
    said: str,
) -> None:
    result = _run(monkeypatch, model, "--out", str(tmp_path / "out"), *options)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_too_few_rows_are_refused(
    monkeypatch: pytest.MonkeyPatch, model: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    few = tmp_path / "few.csv"
    few.write_text("comment,toxic\n" + "".join(f"row {at},{at % 2}\n" for at in range(60)), encoding="utf-8")
    result = _run(monkeypatch, (model[0], model[1], few), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "the rule is 20" in result.output
