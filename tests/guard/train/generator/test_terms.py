from __future__ import annotations

import math

import pytest
import torch

from guard.train.generator.examples import TokenBatch
from guard.train.generator.terms import Leash, Likelihood, Preference, Unlikelihood


def _batch(kind: str, labels: list[list[int]], answered: list[list[bool]]) -> TokenBatch:
    ids = torch.tensor(labels)
    return TokenBatch(kind, ids, torch.ones_like(ids), ids, torch.tensor(answered))  # type: ignore[arg-type]


def _logits(rows: list[list[list[float]]]) -> torch.Tensor:
    """Logits of the probabilities given."""
    return torch.tensor(rows).log()


# Two words; the first place of the second row is padding.
PROBABILITIES = [[[0.5, 0.5], [0.25, 0.75]], [[0.9, 0.1], [0.2, 0.8]]]
LABELS = [[0, 1], [0, 1]]
ANSWERED = [[True, True], [False, True]]


def test_likelihood_is_the_mean_over_the_answer() -> None:
    losses = Likelihood().losses(_logits(PROBABILITIES), _batch("refuse", LABELS, ANSWERED), None)
    expected = [-(math.log(0.5) + math.log(0.75)) / 2, -math.log(0.8)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)


def test_unlikelihood_is_that_of_not_saying_it_and_stays_finite() -> None:
    term = Unlikelihood(least=0.01)
    losses = term.losses(_logits(PROBABILITIES), _batch("unlearn", LABELS, ANSWERED), None)
    assert losses.tolist() == pytest.approx([-(math.log(0.5) + math.log(0.25)) / 2, -math.log(0.2)], rel=1e-5)
    certain = _logits([[[1.0, 1e-9]]])
    assert term.losses(certain, _batch("unlearn", [[0]], [[True]]), None).tolist() == pytest.approx([-math.log(0.01)])


def test_leash_is_the_divergence_of_the_original() -> None:
    original = _logits([[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.2, 0.8]]])
    losses = Leash().losses(_logits(PROBABILITIES), _batch("keep", LABELS, ANSWERED), original)
    second = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert losses.tolist() == pytest.approx([second / 2, 0.0], abs=1e-6)


def test_preference_compares_the_gain_of_both_answers() -> None:
    batch = _batch("prefer", LABELS, ANSWERED)
    even = _logits([[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]])
    assert Preference().losses(even, batch, even).tolist() == pytest.approx([math.log(2)])
    gained = math.log(0.5 / 0.5) + math.log(0.75 / 0.5) - math.log(0.8 / 0.5)
    expected = -math.log(1 / (1 + math.exp(-0.1 * gained)))
    assert Preference(beta=0.1).losses(_logits(PROBABILITIES), batch, even).tolist() == pytest.approx([expected])


@pytest.mark.parametrize("term", [Likelihood(), Unlikelihood(), Leash(), Preference()])
def test_gradients_are_those_of_finite_differences(term: Likelihood | Unlikelihood | Leash | Preference) -> None:
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64)
    logits = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(5, (4, 3), generator=generator)
    answered = torch.tensor([[False, True, True], [True, True, True], [False, False, True], [True, True, True]])
    batch = TokenBatch(term.kinds[0], labels, labels, labels, answered)  # type: ignore[index]
    assert torch.autograd.gradcheck(lambda x: term.losses(x, batch, reference), (logits,))
