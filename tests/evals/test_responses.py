"""Answers labelled by people."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.responses import LabelledResponse, response_harms, response_refusals
from guard import assets
from guard.errors import AssetError, DataError


@pytest.mark.model
def test_labelled_answers_are_whole() -> None:
    try:
        refusals = response_refusals(folder=assets.path("response-refusal"))
        harms = response_harms(folder=assets.path("response-harm"))
    except AssetError as error:
        pytest.skip(str(error))
    assert len(refusals) == 169
    assert {answer.value for answer in refusals} == {0.0, 1.0}
    assert len(harms) == 604
    assert {answer.value for answer in harms} == {0.0, 0.25, 0.5, 0.75, 1.0}
    for answers in (refusals, harms):
        assert len({answer.id for answer in answers}) == len(answers)


def test_refusals_skip_the_comment_lines(tmp_path: Path) -> None:
    head = "# dataset_version=1.0\nobjective,assistant_response,human_score,data_type\n"
    (tmp_path / "refusal.csv").write_text(f'{head}ask,"No,\n# I will not.",1.0,text\n')
    (tmp_path / "refusal_extra.csv").write_text(f"# more\n{head}ask,Sure,0,text\n")
    assert response_refusals(folder=tmp_path)[1] == LabelledResponse(
        "refusal_extra-000", "ask", "Sure", "refusal_extra", 0
    )


@pytest.mark.parametrize(
    "content", [b"objective,human_score\na,1\n", b"objective,assistant_response,human_score\na,b,x\n"]
)
def test_damaged_answers_are_one_clear_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="cannot read"):
        response_refusals(folder=tmp_path)
    (tmp_path / "refusal.csv").write_bytes(content)
    with pytest.raises(DataError, match="is not what asset response-refusal holds"):
        response_refusals(folder=tmp_path)
    (tmp_path / "refusal.csv").write_bytes(b"\xff")
    with pytest.raises(DataError, match="is not UTF-8"):
        response_refusals(folder=tmp_path)
