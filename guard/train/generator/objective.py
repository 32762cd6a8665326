"""An objective: a weighted sum of terms, taken over the examples of a step in batches that fit a budget."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guard.errors import ConfigError
from guard.train.generator.adapter import Adapted
from guard.train.generator.examples import Example, TokenBatch, collate
from guard.train.generator.terms import AnchoredTerm, Term, log_ratios

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BatchHook", "Losses", "Objective", "buckets"]

BatchHook = Callable[[TokenBatch, Any], TokenBatch]
"""Changes a batch before it is learnt from; gets the model as it is."""

Losses = dict[str, float]
"""Mean loss by the name of its term, and ``total``, the weighted sum."""


@dataclass(frozen=True)
class Objective:
    """A weighted sum of terms.

    Parameters
    ----------
    terms : sequence of Term
    pad_id : int
    budget : int
        Tokens, padding included, of a batch; one example is always taken.

    Raises
    ------
    ConfigError
        No term, two of one name, or a weight below 0.
    """

    terms: Sequence[Term]
    pad_id: int
    budget: int = 1024

    def __post_init__(self) -> None:
        names = [term.name for term in self.terms]
        if not names or len(set(names)) != len(names) or any(term.weight < 0 for term in self.terms) or self.budget < 1:
            raise ConfigError(f"an objective of {names}: give terms of different names and weights of at least 0")

    def learn(self, adapted: Adapted, examples: Sequence[Example], hooks: Sequence[BatchHook] = ()) -> Losses:
        """Add the gradient of the objective over `examples` to the updates, batch by batch.

        Returns
        -------
        dict of str to float
            Each example counts the same within its term, however the batches fell.
        """
        sizes = Counter(example.kind for example in examples)
        found: dict[str, float] = defaultdict(float)
        terms = self._anchored(adapted, examples)
        for batch in self._batches(adapted, examples):
            for hook in hooks:
                batch = hook(batch, adapted.model)
            total = None
            for term, loss in self._shares(terms, adapted, batch, sizes):
                found[term.name] += float(loss.detach())
                total = term.weight * loss if total is None else total + term.weight * loss
            if total is not None:
                adapted.backward(total)
        return self._summed(found)

    def measure(self, adapted: Adapted, examples: Sequence[Example]) -> Losses:
        """Return the losses over `examples`; nothing is learnt."""
        import torch

        sizes = Counter(example.kind for example in examples)
        found: dict[str, float] = defaultdict(float)
        with torch.no_grad():
            terms = self._anchored(adapted, examples)
            for batch in self._batches(adapted, examples):
                for term, loss in self._shares(terms, adapted, batch, sizes):
                    found[term.name] += float(loss)
        return self._summed(found)

    def _anchored(self, adapted: Adapted, examples: Sequence[Example]) -> list[Term]:
        """Return the terms with what the examples of this step set in them."""
        import torch

        def mean_ratio(apart: Sequence[Example]) -> float:
            total = 0.0
            with torch.no_grad():
                for bucket in buckets(apart, budget=self.budget):
                    batch = collate(bucket, pad_id=self.pad_id, device=adapted.model.device)
                    total += float(log_ratios(adapted.logits(batch), adapted.reference(batch), batch).sum())
            return total / len(apart)

        return [
            term.anchored([one for one in examples if one.kind in term.kinds], mean_ratio)
            if isinstance(term, AnchoredTerm) and term.weight > 0
            else term
            for term in self.terms
        ]

    def _batches(self, adapted: Adapted, examples: Sequence[Example]) -> Iterator[TokenBatch]:
        device = adapted.model.device
        known = {kind for term in self.terms for kind in term.kinds if term.weight > 0}
        for bucket in buckets([one for one in examples if one.kind in known], budget=self.budget):
            yield collate(bucket, pad_id=self.pad_id, device=device)

    def _shares(
        self, terms: Sequence[Term], adapted: Adapted, batch: TokenBatch, sizes: Counter[Any]
    ) -> Iterator[tuple[Term, Tensor]]:
        """Give the part of each term's mean that a batch makes up."""
        active = [term for term in terms if batch.kind in term.kinds and term.weight > 0]
        wanted = any(term.needs_reference for term in active)
        reference = adapted.reference(batch) if wanted else None
        logits = adapted.logits(batch)
        for term in active:
            yield term, term.losses(logits, batch, reference).sum() / _count(term.kinds, sizes)

    def _summed(self, found: dict[str, float]) -> Losses:
        total = sum(term.weight * found[term.name] for term in self.terms if term.name in found)
        return {**found, "total": float(total)}


def _count(kinds: Collection[Any], sizes: Counter[Any]) -> int:
    return sum(sizes[kind] for kind in kinds)


def buckets(examples: Sequence[Example], *, budget: int) -> list[list[Example]]:
    """Put examples of one kind and of like length together.

    Parameters
    ----------
    examples : sequence of Example
    budget : int
        Rows times the longest of them is at most this, but for one example alone.

    Returns
    -------
    list of list of Example
        In an order that depends on the examples alone, not on theirs.
    """
    groups: list[list[Example]] = []
    ordered = sorted(
        examples, key=lambda one: (one.kind, one.n_tokens, one.prompt, one.answer, one.rejected, one.flagged)
    )
    for example in reversed(ordered):
        rows = 2 if example.rejected else 1
        last = groups[-1] if groups else None
        if last and last[0].kind == example.kind and (len(last) + 1) * rows * last[0].n_tokens <= budget:
            last.append(example)
        else:
            groups.append([example])
    return groups
