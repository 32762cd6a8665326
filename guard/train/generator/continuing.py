"""Greedy continuations of a model in training, whatever of it is trained: the samples before and after."""

from __future__ import annotations

from collections.abc import Sequence

from guard.train.generator.tuned import Tuned

__all__ = ["continue_greedily"]


def continue_greedily(
    tuned: Tuned, prompts: Sequence[Sequence[int]], *, n_tokens: int, eos_id: int | None, pad_id: int
) -> list[list[int]]:
    """Return the likeliest next ids of each prompt, one at a time.

    Parameters
    ----------
    tuned : Tuned
    prompts : sequence of sequence of int
        At least one id each.
    n_tokens : int
        Most ids of a continuation.
    eos_id : int or None
        Ends a continuation and is not part of it.
    pad_id : int

    Returns
    -------
    list of list of int

    Notes
    -----
    Every step reads the rows anew: a few short rows do not pay for a cache, and a trained prompt needs none.
    """
    made: list[list[int]] = [[] for _ in prompts]
    open_rows = set(range(len(prompts)))
    for _ in range(n_tokens):
        if not open_rows:
            break
        places = sorted(open_rows)
        chosen = tuned.next_ids([[*prompts[place], *made[place]] for place in places], pad_id=pad_id)
        for place, chosen_id in zip(places, chosen, strict=True):
            if chosen_id == eos_id:
                open_rows.discard(place)
            else:
                made[place].append(chosen_id)
    return made
