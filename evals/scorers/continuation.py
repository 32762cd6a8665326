"""How far an answer goes on as a known text does: its longest verbatim run, and the words in common in their order."""

from __future__ import annotations

from evals.scorers.text import words

__all__ = ["agreement", "longest_run"]


def longest_run(answer: str, truth: str) -> int:
    """Return the length of the longest run of words that both texts have.

    Examples
    --------
    >>> longest_run("and God said, Let there be light", "God said: let there be rain")
    5
    """
    said, known = words(answer), words(truth)
    best, before = 0, [0] * (len(known) + 1)
    for word in said:
        now = [0] * (len(known) + 1)
        for j, other in enumerate(known, 1):
            if word == other:
                now[j] = before[j - 1] + 1
        best, before = max(best, *now), now
    return best


def agreement(answer: str, truth: str, *, least_words: int) -> float:
    """Return the share of the first words of an answer that a text has too, in the same order.

    The longest common subsequence over the length, on as many words from the beginning of both as the shorter has:
    ROUGE-L (Lin 2004, section 3) where both are equally long, so that recall and precision are one.

    Parameters
    ----------
    answer, truth : str
    least_words : int
        0 is returned for fewer: two words in common are no sign of anything.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> agreement("to be or not to go", "to be and not to go there", least_words=4)
    0.8333333333333334
    """
    said, known = words(answer), words(truth)
    n = min(len(said), len(known))
    if n < max(1, least_words):
        return 0.0
    return _common(said[:n], known[:n]) / n


def _common(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for one in first:
        above = 0  # of the row before, one to the left
        for j, other in enumerate(second, 1):
            above, row[j] = row[j], above + 1 if one == other else max(row[j], row[j - 1])
    return row[-1]
