"""The terms of an objective: each turns the logits of a batch into one loss an example, and knows its kinds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from guard.train.generator.examples import Example, Kind, TokenBatch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "AnchoredTerm",
    "Kto",
    "Leash",
    "Likelihood",
    "Preference",
    "SpanUnlikelihood",
    "Term",
    "Unlikelihood",
    "log_ratios",
]


_FRONT = 4
"""Tokens in which an answer becomes an answer or a refusal."""


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


@runtime_checkable
class AnchoredTerm(Protocol):
    """A term with a number that is the same for all the examples of a step, whatever batches they fall into."""

    def anchored(self, examples: Sequence[Example], mean_ratio: Callable[[Sequence[Example]], float]) -> Term:
        """Return the term for one step.

        Parameters
        ----------
        examples : sequence of Example
            Those of the step that it looks at.
        mean_ratio : callable
            Examples -> the mean of ``log p(answer) - log p0(answer)``, of the model and of the original; at least one.
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

    Parameters
    ----------
    front : float
        Share of the weight that the first four tokens of an answer have together, in [0, 1]; the rest is the same for
        all of its tokens. Whether a request is answered or refused is decided there. Plain text has no such place.

    Notes
    -----
    ``sum_v p0(v) (log p0(v) - log p(v))``: the direction of distillation (Hinton et al. 2015, arXiv 1503.02531, section
    2, at temperature 1), which asks the model to cover everything that the original would say.
    """

    weight: float = 1.0
    kinds: tuple[Kind, ...] = ("keep", "text")
    name: str = "leash"
    needs_reference: bool = True
    front: float = 0.0

    def losses(self, logits: Tensor, batch: TokenBatch, reference: Tensor | None) -> Tensor:
        """Return the mean divergence over the tokens of each answer; 0 where nothing was learnt yet."""
        assert reference is not None
        original = reference.log_softmax(-1)
        divergence = (original.exp() * (original - logits.log_softmax(-1))).sum(-1)
        whole = _mean(divergence, batch)
        if not self.front or batch.kind == "text":
            return whole
        first = batch.answered & (batch.answered.cumsum(-1) <= _FRONT)
        return (1 - self.front) * whole + self.front * _mean(divergence, replace(batch, answered=first))


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
class SpanUnlikelihood:
    """Unlikelihood of the flagged tokens of a text alone.

    Notes
    -----
    Welleck et al. 2020 (arXiv 1908.04319), equations 4 and 5: at each place the negative candidates are the label
    itself where it is flagged, and none elsewhere; the sum is divided by all tokens of the text, as the likelihood
    beside it is, so that `weight` is the paper's alpha. ``1 - p`` is kept from 0 as in :class:`Unlikelihood`.
    """

    weight: float = 0.3
    kinds: tuple[Kind, ...] = ("unlearn",)
    name: str = "span unlikelihood"
    needs_reference: bool = False
    least: float = 1e-3

    def losses(self, logits: Tensor, batch: TokenBatch, reference: Tensor | None) -> Tensor:
        """Return the mean of ``-flagged log(1 - p)`` over the tokens of each text; 0 where nothing is flagged."""
        if batch.flagged is None:
            return logits.sum((1, 2)) * 0
        p = _label_logs(logits, batch).exp()
        return _mean(-(1 - p).clamp(min=self.least).log() * batch.flagged, batch)


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
        ratios = log_ratios(logits, reference, batch)
        return -functional.logsigmoid(self.beta * (ratios[0::2] - ratios[1::2]))


@dataclass(frozen=True)
class Kto:
    """Kahneman-Tversky optimisation: answers judged one by one, gains and losses against a reference point.

    Parameters
    ----------
    desirable, undesirable : float
        Weights of both sides (lambda).
    reference_point : float
        ``z0``, at least 0. It belongs to a step and is set by :meth:`anchored`.

    Notes
    -----
    Ethayarajh et al. 2024 (arXiv 2402.01306), equations 7 and 8: ``lambda_y - v`` with ``v = lambda_D sigmoid(beta (r -
    z0))`` for an accepted answer and ``lambda_U sigmoid(beta (z0 - r))`` for a rejected one, ``r`` the log-ratio of the
    whole answer. ``z0`` is estimated as in section 4.1: the mean log-ratio of answers put behind prompts that they do
    not belong to, cut off at 0; no gradient flows through it. Here it is one over the step.
    """

    weight: float = 1.0
    kinds: tuple[Kind, ...] = ("accept", "reject")
    name: str = "kto"
    needs_reference: bool = True
    beta: float = 0.1
    desirable: float = 1.0
    undesirable: float = 1.0
    reference_point: float = 0.0

    def anchored(self, examples: Sequence[Example], mean_ratio: Callable[[Sequence[Example]], float]) -> Kto:
        """Return the term with the reference point of these examples; 0 where all have one prompt."""
        apart = _mismatched(examples)
        return replace(self, reference_point=max(0.0, mean_ratio(apart)) if apart else 0.0)

    def losses(self, logits: Tensor, batch: TokenBatch, reference: Tensor | None) -> Tensor:
        """Return one loss an answer; half of its lambda where nothing was learnt yet."""
        assert reference is not None
        gained = self.beta * (log_ratios(logits, reference, batch) - self.reference_point)
        if batch.kind == "accept":
            return self.desirable * (1 - gained.sigmoid())
        return self.undesirable * (1 - (-gained).sigmoid())


def log_ratios(logits: Tensor, reference: Tensor, batch: TokenBatch) -> Tensor:
    """Return ``log p - log p0`` of each answer, summed over its tokens.

    Parameters
    ----------
    logits, reference : Tensor of float32, shape (n_rows, n_answer, n_vocabulary)
    batch : TokenBatch

    Returns
    -------
    Tensor of float32, shape (n_rows,)
    """
    return ((_label_logs(logits, batch) - _label_logs(reference, batch)) * batch.answered).sum(-1)


def _mismatched(examples: Sequence[Example]) -> list[Example]:
    """Put behind each prompt the next answer that belongs to another prompt, in an order of the examples' own."""
    ordered = sorted(examples, key=lambda one: (one.answer, one.prompt))
    found = []
    for at, one in enumerate(ordered):
        others = (*ordered[at + 1 :], *ordered[:at])
        answer = next((other.answer for other in others if other.prompt != one.prompt), None)
        if answer is not None:
            found.append(Example("accept", one.prompt, answer))
    return found


def _label_logs(logits: Tensor, batch: TokenBatch) -> Tensor:
    """Return ``log p`` of every label, shape (n_rows, n_answer)."""
    chosen = logits.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def _mean(values: Tensor, batch: TokenBatch) -> Tensor:
    """Average over the tokens of each answer."""
    answered = batch.answered.to(values.dtype)
    return (values * answered).sum(-1) / answered.sum(-1)
