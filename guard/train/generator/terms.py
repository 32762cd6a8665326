"""The terms of an objective: each turns the logits of a batch into one loss an example, and knows its kinds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from guard.train.generator.examples import Kind, TokenBatch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Leash", "Likelihood", "Preference", "Term", "Unlikelihood"]


class Term(Protocol):
    """One part of an objective.

    Attributes
    ----------
    name : str
    weight : float
        At least 0.
    kinds : collection of str
        The examples that it looks at.
    needs_reference : bool
        Whether the logits of the original model are to be computed too.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - described above
    @property
    def weight(self) -> float: ...  # noqa: D102
    @property
    def kinds(self) -> Collection[Kind]: ...  # noqa: D102
    @property
    def needs_reference(self) -> bool: ...  # noqa: D102

    def losses(self, logits: Tensor, batch: TokenBatch, reference: Tensor | None) -> Tensor:
        """Return one loss an example.

        Parameters
        ----------
        logits : Tensor of float32, shape (n_rows, n_answer, n_vocabulary)
            Each position's prediction of its own label.
        batch : TokenBatch
        reference : Tensor of float32 or None
            As `logits`, of the original model.

        Returns
        -------
        Tensor of float32, shape (n_examples,)
        """


@dataclass(frozen=True)
class Likelihood:
    """Negative log-likelihood of the answer, in nats a token, averaged within each example."""

    weight: float = 1.0
    kinds: tuple[Kind, ...] = ("refuse",)
    name: str = "likelihood"
    needs_reference: bool = False

    def losses(self, logits: Tensor, batch: TokenBatch, reference: Tensor | None) -> Tensor:
        """Return the mean of ``-log p`` over the tokens of each answer."""
        return _mean(-_label_logs(logits, batch), batch)


@dataclass(frozen=True)
class Leash:
    """Kullback-Leibler divergence of the original's next-token distribution from the model's, in nats a token.

    Notes
    -----
    ``sum_v p0(v) (log p0(v) - log p(v))``: the direction of distillation (Hinton et al. 2015, arXiv 1503.02531, section
    2, at temperature 1), which asks the model to cover everything that the original would say.
    """

    weight: float = 1.0
    kinds: tuple[Kind, ...] = ("keep", "text")
    name: str = "leash"
    needs_reference: bool = True

    def losses(self, logits: Tensor, batch: TokenBatch, reference: Tensor | None) -> Tensor:
        """Return the mean divergence over the tokens of each answer; 0 where nothing was learnt yet."""
        assert reference is not None
        original = reference.log_softmax(-1)
        divergence = (original.exp() * (original - logits.log_softmax(-1))).sum(-1)
        return _mean(divergence, batch)


@dataclass(frozen=True)
class Unlikelihood:
    """Unlikelihood of the tokens of an answer that must not be given.

    Notes
    -----
    Welleck et al. 2020 (arXiv 1908.04319), equation 5 with the tokens of the answer as negative candidates: ``-log(1 -
    p)``. ``1 - p`` is kept from 0 by `least`, since the gradient grows without bound where the model is certain.
    """

    weight: float = 0.1
    kinds: tuple[Kind, ...] = ("unlearn",)
    name: str = "unlikelihood"
    needs_reference: bool = False
    least: float = 1e-3

    def losses(self, logits: Tensor, batch: TokenBatch, reference: Tensor | None) -> Tensor:
        """Return the mean of ``-log(1 - p)`` over the tokens of each answer."""
        p = _label_logs(logits, batch).exp()
        return _mean(-(1 - p).clamp(min=self.least).log(), batch)


@dataclass(frozen=True)
class Preference:
    """Direct preference optimisation: the chosen answer gains on the rejected one, measured from the original.

    Notes
    -----
    Rafailov et al. 2023 (arXiv 2305.18290), equation 7: ``-log sigmoid(beta (log-ratio chosen - log-ratio
    rejected))``, the ratios over the sums of an answer's tokens.
    """

    weight: float = 1.0
    kinds: tuple[Kind, ...] = ("prefer",)
    name: str = "preference"
    needs_reference: bool = True
    beta: float = 0.1

    def losses(self, logits: Tensor, batch: TokenBatch, reference: Tensor | None) -> Tensor:
        """Return one loss a pair; ``log 2`` where nothing was learnt yet."""
        from torch.nn import functional

        assert reference is not None
        gained = (_label_logs(logits, batch) - _label_logs(reference, batch)) * batch.answered
        ratios = gained.sum(-1)
        return -functional.logsigmoid(self.beta * (ratios[0::2] - ratios[1::2]))


def _label_logs(logits: Tensor, batch: TokenBatch) -> Tensor:
    """Return ``log p`` of every label, shape (n_rows, n_answer)."""
    chosen = logits.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def _mean(values: Tensor, batch: TokenBatch) -> Tensor:
    """Average over the tokens of each answer."""
    answered = batch.answered.to(values.dtype)
    return (values * answered).sum(-1) / answered.sum(-1)
