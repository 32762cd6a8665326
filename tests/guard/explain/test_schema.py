"""An explanation has one finite value a part, knows its gap, and puts its parts in order."""

from __future__ import annotations

import numpy as np
import pytest

from guard.errors import FilterError
from guard.explain.schema import Attribution


def _attribution(values: list[float], *, complete: bool = True) -> Attribution:
    return Attribution("a b", "toxicity", "occlusion", ((0, 1), (2, 3)), np.array(values), 3.0, 1.0, complete=complete)


def test_gap_is_what_the_values_lack() -> None:
    assert _attribution([1.5, 1.0]).gap == pytest.approx(0.5)
    assert _attribution([1.5, 1.0], complete=False).gap is None


def test_order_begins_with_what_raises_most() -> None:
    assert _attribution([-1.0, 2.0]).order() == [1, 0]
    assert _attribution([2.0, 2.0]).order() == [0, 1]


@pytest.mark.parametrize("values", [[1.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_values_that_do_not_fit_are_refused(values: list[float]) -> None:
    with pytest.raises(FilterError, match="one finite value for each"):
        _attribution(values)
