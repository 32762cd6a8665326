from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.imports.reporting import to_report
from evals.imports.table import read_log
from evals.report import to_html, to_json
from guard.errors import DataError
from tests.evals.imports.logs import (
    attempt,
    garak_eval,
    garak_lines,
    inspect_header,
    inspect_members,
    inspect_sample,
    lm_sample,
    write_garak,
    write_inspect,
    write_lm_results,
    write_lm_samples,
    zip_of,
)


def write_each(folder: Path) -> dict[str, Path]:
    """One log of each form, each in a folder of its own, under a name that says nothing."""
    places = {name: folder / name for name in ("eval", "json", "results", "samples", "garak")}
    for place in places.values():
        place.mkdir()
    header, samples = inspect_header(n_samples=2), [inspect_sample(i, match="C") for i in range(2)]
    lm = [lm_sample(i, acc=1.0) for i in range(3)]
    return {
        "eval": write_inspect(places["eval"] / "a.eval", header, samples).rename(places["eval"] / "a"),
        "json": write_inspect(places["json"] / "a.json", header, samples).rename(places["json"] / "b"),
        "results": write_lm_results(places["results"], {"t": {"acc,none": 1.0}}).rename(places["results"] / "c"),
        "samples": write_lm_samples(places["samples"], "t", lm).rename(places["samples"] / "d"),
        "garak": write_garak(places["garak"] / "e", [attempt(1, "p", {"a.B": [0.0]})]),
    }


def test_a_log_is_told_by_what_it_holds(tmp_path: Path) -> None:
    found = {form: read_log(path).tool for form, path in write_each(tmp_path).items()}
    lm = "lm-evaluation-harness"
    assert found == {"eval": "inspect_ai", "json": "inspect_ai", "results": lm, "samples": lm, "garak": "garak"}


def test_a_folder_with_one_log_stands_for_it(tmp_path: Path) -> None:
    write_lm_samples(tmp_path, "t", [lm_sample(i, acc=1.0) for i in range(3)])
    write_lm_results(tmp_path, {"t": {"acc,none": 1.0}}, n={"t": 3})
    assert len(read_log(tmp_path).files) == 2
    (tmp_path / "results_2026-01-01T00-00-00.0.json").write_text("{}")
    with pytest.raises(DataError, match="holds 2 logs"):
        read_log(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not valid JSON"),
        (b"PK\x05\x06" + b"\0" * 18, "no log of Inspect"),
        (b"PK and more", "no whole ZIP archive"),
        (b"text of no kind", "not valid JSON"),
        (b"{}", "no log that Assay reads"),
        (b"[1, 2]", "no object"),
        (b'{"eval": {}, "status": "success", "samples": 3}', "no score"),
        (b'{"attempt_id": 1, "detector": "a", "probe": "b"}\n', "hitlog of garak"),
        (b'{"doc_id": 1}\n{"doc_id": 2}\n', "no line is a sample with a metric"),
        (b"\x80\x04\x95\x10\x00cos\nsystem\n", "UTF-8"),
    ],
)
def test_what_is_no_log_is_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        read_log(path)
    assert "\n" not in str(caught.value)


def test_no_file_and_an_empty_folder_are_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match="Inspect"):
            read_log(path)


def forms() -> dict[str, bytes]:
    """The bytes of one small log of each form."""
    header, samples = inspect_header(n_samples=3, match=0.5), [inspect_sample(i, match="CIP"[i]) for i in range(3)]
    entries: list[dict[str, Any]] = [attempt(i, f"p{i}", {"a.B": [0.2, 0.7]}) for i in range(3)]
    lm = "".join(json.dumps(lm_sample(i, acc=1.0, f1=[1, 0])) + "\n" for i in range(3))
    results = {
        "results": {"t": {"acc,none": 0.5}},
        "n-samples": {"t": {"effective": 4}},
        "group_subtasks": {"g": ["t"]},
    }
    return {
        "eval": zip_of(inspect_members(header, samples)),
        "json": json.dumps({**header, "samples": samples}).encode(),
        "garak": "".join(garak_lines([*entries, garak_eval("a.B", 3, 6)])).encode(),
        "samples": lm.encode(),
        "results": json.dumps(results).encode(),
    }


FORMS = forms()


def survives(folder: Path, data: bytes) -> None:
    """A damaged log is refused in one line, or read into a report that every rendering takes."""
    path = folder / "log"
    path.write_bytes(data)
    try:
        report = to_report(read_log(path))
    except DataError:
        return
    assert to_html(report)
    assert to_json(report)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(sorted(FORMS)), at=st.floats(0, 1))
def test_a_log_that_was_cut_anywhere_is_read_or_refused(tmp_path: Path, form: str, at: float) -> None:
    survives(tmp_path, FORMS[form][: int(at * len(FORMS[form]))])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def replaced(value: Any, data: st.DataObject, *, depth: int = 0) -> Any:
    """`value` with one part, somewhere in it, replaced by anything."""
    if depth and (not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 4)) == 0):
        return data.draw(JSON)
    if isinstance(value, dict):
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: replaced(value[key], data, depth=depth + 1)}
    index = data.draw(st.integers(0, len(value) - 1))
    return [*value[:index], replaced(value[index], data, depth=depth + 1), *value[index + 1 :]]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(["json", "garak", "samples", "results"]), data=st.data())
def test_values_of_any_kind_anywhere_are_read_or_refused(tmp_path: Path, form: str, data: st.DataObject) -> None:
    whole = FORMS[form]
    if form in ("json", "results"):
        survives(tmp_path, json.dumps(replaced(json.loads(whole), data)).encode("utf-8", "surrogatepass"))
        return
    lines = whole.splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    lines[index] = json.dumps(replaced(json.loads(lines[index]), data)).encode("utf-8", "surrogatepass")
    survives(tmp_path, b"\n".join(lines))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_members_of_any_kind_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    header, samples = inspect_header(n_samples=3, match=0.5), [inspect_sample(i, match="CIP"[i]) for i in range(3)]
    members = inspect_members(header, samples)
    index = data.draw(st.integers(0, len(members) - 1))
    name, whole = members[index]
    members[index] = (name, json.dumps(replaced(json.loads(whole), data)).encode())
    survives(tmp_path, zip_of(members))
