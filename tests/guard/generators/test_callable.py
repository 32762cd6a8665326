"""Any function as a generator."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from typing import Any

import pytest

import guard.generators.callable
from guard.errors import GeneratorError
from guard.generators.callable import CallableGenerator
from guard.schema import Generator


def _shout(prompt: str) -> str:
    return prompt.upper()


def test_generate_calls_one_by_one_or_all_at_once() -> None:
    assert CallableGenerator(_shout).generate(["a", "b"], seed=0) == ["A", "B"]
    whole = CallableGenerator(lambda prompts: [*reversed(prompts)], batch=True)
    assert whole.generate(("a", "b"), seed=[1, 2]) == ["b", "a"]
    assert whole.generate([], seed=0) == []


def _raise(_given: Any) -> Any:
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("function", "batch", "message"),
    [
        (_raise, False, "_raise failed: RuntimeError: boom"),
        (_raise, True, "_raise failed: RuntimeError: boom"),
        (lambda _prompt: None, False, "returned NoneType, not str"),
        (lambda _prompts: ["x"], True, "one text for each of 2 prompts"),
        (lambda _prompts: "xy", True, "one text for each of 2 prompts"),
        (lambda _prompts: None, True, "one text for each of 2 prompts"),
        (lambda _prompts: ["x", 1], True, "returned int, not str"),
    ],
)
def test_generate_of_a_broken_function_is_a_generator_error(
    function: Callable[..., Any], batch: bool, message: str
) -> None:
    with pytest.raises(GeneratorError, match=message):
        CallableGenerator(function, batch=batch).generate(["a", "b"], seed=0)


def test_name_is_the_functions_or_the_given_one() -> None:
    assert CallableGenerator(_shout).name.startswith("callable:_shout@")
    named = CallableGenerator(_shout, name="shout-2")
    assert named.name.startswith("callable:shout-2@")
    assert named.name != CallableGenerator(_shout).name


def test_callable_is_a_generator_and_its_example_runs() -> None:
    assert isinstance(CallableGenerator(_shout), Generator)
    assert doctest.testmod(guard.generators.callable).failed == 0
