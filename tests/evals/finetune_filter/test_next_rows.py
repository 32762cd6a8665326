"""``assay finetune next`` on a tiny encoder: what is written, what is never picked, and what control rows tell."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evals.commands.finetune import finetune
from evals.console import Commands
from evals.finetune_filter.next_rows import ADDED, NextRequest, control_estimate, next_rows
from guard import assets
from guard.errors import DataError
from guard.filters.encoder import EncoderFilter
from tests.guard.filters.tiny_bert import WORDS, write_tiny_adapter, write_tiny_bert

COLUMNS = ("row", "text", *ADDED)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("next")
    return write_tiny_bert(folder / "base"), write_tiny_adapter(folder / "weights")


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, model: tuple[Path, Path]) -> Path:
    """Let the tiny encoder stand where the asset would."""
    real = assets.path
    monkeypatch.setattr(assets, "path", lambda name: model[0] if name == "minilm" else real(name))
    return model[0]


def _texts(n: int) -> list[str]:
    return [f"{WORDS[at % 14]} {WORDS[at // 14 % 14]} {WORDS[at * 5 % 14]} {at}" for at in range(n)]


def _write(path: Path, texts: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["id", "text"], *([str(at), text] for at, text in enumerate(texts, 1))])
    return path


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _request(model: tuple[Path, Path], tmp_path: Path, texts: list[str], **options: object) -> NextRequest:
    pool = _write(tmp_path / "pool.csv", texts)
    return NextRequest(
        pool, tmp_path / "out.csv", filter_name=f"encoder:{model[1]}", n=20, **options  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("strategy", ["badge", "k-center", "uncertain", "random"])
def test_rows_are_written_with_scores_and_reasons(
    model: tuple[Path, Path], base: Path, tmp_path: Path, strategy: str
) -> None:
    request = _request(model, tmp_path, _texts(120), strategy=strategy, category="toxicity")
    result = next_rows(request)
    rows, texts = _read(request.out), _texts(120)
    assert tuple(rows[0]) == COLUMNS
    assert len({row["row"] for row in rows}) == 20
    assert all(texts[int(row["row"]) - 1] == row["text"] and row["label"] == "" and row["reason"] for row in rows)
    scores = EncoderFilter.load(base=base, weights=model[1]).score_batch([row["text"] for row in rows])[:, 0]
    assert all(abs(float(row["score"]) - score) < 1e-4 for row, score in zip(rows, scores, strict=True))
    n_control = 20 if strategy == "random" else 4
    assert [row["picked_as"] for row in rows].count("control") == n_control
    assert sum(float(row["weight"]) for row in rows) == pytest.approx(120)
    assert (result.n_pool, result.category, result.estimate) == (120, "toxicity", None)


def test_the_same_seed_picks_the_same_rows_however_the_pool_is_ordered(
    model: tuple[Path, Path], base: Path, tmp_path: Path
) -> None:
    found = []
    for seed, texts in ((1, _texts(90)), (1, _texts(90)[::-1]), (2, _texts(90))):
        request = _request(model, tmp_path, texts, seed=seed)
        next_rows(request)
        found.append([row["text"] for row in _read(request.out)])
    assert found[0] == found[1] != found[2]


def test_copies_and_labelled_rows_are_not_picked(model: tuple[Path, Path], base: Path, tmp_path: Path) -> None:
    texts = _texts(40)
    done = _write(tmp_path / "done.csv", [text.upper() for text in texts[:15]])
    request = _request(
        model, tmp_path, [*texts, *(f"{text}!" for text in texts), ""], labelled=done, strategy="k-center"
    )
    result = next_rows(request)
    picked = {row["text"].rstrip("!") for row in _read(request.out)}
    assert len(picked) == 20
    assert not picked & set(texts[:15])
    assert (result.n_pool, result.counts.empty, result.counts.repeated) == (25, 1, 55)


def test_jsonl_and_another_filter(base: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('rude = ["stupid"]\n', encoding="utf-8")
    pool = _write(tmp_path / "pool.csv", _texts(60))
    request = NextRequest(pool, tmp_path / "out.jsonl", filter_name=f"regex:{rules}", n=6, strategy="uncertain")
    next_rows(request)
    rows = [json.loads(line) for line in request.out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 6
    assert all(set(row) == set(COLUMNS) for row in rows)


def _labelled(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    lines = [["text", "label", "score", "picked_as"], *([f"t{at}", *row] for at, row in enumerate(rows))]
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(lines)
    return path


def test_control_rows_tell_the_error_rate_of_the_filter_that_picked_them(tmp_path: Path) -> None:
    right, missed, alarm = ("1", "0.9", "control"), ("1", "0.2", "control"), ("0", "0.8", "control")
    active, waiting = ("1", "0.1", "active"), ("", "0.5", "control")
    table = _labelled(tmp_path / "done.csv", [right] * 6 + [missed] * 2 + [alarm] * 2 + [active] * 50 + [waiting])
    found = control_estimate(table, threshold=0.5)
    assert found is not None
    assert (found.error.hits, found.error.trials, found.n_unlabelled) == (4, 10, 1)
    assert (found.missed.hits, found.missed.trials) == (2, 8)
    assert (found.false_alarm.hits, found.false_alarm.trials) == (2, 2)
    assert found.error.interval[0] == pytest.approx(0.1216, abs=1e-4)  # Clopper and Pearson, 4 of 10
    assert control_estimate(_labelled(tmp_path / "none.csv", [active]), threshold=0.5) is None


@pytest.mark.parametrize(
    ("row", "said"), [(("2", "0.5", "control"), "is none of"), (("1", "x", "control"), "no number")]
)
def test_labels_and_scores_that_mean_nothing_are_refused(tmp_path: Path, row: tuple[str, str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        control_estimate(_labelled(tmp_path / "done.csv", [row]), threshold=0.5)


def _run(model: tuple[Path, Path], *arguments: str) -> Result:
    group = Commands()
    group.add_command(finetune)
    return CliRunner().invoke(group, ["finetune", "next", "--filter", f"encoder:{model[1]}", *arguments])


def test_the_loop_of_picking_and_labelling(model: tuple[Path, Path], base: Path, tmp_path: Path) -> None:
    pool, first = _write(tmp_path / "pool.csv", _texts(100)), tmp_path / "first.csv"
    result = _run(model, "--data", str(pool), "--n", "30", "--control", "0.5", "--out", str(first))
    assert result.exit_code == 0, result.output
    assert "15 rows by badge and 15 at random, of 100 for the category refusal" in result.output
    rows = _read(first)
    with first.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows({**row, "label": str(int("stupid" in row["text"]))} for row in rows)
    options = ["--data", str(pool), "--labelled", str(first), "--n", "20", "--out", str(tmp_path / "second.csv")]
    again = _run(model, *options, "--json")
    document = json.loads(again.stdout)
    assert document["pool"] == 70
    assert document["estimate"]["error"]["trials"] == 15
    assert not {row["text"] for row in _read(tmp_path / "second.csv")} & {row["text"] for row in rows}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--n", "101"), "101 are asked for"),
        (("--column", "body"), "has no column 'body'"),
        (("--category", "sarcasm"), "has no 'sarcasm'"),
        (("--out", "x.parquet"), "the rule is .csv or .jsonl"),
        (("--out", "x.txt"), "none of the known ends"),
        (("--column", "score"), "rename it in the pool"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    model: tuple[Path, Path], base: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    pool = _write(tmp_path / "pool.csv", _texts(100))
    result = _run(model, "--data", str(pool), "--n", "5", "--out", str(tmp_path / "out.csv"), *more)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_the_text_keeps_the_name_of_its_column(model: tuple[Path, Path], base: Path, tmp_path: Path) -> None:
    pool, out = tmp_path / "pool.csv", tmp_path / "out.csv"
    pool.write_text("\n".join(["comment", *_texts(30)]), encoding="utf-8")
    result = _run(model, "--data", str(pool), "--column", "comment", "--n", "4", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert {row["comment"] for row in _read(out)} <= set(_texts(30))
    again = _run(
        model, "--data", str(pool), "--column", "comment", "--n", "26", "--labelled", str(out), "--json",
        "--out", str(tmp_path / "rest.csv"),
    )  # fmt: skip
    assert json.loads(again.stdout)["estimate"]["n_unlabelled"] == 1
