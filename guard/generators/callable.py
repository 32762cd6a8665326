"""Any function from prompt to text as a generator, so that what a user already has can be guarded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from guard.errors import GeneratorError

__all__ = ["CallableGenerator"]


class CallableGenerator:
    """Wraps a function that turns a prompt, or a list of prompts, into text.

    The seed is not passed on: whether the output repeats is up to the function.

    Parameters
    ----------
    function : callable
        ``(prompt: str) -> str``, or with ``batch=True`` ``(prompts: list of str) -> list of str``.
    batch : bool
        Whether `function` takes a list.
    name : str, optional
        What the audit log and the report call it; by default the function's qualified name. State a version in it
        if the function has one: code cannot be digested the way weights can.

    Examples
    --------
    >>> generator = CallableGenerator(lambda prompt: prompt.upper(), name="shout-1")
    >>> generator.generate(["hello"], seed=0)
    ['HELLO']
    """

    def __init__(
        self, function: Callable[[str], str] | Callable[[list[str]], list[str]], *, batch: bool = False, name: str = ""
    ) -> None:
        self._function: Callable[..., object] = function
        self._batch = batch
        self._label = name or getattr(function, "__qualname__", type(function).__qualname__)

    @property
    def name(self) -> str:
        """``callable:<name>@<digest of the name>``."""
        digest = hashlib.sha256(self._label.encode("utf-8", "backslashreplace")).hexdigest()
        return f"callable:{self._label}@{digest[:12]}"

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        """Call the function for every prompt.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int
            Not used.

        Returns
        -------
        list of str
            As many as `prompts`, in their order.

        Raises
        ------
        GeneratorError
            The function raised, or returned something that is not one str a prompt.
        """
        del seed
        outputs = self._call(list(prompts)) if self._batch else [self._call(prompt) for prompt in prompts]
        if not isinstance(outputs, Sequence) or isinstance(outputs, str) or len(outputs) != len(prompts):
            raise GeneratorError(
                f"{self._label} did not return a list with one text for each of {len(prompts)} prompts"
            )
        strange = [type(output).__name__ for output in outputs if not isinstance(output, str)]
        if strange:
            raise GeneratorError(f"{self._label} returned {strange[0]}, not str")
        return [str(output) for output in outputs]

    def _call(self, given: str | list[str]) -> object:
        try:
            return self._function(given)
        except Exception as error:  # the function is the user's and may raise anything
            raise GeneratorError(f"{self._label} failed: {type(error).__name__}: {error}") from error
