"""Which words of an answer are copied from its prompt: repeating a text is not the same as acting on it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["copied", "own_words"]


def copied(answer: Sequence[str], prompt: Sequence[str], *, run: int) -> list[bool]:
    """Mark the words of an answer that lie in a run of words which the prompt has too.

    Parameters
    ----------
    answer, prompt : sequence of str
        Words, as :func:`evals.scorers.text.words` splits them.
    run : int
        Words a run must have, at least 1.

    Returns
    -------
    list of bool
        One a word of `answer`.

    Examples
    --------
    >>> copied(["a", "b", "x"], ["a", "b", "c"], run=2)
    [True, True, False]
    """
    known = {tuple(prompt[i : i + run]) for i in range(len(prompt) - run + 1)}
    marks = [False] * len(answer)
    for i in range(len(answer) - run + 1):
        if tuple(answer[i : i + run]) in known:
            marks[i : i + run] = [True] * run
    return marks


def own_words(answer: Sequence[str], prompt: Sequence[str], *, run: int) -> list[str]:
    """Return the words of an answer that are not copied from the prompt, in their order."""
    marks = copied(answer, prompt, run=run)
    return [word for word, mark in zip(answer, marks, strict=True) if not mark]
