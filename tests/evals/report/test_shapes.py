"""Annotations that have no JSON shape are a mistake of ours, found at once."""

from __future__ import annotations

import pytest

from evals.report.shapes import shape_of
from guard.errors import DataError, OutputError


@pytest.mark.parametrize("annotation", [set[int], int | str, bytes, dict[str, int]])
def test_shape_of_annotation_without_a_shape_is_refused(annotation: object) -> None:
    with pytest.raises(TypeError, match="no JSON shape"):
        shape_of(annotation)


def test_shape_of_pair_keeps_its_length() -> None:
    shape = shape_of(tuple[float, float] | None)
    assert shape.encode((0, 1), "x") == [0.0, 1.0]
    assert shape.decode([0, 1], "x") == (0.0, 1.0)
    assert shape.decode(None, "x") is None


def test_shape_of_flag_takes_nothing_else() -> None:
    shape = shape_of(bool)
    assert (shape.encode(True, "x"), shape.decode(False, "x"), shape.schema({})) == (True, False, {"type": "boolean"})
    with pytest.raises(DataError, match="x is 1, expected true or false"):
        shape.decode(1, "x")
    with pytest.raises(OutputError, match="x is 0, expected True or False"):
        shape.encode(0, "x")
