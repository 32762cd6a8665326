from __future__ import annotations

import math

import pytest

from evals.stats import prompt_any
from evals.values import Value
from evals.watched import from_observations, from_values
from guard.errors import DataError


def test_observations_are_reduced_to_the_mean_of_what_was_scored() -> None:
    assert from_observations({"a": [1.0, 0.0, None], "b": []}) == {"a": (0.5, 2, 1), "b": (None, 0, 0)}


def test_values_of_a_series_are_the_observations_of_its_samples() -> None:
    samples: dict[str, list[float | None]] = {"a": [1.0, 0.0, None], "b": [None]}
    series = [Value(p, f"{p}{i}", "g", v, 1, int(v is None)) for p, vs in samples.items() for i, v in enumerate(vs)]
    assert from_values(series) == from_observations(samples)
    assert from_values([*series, Value("c", "c0", "other", 1.0)], group="g") == from_observations(samples)


def test_values_of_prompts_keep_the_counts_of_their_samples() -> None:
    samples: dict[str, list[float | None]] = {"a": [0.9, 0.0, None], "b": [None, None]}
    series = [Value("a", "", "g", 1.0, 3, 1), Value("b", "", "g", None, 2, 2)]
    assert from_values(series) == from_observations(samples, prompt_any)
    assert from_values(series) == {"a": (1.0, 2, 1), "b": (None, 0, 2)}


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_out_of_bounds_are_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"prompt a has a value outside \[0, 1\]"):
        from_values([Value("a", "a0", "g", value)])
