"""A Python function of the user's, named by its import path, as a generator that an audit can run."""

from __future__ import annotations

import copy
import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from guard.errors import ConfigError, GeneratorError
from guard.generators.failures import GenerationFailure, Row, Streak, one_line, texts_of
from guard.schema import Decoding

__all__ = ["FunctionGenerator"]

_GIVE_UP_AFTER = 10


class FunctionGenerator:
    """Calls a function for every prompt, or for a list of prompts.

    Parameters
    ----------
    function : callable
        ``(prompt) -> str``, or, where its first parameter is called ``prompts``, ``(prompts) -> list of str``.
        It gets ``seed`` (in the second form ``seeds``) and ``decoding`` where it has parameters of these names. None in
        place of a text means that there is none.
    path : str
        ``package.module:function``, for the name and for messages.
    digest : str
        SHA-256, in hex, of what is known of its code.
    decoding : Decoding or None
    batch_size : int or None
        Prompts that a run should hand over at once; None takes 32.

    Notes
    -----
    The name covers the file that the function stands in, not what that file imports or what a service behind it
    serves. Whether an output repeats for the same prompt and seed is up to the function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        path: str,
        digest: str,
        decoding: Decoding | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.batch_size = batch_size or 32
        self._function, self._path, self._digest = function, path, digest
        self._decoding = decoding or Decoding()
        self._takes = _parameters(function, path)
        self._streak = Streak(_GIVE_UP_AFTER, path)

    @classmethod
    def find(cls, path: str, *, batch_size: int | None = None) -> FunctionGenerator:
        """Import a function by ``package.module:function``; the working folder is searched too.

        Raises
        ------
        ConfigError
            There is no such module or function, or the module fails while it is imported.
        """
        module_name, colon, function_name = path.partition(":")
        if not (colon and module_name and function_name):
            raise ConfigError(f"{path!r} names no function; give python:package.module:function")
        if os.getcwd() not in sys.path and "" not in sys.path:
            sys.path.append(os.getcwd())  # as `python -m` does; a console command has only its own folder
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # the module is the user's and may raise anything
            raise ConfigError(
                f"the module {module_name} cannot be imported ({type(error).__name__}: {one_line(error)})"
            ) from error
        function = getattr(module, function_name, None)
        if not callable(function):
            raise ConfigError(f"the module {module_name} has no function {function_name}")
        return cls(function, path=path, digest=_digest(path, module), batch_size=batch_size)

    @property
    def name(self) -> str:
        """``python@<12 hex digits over the path and the file of the function>``."""
        return f"python@{self._digest[:12]}"

    def with_decoding(self, decoding: Decoding) -> FunctionGenerator:
        """Return the same function, told to decode otherwise where it listens."""
        other = copy.copy(self)
        other._decoding = decoding
        return other

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        """Return one output for each prompt.

        Raises
        ------
        OutputMissingError
            The function raised or gave no text for a prompt.
        GeneratorError
            As :meth:`generate_rows`.
        """
        return texts_of(self.generate_rows(prompts, seed=seed), name=self._path)

    def generate_rows(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[Row]:
        """Return one output, or why there is none, for each prompt.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int

        Returns
        -------
        list of (str or GenerationFailure)

        Raises
        ------
        GeneratorError
            It failed too often in a row, or did not give one output a prompt.
        """
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        if "prompts" in self._takes:
            outputs = self._together(list(prompts), seeds)
        else:
            outputs = [self._call(prompt, seed=one) for prompt, one in zip(prompts, seeds, strict=True)]
        rows = [self._row(output) for output in outputs]
        for row in rows:
            self._streak.note(row)
        return rows

    def _together(self, prompts: list[str], seeds: list[int]) -> Sequence[object]:
        outputs = self._call(prompts, seeds=seeds)
        if isinstance(outputs, GenerationFailure):
            if len(prompts) == 1:
                return [outputs]
            # One bad prompt must not cost its neighbours their outputs.
            return [self._together([prompt], [seed])[0] for prompt, seed in zip(prompts, seeds, strict=True)]
        if not isinstance(outputs, Sequence) or isinstance(outputs, str) or len(outputs) != len(prompts):
            raise GeneratorError(f"{self._path} did not return a list with one text for each of {len(prompts)} prompts")
        return outputs

    def _call(self, given: str | list[str], **seeds: object) -> object:
        known = {**seeds, "decoding": self._decoding}
        try:
            return self._function(given, **{name: value for name, value in known.items() if name in self._takes})
        except Exception as error:  # the function is the user's and may raise anything
            return GenerationFailure("raised", f"it raised {type(error).__name__}: {one_line(error)}")

    def _row(self, output: object) -> Row:
        if isinstance(output, str | GenerationFailure):
            return output
        if output is None:
            return GenerationFailure("no_text", "it returned None")
        return GenerationFailure("malformed", f"it returned {type(output).__name__}, not str")


def _parameters(function: Callable[..., Any], path: str) -> frozenset[str]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C: it gets the prompt alone
        return frozenset()
    if not parameters:
        raise ConfigError(f"{path} takes no prompt; write it as def {path.rpartition(':')[2]}(prompt): ...")
    named = {one.name for one in parameters[1:] if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}
    return frozenset(named | ({"prompts"} if parameters[0].name == "prompts" else set()))


def _digest(path: str, module: object) -> str:
    digest = hashlib.sha256(path.encode("utf-8", "backslashreplace") + b"\0")
    file = getattr(module, "__file__", None)
    if file and Path(file).is_file():
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()
