"""Rounds: what the attacks of a round tried on the model as it is becomes the examples of the round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from guard.errors import DataError
from guard.harden.generator.refusals import REFUSALS, refusal_for
from guard.train.generator.examples import Example, chat_example, pair_example

__all__ = ["Attack", "Attempted", "RoundSettings", "Rounds", "keep_examples"]


@dataclass(frozen=True)
class Attempted:
    """An attack on the model as it is.

    Parameters
    ----------
    prompt : str
        The request in the wording of the attack.
    answer : str or None
        What the model said; None where it was not asked.
    success : bool
        Whether the answer does what it should not.
    """

    prompt: str
    answer: str | None = None
    success: bool = False


Attack = Callable[[int], Sequence[Attempted]]
"""Round, from 0 -> prompts that should be refused, some of them tried on the model as it is."""


@dataclass(frozen=True)
class RoundSettings:
    """How attacks become examples.

    Parameters
    ----------
    repeats : int
        How often an attack that succeeded is in the pool; one that failed, or was not tried, is there once.
    unlearn, prefer : bool
        Whether answers that attacks drew are unlearnt, or held against refusals.
    most_tokens : int
        Of an answer that an attack drew. Refusals are learnt whole.
    seed : int
    """

    repeats: int = 2
    unlearn: bool = True
    prefer: bool = False
    most_tokens: int = 28
    seed: int = 0


class Rounds:
    """Gives the pool of each round: refusals of fresh attacks, and what is kept.

    Parameters
    ----------
    attack : callable
        Round -> attempts.
    kept : sequence of Example
        Of the kinds ``keep`` and ``text``; the same in every round.
    tokenizer : transformers.PreTrainedTokenizerBase
    settings : RoundSettings
    refusals : sequence of str
    """

    def __init__(
        self,
        attack: Attack,
        kept: Sequence[Example],
        tokenizer: Any,
        settings: RoundSettings,
        refusals: Sequence[str] = REFUSALS,
    ) -> None:
        if not refusals:
            raise DataError("no refusal to learn: give at least one")
        self._attack, self._kept, self._tokenizer = attack, tuple(kept), tokenizer
        self._settings, self._refusals = settings, tuple(refusals)

    def __call__(self, round_: int) -> list[Example]:
        """Attack the model as it is, and return the examples that come of it.

        Raises
        ------
        DataError
            The attack gave no prompt.
        """
        attempts = self._attack(round_)
        if not attempts:
            raise DataError(f"the attack of round {round_} gave no prompt: give it goals and wordings")
        return [*(example for attempt in attempts for example in self.examples(attempt)), *self._kept]

    def examples(self, attempt: Attempted) -> list[Example]:
        """Return the examples that one attempt comes to."""
        settings, tokenizer = self._settings, self._tokenizer
        refusal = refusal_for(attempt.prompt, self._refusals, seed=settings.seed)
        most = settings.most_tokens
        one = chat_example(tokenizer, "refuse", attempt.prompt, refusal, ended=True)
        found = [one] * (settings.repeats if attempt.success else 1)
        if attempt.success and attempt.answer:
            if settings.unlearn:
                found.append(chat_example(tokenizer, "unlearn", attempt.prompt, attempt.answer, ended=False, most=most))
            if settings.prefer:
                found.append(pair_example(tokenizer, attempt.prompt, refusal, attempt.answer, most=most))
        return found


def keep_examples(tokenizer: Any, answered: Sequence[tuple[str, str]], *, most: int) -> list[Example]:
    """Encode harmless prompts with the answers that the original gave; an empty answer is left out.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    answered : sequence of (str, str)
        Prompt and answer, which may have been cut off: its end is not learnt.
    most : int
        Tokens of an answer.
    """
    return [
        chat_example(tokenizer, "keep", prompt, answer, ended=False, most=most)
        for prompt, answer in answered
        if answer.strip()
    ]
