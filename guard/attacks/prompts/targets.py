"""What attacks on generators aim at: a model by itself, or one behind its guard."""

from __future__ import annotations

from collections.abc import Sequence

from guard.attacks.prompts.schema import Answer, PromptTarget
from guard.generators.failures import OutputMissingError
from guard.guard import Guard
from guard.schema import Generator, Response

__all__ = ["GeneratorTarget", "GuardTarget"]


class GeneratorTarget:
    """A generator without a guard.

    Parameters
    ----------
    generator : Generator
    """

    def __init__(self, generator: Generator[str]) -> None:
        self._generator = generator

    @property
    def name(self) -> str:
        """``model:`` and the generator's name."""
        return f"model:{self._generator.name}"

    def answer(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Answer]:
        """Return what the model wrote.

        Raises
        ------
        GeneratorError
            The model failed as a whole; a single output that could not be had is an answer with an error.
        """
        try:
            texts = self._generator.generate(prompts, seed=seeds)
        except OutputMissingError as error:
            return _one_by_one(self, prompts, seeds, error)
        return [Answer(text) for text in texts]


class GuardTarget:
    """A generator behind its guard: what is blocked reached nothing.

    Parameters
    ----------
    guard : Guard
        With a generator.
    name : str
        Of model, policy and filters, with their digests.
    """

    def __init__(self, guard: Guard, *, name: str) -> None:
        self._guard, self._name = guard, name

    @property
    def name(self) -> str:
        """``guard:`` and the name given."""
        return f"guard:{self._name}"

    def answer(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Answer]:
        """Return what the guard released.

        Raises
        ------
        GeneratorError
            The model failed as a whole; a single output that could not be had is an answer with an error.
        """
        try:
            return [_released(response) for response in self._guard.generate(prompts, seed=seeds)]
        except OutputMissingError as error:
            return _one_by_one(self, prompts, seeds, error)


def _one_by_one(
    target: PromptTarget, prompts: Sequence[str], seeds: Sequence[int], error: OutputMissingError
) -> list[Answer]:
    """Ask again prompt by prompt, so that one output that could not be had costs no other."""
    if len(prompts) == 1:
        return [Answer(None, error=f"{error.failure.kind}: {error.failure.reason}")]
    return [target.answer([prompt], [seed])[0] for prompt, seed in zip(prompts, seeds, strict=True)]


def _released(response: Response) -> Answer:
    """Keep an outage of the guard apart from its successes."""
    verdicts = (response.prompt_verdict, response.output_verdict)
    errors = [verdict.error for verdict in verdicts if verdict is not None and verdict.error is not None]
    return Answer(response.text, response.action, errors[0] if errors else None)
