"""A generator that replays given outputs: the test double, and the way to audit outputs that exist already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from guard.errors import GeneratorError

__all__ = ["Script", "ScriptedGenerator"]

Script = Mapping[str, str | Sequence[str]] | Sequence[str] | Callable[[str, int], str]
"""Outputs by prompt, outputs for any prompt, or a function of (prompt, seed)."""

_SHOWN = 60


class ScriptedGenerator:
    """Replays given outputs, as a function of prompt and seed only.

    Parameters
    ----------
    outputs : mapping, sequence of str, or callable
        A mapping gives each prompt its output, or several of which the seed picks one (seed modulo their number).
        A sequence serves every prompt in that way. A callable is asked with (prompt, seed).
    name : str
        The kind in front of the digest.

    Raises
    ------
    GeneratorError
        No output at all, or a prompt with an empty sequence of outputs.

    Examples
    --------
    >>> generator = ScriptedGenerator({"Say hello.": ["Hello!", "Hi!"]})
    >>> generator.generate(["Say hello.", "Say hello."], seed=[0, 1])
    ['Hello!', 'Hi!']
    >>> generator.generate(["Say goodbye."], seed=0)
    Traceback (most recent call last):
    ...
    guard.errors.GeneratorError: the script has no output for the prompt 'Say goodbye.'
    """

    def __init__(self, outputs: Script, *, name: str = "scripted") -> None:
        self._outputs = outputs
        self._kind = name
        if not callable(outputs):
            _check_not_empty(outputs)

    @property
    def name(self) -> str:
        """``<name>@<digest of the script>``; a callable is known by its qualified name."""
        outputs = self._outputs
        if callable(outputs):
            content: object = getattr(outputs, "__qualname__", type(outputs).__qualname__)
        elif isinstance(outputs, Mapping):
            content = {prompt: _as_list(given) for prompt, given in sorted(outputs.items())}
        else:
            content = _as_list(outputs)
        # ASCII escapes keep lone surrogates, which no encoding can hold.
        digest = hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()
        return f"{self._kind}@{digest[:12]}"

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        """Replay one output for each prompt.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int
            One for all prompts, or one a prompt.

        Returns
        -------
        list of str
            As many as `prompts`, in their order.

        Raises
        ------
        GeneratorError
            A prompt that the script does not know, seeds that are not as many as prompts, or a callable that fails.
        """
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        if len(seeds) != len(prompts):
            raise GeneratorError(f"{len(prompts)} prompts came with {len(seeds)} seeds: give one seed, or one a prompt")
        return [self._output(prompt, one) for prompt, one in zip(prompts, seeds, strict=True)]

    def stream(self, prompt: str, *, seed: int) -> Iterator[str]:
        """Yield the output for `prompt` word by word, blanks included."""
        words = self._output(prompt, seed).split(" ")
        yield words[0]
        for word in words[1:]:
            yield f" {word}"

    def _output(self, prompt: str, seed: int) -> str:
        if callable(self._outputs):
            return _ask(self._outputs, prompt, seed)
        given = self._outputs.get(prompt) if isinstance(self._outputs, Mapping) else self._outputs
        if given is None:
            raise GeneratorError(f"the script has no output for the prompt {_shown(prompt)}")
        choices = _as_list(given)
        return choices[seed % len(choices)]


def _as_list(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _check_not_empty(outputs: Mapping[str, str | Sequence[str]] | Sequence[str]) -> None:
    if not outputs and not isinstance(outputs, str):
        raise GeneratorError("the script has no outputs: give at least one")
    empty = [prompt for prompt, given in outputs.items() if not _as_list(given)] if isinstance(outputs, Mapping) else []
    if empty:
        raise GeneratorError(f"the script has an empty list of outputs for the prompt {_shown(empty[0])}")


def _ask(function: Callable[[str, int], str], prompt: str, seed: int) -> str:
    try:
        output = function(prompt, seed)
    except Exception as error:  # the function is the user's and may raise anything
        raise GeneratorError(f"the script failed on the prompt {_shown(prompt)}: {error}") from error
    if not isinstance(output, str):
        raise GeneratorError(f"the script returned {type(output).__name__}, not str, for the prompt {_shown(prompt)}")
    return output


def _shown(prompt: str) -> str:
    return repr(prompt if len(prompt) <= _SHOWN else prompt[: _SHOWN - 3] + "...")
