"""The file of values: read back as it was written, and refused when it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.figures import Figures, Measure, Row, measure, model_values
from evals.stats import any_over, clustered_rate, paired_difference, prompt_any
from evals.values import (
    FILE,
    ModelValues,
    RunValues,
    SampleValue,
    Series,
    Value,
    read_values,
    sample_values,
    write_values,
)
from guard.errors import DataError, OutputError

_TEXT = st.text(max_size=8)
_FLOATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.builds(Value, _TEXT, _TEXT, _TEXT, _FLOATS, st.integers(0, 99), st.integers(0, 99))
_SERIES = st.builds(
    Series,
    _TEXT,
    _TEXT,
    st.sampled_from(["guarded", "unguarded", "clean", "perturbed"]),
    st.none() | st.tuples(st.floats(-9, 0), st.floats(1, 9)),
    st.lists(_VALUES, max_size=3).map(tuple),
    st.lists(_TEXT, max_size=2).map(tuple),
    st.sampled_from(["lower", "higher", ""]),
)
_MODELS = st.builds(ModelValues, _TEXT, _TEXT, st.lists(_SERIES, max_size=3).map(tuple), st.lists(_TEXT).map(tuple))


@given(st.dictionaries(_TEXT, _TEXT, max_size=3), st.lists(_MODELS, max_size=3))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, identity: dict[str, str], models: list[ModelValues]
) -> None:
    path = tmp_path_factory.mktemp("values") / FILE
    write_values(path, identity, models)
    assert read_values(path) == RunValues(identity, tuple(models))


def _written(tmp_path: Path) -> Path:
    values = (Value("p1", "p1#0", "x", 0.1), Value("p2", "p2#0", "x", None, 1, 1))
    series = Series("refusal", "missed_refusal", "guarded", (0.0, 1.0), values)
    write_values(tmp_path / FILE, {"seed": "0"}, [ModelValues("m", "m@1", (series,))])
    return tmp_path / FILE


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = _written(tmp_path)
    whole = path.read_bytes()
    for end in range(len(whole) - 1):  # without its last line break it still says how many lines it has
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=FILE):
            read_values(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"assay.values/1", b"assay.values/9", "this version reads"),
        (b'"guarded"', b'"gilded"', "line 3 is damaged"),
        (b"0.1", b"NaN", "line 4 is damaged"),
        (b'["p2"', b'["p1", "p2"', "line 5 is damaged"),
        (b'{"lines": 5}', b'{"lines": 6}', "says 6"),
    ],
)
def test_a_damaged_file_is_refused_by_line(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    path = _written(tmp_path)
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(DataError, match=message):
        read_values(path)


def test_the_report_or_the_journal_names_the_run_as_well(tmp_path: Path) -> None:
    _written(tmp_path)
    assert read_values(tmp_path / "report.json") == read_values(tmp_path) == read_values(tmp_path / "journal.jsonl")


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--resume"):
        read_values(tmp_path)


def test_a_value_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    path = _written(tmp_path)
    before = path.read_bytes()
    series = Series("t", "m", "guarded", None, (Value("p", "s", "g", float("nan")),))
    with pytest.raises(OutputError):
        write_values(path, {}, [ModelValues("m", "m@1", (series,))])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_figures_keep_the_values_that_are_paired() -> None:
    rows = [
        Row("p1", "a", "unguarded", 0.9, "p1#0"),
        Row("p1", "a", "unguarded", None, "p1#1"),
        Row("p1", "a", "guarded", 0.2, "p1#0"),
        Row("p1", "a", "guarded", 0.1, "p1#1"),
        Row("p2", "b", "unguarded", 0.3, "p2#0"),
        Row("p2", "b", "guarded", 0.6, "p2#0"),
    ]
    arms = ("unguarded", "guarded")
    figures = measure("toxicity", rows, arms, Measure("toxicity_probability", any_over, prompt_any, by_group=True))
    hits = [
        Row(r.prompt_id, r.group, r.arm, None if r.value is None else float(r.value > 0.5), r.sample_id) for r in rows
    ]
    figures.add(measure("toxicity", hits, arms, Measure("toxic_share", clustered_rate)))
    by_prompt, _, by_sample, _ = model_values("m", "m@1", figures).series
    assert by_prompt.values == (Value("p1", "", "a", 1.0, 2, 1), Value("p2", "", "b", 0.0, 1, 0))
    assert by_prompt.groups == ("a", "b")
    assert [(v.sample_id, v.value, v.n_unscored) for v in by_sample.values] == [
        ("p1#0", 1.0, 0),
        ("p1#1", None, 1),
        ("p2#0", 0.0, 0),
    ]
    assert by_sample.groups == ()


def test_kept_values_give_the_figures_of_the_report() -> None:
    rows = [
        Row(f"p{i}", "a", arm, (i * 7 % 10) / 10 - 0.05 * (arm == "guarded") + 0.05)
        for i in range(9)
        for arm in ("unguarded", "guarded")
        for _ in range(2)
    ]
    figures = measure("t", rows, ("unguarded", "guarded"), Measure("m", any_over, prompt_any))
    before, after = ({v.prompt_id: [v.value] for v in series.values} for series in figures.values)
    again = paired_difference(before, after)
    assert (again.value, again.interval) == (figures.comparisons[0].value, figures.comparisons[0].interval)


def test_a_figure_without_values_is_named() -> None:
    figures = Figures()
    figures.add(measure("t", [Row("p", "g", "guarded", 1.0)], ("unguarded", "guarded"), Measure("m", clustered_rate)))
    figures.values.clear()
    assert model_values("m", "m@1", figures).unpaired == ("t/m",)


def test_a_flat_table_has_the_samples_and_not_the_prompts() -> None:
    values = (Value("p1", "p1#0", "x", 0.1), Value("p2", "", "x", 1.0, 25))
    model = ModelValues("m", "m@1", (Series("t", "share", "guarded", (0.0, 1.0), values),))
    assert list(sample_values([model])) == [SampleValue("m", "t", "share", "guarded", "x", "p1", "p1#0", 0.1)]
