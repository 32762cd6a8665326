"""The scripted generator: a function of prompt and seed, and nothing else."""

from __future__ import annotations

import doctest
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

import guard.generators.scripted
from guard.errors import GeneratorError
from guard.generators.scripted import Script, ScriptedGenerator
from guard.schema import Generator


def _fail(prompt: str, seed: int) -> str:
    raise ValueError(f"no {prompt} {seed}")


def _shout(prompt: str, seed: int) -> str:
    return prompt.upper() * seed


@pytest.mark.parametrize(
    ("script", "prompts", "seed", "expected"),
    [
        ({"a": "x"}, ["a", "a"], 7, ["x", "x"]),
        ({"a": ["x", "y", "z"]}, ["a", "a", "a", "a"], [0, 1, 5, 6], ["x", "y", "z", "x"]),
        ({"a": ["x", "y"], "b": "w"}, ["b", "a"], 1, ["w", "y"]),
        (["x", "y"], ["whatever", "else"], [1, 0], ["y", "x"]),
        ("always", ["whatever"], 3, ["always"]),
        (_shout, ["a", "b"], [1, 2], ["A", "BB"]),
        ({"a": ""}, ["a"], 0, [""]),
        ({"a": "x"}, [], 0, []),
    ],
)
def test_generate_replays(script: Script, prompts: list[str], seed: int | list[int], expected: list[str]) -> None:
    assert ScriptedGenerator(script).generate(prompts, seed=seed) == expected


@pytest.mark.parametrize(
    ("script", "prompt", "message"),
    [
        ({"a": "x"}, "b", "no output for the prompt 'b'"),
        ({"a": "x"}, "b" * 999, "b" * 57 + r"\.\.\.'$"),
        (_fail, "b", "the script failed on the prompt 'b': no b 0"),
        (lambda _prompt, _seed: None, "b", "returned NoneType, not str"),
    ],
)
def test_generate_of_an_unknown_prompt_names_it(script: Script, prompt: str, message: str) -> None:
    with pytest.raises(GeneratorError, match=message):
        ScriptedGenerator(script).generate([prompt], seed=0)


@pytest.mark.parametrize("script", [{}, [], {"a": []}])
def test_script_without_outputs_is_refused(script: Script) -> None:
    with pytest.raises(GeneratorError, match="the script has"):
        ScriptedGenerator(script)


def test_seeds_must_be_as_many_as_prompts() -> None:
    with pytest.raises(GeneratorError, match="2 prompts came with 1 seeds"):
        ScriptedGenerator("x").generate(["a", "b"], seed=[1])


def test_name_tells_scripts_apart() -> None:
    names = [
        ScriptedGenerator(script, name=kind).name
        for script, kind in (({"a": "x", "b": "y"}, "scripted"), ({"a": "x", "b": "z"}, "scripted"), (_shout, "loud"))
    ]
    assert len(set(names)) == 3
    assert ScriptedGenerator({"b": "y", "a": ["x"]}).name == names[0]
    assert names[0].startswith("scripted@")
    assert names[2].startswith("loud@")
    assert ScriptedGenerator(["\ud800"]).name.startswith("scripted@")


@given(text=st.text(), seed=st.integers(0, 9))
def test_stream_joins_to_the_output(text: str, seed: int) -> None:
    generator = ScriptedGenerator({"a": [text, "other"]})
    pieces: Sequence[str] = list(generator.stream("a", seed=seed))
    assert "".join(pieces) == generator.generate(["a"], seed=seed)[0]


def test_scripted_is_a_generator_and_its_example_runs() -> None:
    assert isinstance(ScriptedGenerator("x"), Generator)
    assert doctest.testmod(guard.generators.scripted).failed == 0
