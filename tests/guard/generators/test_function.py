from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.errors import ConfigError, GeneratorError
from guard.generators.failures import GenerationFailure, OutputMissingError
from guard.generators.function import FunctionGenerator
from guard.schema import Decoding, Generator

MODULE = """
def plain(prompt):
    return prompt.upper()

def seeded(prompt, *, seed, decoding):
    return f"{prompt} {seed} {decoding.max_new_tokens}"

def together(prompts, seeds):
    if "bad" in prompts:
        raise ValueError("bad prompt\\nin it")
    return [f"{prompt}-{seed}" for prompt, seed in zip(prompts, seeds)]

def short(prompts):
    return prompts[1:]

def fussy(prompt):
    return {"none": None, "number": 3}.get(prompt, 1 / 0 if prompt == "raise" else prompt)

def nothing():
    return ""

value = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the user's in the working folder."""
    name = "my_assay_bot"
    (tmp_path / f"{name}.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield name
    sys.modules.pop(name, None)


def test_a_function_is_found_in_the_working_folder(module: str) -> None:
    generator = FunctionGenerator.find(f"{module}:plain")
    assert isinstance(generator, Generator)
    assert generator.batch_size == 32
    assert generator.generate(["a", "b"], seed=0) == ["A", "B"]


def test_a_function_gets_what_it_has_parameters_for(module: str) -> None:
    generator = FunctionGenerator.find(f"{module}:seeded", batch_size=7)
    assert generator.with_decoding(Decoding(9)).generate(["a", "b"], seed=[1, 2]) == ["a 1 9", "b 2 9"]
    assert generator.generate(["a"], seed=4) == ["a 4 64"]
    assert generator.batch_size == 7


def test_a_function_of_many_prompts_is_called_once(module: str) -> None:
    assert FunctionGenerator.find(f"{module}:together").generate(["a", "b"], seed=[1, 2]) == ["a-1", "b-2"]


def test_one_bad_prompt_costs_its_neighbours_nothing(module: str) -> None:
    first, bad, last = FunctionGenerator.find(f"{module}:together").generate_rows(["a", "bad", "c"], seed=0)
    assert (first, last) == ("a-0", "c-0")
    assert bad == GenerationFailure("raised", "it raised ValueError: bad prompt in it")


@pytest.mark.parametrize(
    ("prompt", "kind"), [("none", "no_text"), ("number", "malformed"), ("raise", "raised"), ("fine", None)]
)
def test_what_is_no_text_is_a_failure(module: str, prompt: str, kind: str | None) -> None:
    generator = FunctionGenerator.find(f"{module}:fussy")
    (row,) = generator.generate_rows([prompt], seed=0)
    assert (row.kind if isinstance(row, GenerationFailure) else None) == kind
    if kind is not None:
        with pytest.raises(OutputMissingError, match="no output for 1 of 1 prompts"):
            generator.generate([prompt], seed=0)


def test_a_function_that_always_fails_stops_the_run(module: str) -> None:
    generator = FunctionGenerator.find(f"{module}:fussy")
    with pytest.raises(GeneratorError, match=r"failed 10 times in a row.*ZeroDivisionError"):
        generator.generate_rows(["raise"] * 50, seed=0)


def test_a_list_of_another_length_is_refused(module: str) -> None:
    with pytest.raises(GeneratorError, match="one text for each of 2 prompts"):
        FunctionGenerator.find(f"{module}:short").generate(["a", "b"], seed=0)


def test_the_name_follows_the_file(module: str, tmp_path: Path) -> None:
    names = {FunctionGenerator.find(f"{module}:{function}").name for function in ("plain", "seeded", "plain")}
    (tmp_path / f"{module}.py").write_text(MODULE + "\n", encoding="utf-8")
    assert len(names | {FunctionGenerator.find(f"{module}:plain").name}) == 3


def test_a_function_written_in_c_gets_the_prompt(module: str) -> None:
    assert FunctionGenerator.find("os.path:basename").generate(["a/b"], seed=0) == ["b"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "names no function"),
        (":f", "names no function"),
        ("m:", "names no function"),
        ("no_such_module_here:f", "cannot be imported"),
        ("my_assay_bot:missing", "has no function missing"),
        ("my_assay_bot:value", "has no function value"),
        ("my_assay_bot:nothing", "takes no prompt"),
    ],
)
def test_what_is_no_function_is_refused(module: str, path: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        FunctionGenerator.find(path)


def test_a_module_that_fails_is_refused_in_one_line(module: str, tmp_path: Path) -> None:
    (tmp_path / "my_broken_bot.py").write_text("raise RuntimeError('a\\nb')", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cannot be imported .RuntimeError: a b") as caught:
        FunctionGenerator.find("my_broken_bot:f")
    assert "\n" not in str(caught.value)
