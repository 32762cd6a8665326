"""Bad input and a bad machine, through the whole command: one clear line, the exit code, and nothing half-written."""

from __future__ import annotations

import json
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main
from evals.report import read, without_times
from tests.small_command import run, write_inputs

pytestmark = pytest.mark.slow

_LIMIT = 1012
"""Tokens that fit the small model's context of 1,024 beside the suite's 12 new ones."""


@pytest.fixture
def options(tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options of an audit that runs, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    return ["audit", *write_inputs(tmp_path / "inputs", model=tiny_llama), "--out", "out"]


@pytest.fixture
def broken_model(tmp_path: Path, tiny_llama: Path) -> Path:
    """A copy of the model, to be broken."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "broken"))


def _assay(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def _refused(code: int, err: str, expected: int, *parts: str) -> None:
    """Exactly one line on the error stream, which says what is wrong."""
    assert code == expected, err
    assert err.startswith("assay: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    assert len(err) < 700
    assert all(part in err for part in parts), err


def _file(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content.encode("ascii") if isinstance(content, str) else content)
    return name


def _runs() -> list[Path]:
    return sorted(Path("out").glob("*"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.txt", "", "no prompts"),
        ("blank.txt", " \n\t\n", "no prompts"),
        ("empty.csv", "", "is empty"),
        ("header.csv", "prompt\n", "no prompts"),
        ("other.csv", "text\nhello\n", "no column 'prompt'; it has text"),
        ("ragged.csv", "prompt,b\nhello\n", "row 1: 1 fields"),
        ("empty.jsonl", "", "is empty"),
        ("torn.jsonl", '{"prompt": "a"}\n{"prom', "row 2: not JSON"),
        ("number.jsonl", '{"prompt": 3}\n', "row 1: 'prompt' is a int, not text"),
        ("latin.txt", b"caf\xe9\n", "not UTF-8"),
        ("cut.csv.gz", b"\x1f\x8b\x08\x00", "gzip"),
        ("junk.parquet", b"PAR1 and no more", "Parquet"),
        ("prompts.docx", "PK", ".docx has none of the known ends"),
    ],
)
def test_bad_prompts_are_refused(options: list[str], name: str, content: str | bytes, says: str) -> None:
    found = _assay(*options, "--prompts", _file(name, content))
    _refused(found.exit_code, found.stderr, 2, name, says)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("option", "content", "says"),
    [
        ("--policy", "[output.rudeness]\nthreshold = 0.5\naction = 'block'", "did you mean 'rude'"),
        ("--policy", "[output.rude]\nthreshold = nan\naction = 'block'", "nan"),
        ("--gate", "[[limit]]\nmetric = 'refusal/over_refusal'\narm = 'guarded'\nmax = 0.5", "does not measure"),
        ("--scorer", "[[term]]\ntext = 'darn'\ncategory = 'rude'\nscore = 0.5", "no category 'toxicity'"),
        ("--filter", "[[term]]\ntext = 'darn'\ncategory = 'rude'\nscore = 5", "score 5"),
        ("--suite", "[quality]\nreference = 'no/model'", "unknown model 'no/model'"),
    ],
)
def test_files_that_do_not_fit_together_are_refused_before_the_run(
    options: list[str], option: str, content: str, says: str
) -> None:
    name = _file("given.toml", content)
    found = _assay(*options, option, f"lexical:{name}" if option in ("--scorer", "--filter") else name)
    _refused(found.exit_code, found.stderr, 2, says)
    assert not Path("out").exists()


def _cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def _random_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 20)


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _no_tokenizer(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()


def _no_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_cut_weights, "model.safetensors is broken"),
        (_random_weights, "model.safetensors is broken"),
        (_no_weights, "no weights"),
        (_no_tokenizer, "no tokenizer"),
        (_no_configuration, "no configuration"),
    ],
)
def test_model_folder_that_lacks_a_part_is_refused_before_any_model_runs(
    options: list[str], broken_model: Path, damage: Callable[[Path], None], says: str
) -> None:
    damage(broken_model)
    found = _assay(*options, "--model", broken_model)
    _refused(found.exit_code, found.stderr, 2, "broken", says)
    assert not Path("out").exists()


def test_weights_that_lack_a_layer_are_refused_and_not_made_up(options: list[str], broken_model: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(broken_model / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, broken_model / "model.safetensors", metadata={"format": "pt"})
    options[options.index("--model") + 1] = str(broken_model)
    found = _assay(*options)
    _refused(found.exit_code, found.stderr, 2, "lacks weights", "model.layers.1.mlp.up_proj.weight")
    assert _runs() == []


def test_configuration_that_is_not_json_is_refused_without_a_run(options: list[str], broken_model: Path) -> None:
    (broken_model / "config.json").write_text("{", encoding="utf-8")
    options[options.index("--model") + 1] = str(broken_model)
    found = _assay(*options)
    _refused(found.exit_code, found.stderr, 2, "cannot load a causal language model")
    assert _runs() == []


def test_model_named_twice_is_refused(options: list[str], tiny_llama: Path) -> None:
    found = _assay(*options, "--model", tiny_llama)
    _refused(found.exit_code, found.stderr, 2, "named twice")
    assert not Path("out").exists()


def test_prompt_of_a_million_characters_is_refused_by_its_number(options: list[str]) -> None:
    prompts = _file("long.txt", f"a short one\n{'so many words ' * 75_000}\nanother\n")
    ended = run(*options, "--prompts", prompts)
    _refused(ended.returncode, ended.stderr, 2, "prompt row-000002", f"at most {_LIMIT}", "shorten it")
    assert _runs() == []


def test_prompt_that_just_fits_runs(options: list[str]) -> None:
    found = _assay(*options, "--prompts", _file("long.txt", "x" * _LIMIT))
    assert found.exit_code in (0, 1, 3), found.stderr
    assert found.stderr == ""
    found = _assay(*options, "--prompts", _file("long.txt", "x" * (_LIMIT + 1)))
    _refused(found.exit_code, found.stderr, 2, "prompt row-000001", f"has {_LIMIT + 1} tokens")
    assert len(_runs()) == 1


def test_surrogates_and_controls_in_prompts_run_to_the_end(options: list[str]) -> None:
    lines = [r'{"prompt": "lone \ud800 here"}', r'{"prompt": "nul \u0000 \u001b[2J"}', r'{"prompt": "</script>\udfff"}']
    found = _assay(*options, "--prompts", _file("odd.jsonl", "\n".join(lines)))
    assert found.exit_code in (0, 1, 3), found.stderr
    assert found.stderr == ""
    [folder] = _runs()
    prompts = {example.prompt for example in read(folder).models[0].examples}
    assert {"lone \ud800 here", "nul \0 \x1b[2J"} & prompts
    assert (folder / "report.html").read_text(encoding="utf-8").count("</html>") == 1
    again = _assay("report", folder)
    assert again.exit_code == 0, again.stderr
    assert "\x1b" not in again.output
    assert "\0" not in again.output


@pytest.mark.parametrize("out", ["file", "file/x", "/proc/nope", "/dev/full", "/dev/null/x", "n" * 300])
def test_output_folder_that_cannot_be_is_one_line(options: list[str], out: str) -> None:
    Path("file").write_text("mine", encoding="utf-8")
    before = sorted(Path().iterdir())
    found = _assay(*options, "--out", out)
    _refused(found.exit_code, found.stderr, 4, "--out")
    assert Path("file").read_text(encoding="utf-8") == "mine"
    assert sorted(Path().iterdir()) == before


def test_resume_of_a_run_that_is_named_and_not_there_is_refused(options: list[str]) -> None:
    found = _assay(*options, "--resume", "yesterday")
    _refused(found.exit_code, found.stderr, 2, "no run to resume in yesterday")
    assert not Path("out").exists()


def test_resume_without_a_run_says_so_and_starts_one(options: list[str]) -> None:
    found = _assay(*options, "--resume")
    assert found.exit_code in (0, 1, 3), found.stderr
    assert found.stderr == "assay: no run in out has these options; starting one\n"
    assert len(_runs()) == 1


def _small_disk(size: int) -> Callable[[], None]:
    """No file may grow beyond `size` bytes: writing fails just as on a full disk, without mounting one."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize(("size", "n_runs"), [(300, 0), (9000, 1)], ids=["in the header", "between samples"])
def test_disk_that_fills_during_the_run_is_one_line_and_the_run_can_go_on(
    options: list[str], size: int, n_runs: int
) -> None:
    ended = run(*options, "--batch-size", "2", preexec_fn=_small_disk(size))
    _refused(ended.returncode, ended.stderr, 4, "journal.jsonl", "free space")
    assert len(_runs()) == n_runs
    assert [file.name for folder in _runs() for file in folder.iterdir()] == ["journal.jsonl"] * n_runs
    resumed = _assay(*options, *["--resume"] * n_runs)
    assert resumed.exit_code in (0, 1, 3), resumed.stderr
    assert resumed.stderr == ""
    [folder] = _runs()
    unbroken = _assay(*options, "--json")
    assert without_times((folder / "report.json").read_text(encoding="utf-8")) == without_times(unbroken.stdout)


def test_disk_that_fills_during_the_report_leaves_the_earlier_one(options: list[str]) -> None:
    assert _assay(*options).exit_code in (0, 1, 3)
    [folder] = _runs()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    size = (len(before["journal.jsonl"]) + len(before["report.html"])) // 2
    assert len(before["journal.jsonl"]) < size < len(before["report.html"]), "the inputs no longer fit this test"
    ended = run(*options, "--resume", preexec_fn=_small_disk(size))
    _refused(ended.returncode, ended.stderr, 4, "report", "--resume")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_disk_that_fills_under_a_table_leaves_the_earlier_one(options: list[str]) -> None:
    table = _file("in.csv", "text\n" + "a\n" * 3000)
    Path("scores.csv").write_text("mine", encoding="utf-8")
    before = sorted(Path().iterdir())
    words = options[options.index("--filter") + 1]
    score = ["score", table, "--filter", words, "--out", "scores.csv"]
    ended = run(*score, preexec_fn=_small_disk(10_000))
    _refused(ended.returncode, ended.stderr, 4, "scores.csv")
    assert Path("scores.csv").read_text(encoding="utf-8") == "mine"
    assert sorted(Path().iterdir()) == before


_NAN_FILTER = """
import numpy as np

class Filter:
    name, categories = "nan@1", ("rude",)

    def score_batch(self, items):
        return np.full((len(items), 1), np.nan, dtype=np.float32)
"""


@pytest.fixture
def nan_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a filter that another distribution provides and that gives NaN."""
    site = tmp_path / "site"
    (site / "nan_filter-1.dist-info").mkdir(parents=True)
    (site / "nan_filter.py").write_text(_NAN_FILTER, encoding="utf-8")
    (site / "nan_filter-1.dist-info" / "METADATA").write_text("Name: nan-filter\nVersion: 1\n", encoding="utf-8")
    entry = "[assay.filters]\nnan = nan_filter:Filter\n"
    (site / "nan_filter-1.dist-info" / "entry_points.txt").write_text(entry, encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    return "nan"


def test_filter_that_gives_nan_blocks_and_the_report_says_so(options: list[str], nan_filter: str) -> None:
    options[options.index("--filter") + 1] = nan_filter
    found = _assay(*options)
    assert found.stderr == ""
    [folder] = _runs()
    lines = (folder / "journal.jsonl").read_text(encoding="ascii").splitlines()[1:]
    assert {json.loads(line)["arms"]["guarded"]["action"] for line in lines} == {4}
    assert [note for note in read(folder).notes if f"failed on {len(lines)} of {len(lines)} samples" in note]
    metrics = read(folder).models[0].metrics
    assert {metric.value for metric in metrics if metric.task == "toxicity" and metric.arm == "guarded"} == {None}
    assert found.exit_code == 3  # an outage of the guard is no evidence
