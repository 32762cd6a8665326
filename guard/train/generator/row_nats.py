"""The negative log-likelihood of every learnt id of rows: what a validation loss and a perplexity are made of."""

from __future__ import annotations

from collections.abc import Sequence

from guard.train.generator.ranks import Alone, Ranks
from guard.train.generator.token_rows import TokenRow, as_batch
from guard.train.generator.tuned import Tuned

__all__ = ["row_nats"]


def row_nats(
    tuned: Tuned, rows: Sequence[TokenRow], *, pad_id: int, budget: int = 1024, ranks: Ranks | None = None
) -> list[list[float]]:
    """Return the negative log-likelihood of every learnt id, in nats, by row.

    Parameters
    ----------
    tuned : Tuned
    rows : sequence of TokenRow
    pad_id : int
    budget : int
        Rows of like length go together; which ones changes figures by rounding alone.
    ranks : Ranks, optional

    Returns
    -------
    list of list of float
        In the order of `rows`.
    """
    ranks = ranks or Alone()
    order = sorted(range(len(rows)), key=lambda index: (-len(rows[index].ids), index))
    groups: list[list[int]] = []
    for index in order:
        if groups and (len(groups[-1]) + 1) * len(rows[groups[-1][0]].ids) <= budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    found: list[tuple[int, list[float]]] = []
    for group in groups[ranks.rank :: ranks.n]:
        batch = as_batch([[rows[index]] for index in group], pad_id=pad_id, device=tuned.model.device)
        values = iter(tuned.language_nats(batch).tolist())
        found += [(index, [next(values) for _ in range(rows[index].n_learnt)]) for index in group]
    every = dict(one for part in ranks.gathered(found) for one in part)
    return [every[index] for index in range(len(rows))]
