from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from guard.train.generator.examples import Example, TokenBatch, collate
from guard.train.generator.objective import Objective
from guard.train.generator.terms import Kto, Leash, Likelihood, Preference, SpanUnlikelihood, Term, Unlikelihood
from tests.guard.train.generator import parts


def _batch(
    kind: str, labels: list[list[int]], answered: list[list[bool]], flagged: list[list[float]] | None = None
) -> TokenBatch:
    ids = torch.tensor(labels)
    weights = None if flagged is None else torch.tensor(flagged)
    return TokenBatch(kind, ids, torch.ones_like(ids), ids, torch.tensor(answered), weights)  # type: ignore[arg-type]


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


def test_leash_with_a_front_holds_the_first_four_tokens_of_an_answer() -> None:
    apart = [[0.5, 0.5]] * 7
    logits = _logits([[[0.5, 0.5], *apart[:5], [0.25, 0.75]], [[0.25, 0.75], *apart[:6]]])
    answered = [[False, *[True] * 6], [True] * 7]  # of one answer its sixth token is off, of the other its first
    original, batch = _logits([apart, apart]), _batch("keep", [[0] * 7] * 2, answered)
    off = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    losses = Leash(front=0.5).losses(logits, batch, original)
    assert losses.tolist() == pytest.approx([off / 6 / 2, (off / 7 + off / 4) / 2], rel=1e-5)
    text = Leash(front=0.5).losses(logits, replace(batch, kind="text"), original)
    assert text.tolist() == pytest.approx([off / 6, off / 7], rel=1e-5)


def test_preference_compares_the_gain_of_both_answers() -> None:
    batch = _batch("prefer", LABELS, ANSWERED)
    even = _logits([[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]])
    assert Preference().losses(even, batch, even).tolist() == pytest.approx([math.log(2)])
    gained = math.log(0.5 / 0.5) + math.log(0.75 / 0.5) - math.log(0.8 / 0.5)
    expected = -math.log(1 / (1 + math.exp(-0.1 * gained)))
    assert Preference(beta=0.1).losses(_logits(PROBABILITIES), batch, even).tolist() == pytest.approx([expected])


def test_flagged_tokens_alone_are_unlearnt_and_the_mean_is_one_over_all() -> None:
    batch = _batch("unlearn", LABELS, ANSWERED, [[0.0, 1.0], [0.0, 0.5]])
    unlearnt = SpanUnlikelihood().losses(_logits(PROBABILITIES), batch, None)
    assert unlearnt.tolist() == pytest.approx([-math.log(0.25) / 2, -math.log(0.2) / 2], rel=1e-5)
    clean = replace(batch, flagged=None)
    assert SpanUnlikelihood().losses(_logits(PROBABILITIES), clean, None).tolist() == [0.0, 0.0]


def test_kto_holds_gains_and_losses_against_the_reference_point() -> None:
    even = _logits([[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]])
    accepted, rejected = (_batch(kind, LABELS, ANSWERED) for kind in ("accept", "reject"))
    assert Kto().losses(even, accepted, even).tolist() == pytest.approx([0.5, 0.5])
    assert Kto(undesirable=3.0).losses(even, rejected, even).tolist() == pytest.approx([1.5, 1.5])
    term = Kto(beta=2.0, reference_point=0.1)
    ratios = [math.log(0.5 / 0.5) + math.log(0.75 / 0.5), math.log(0.8 / 0.5)]
    sigmoid = [1 / (1 + math.exp(-2.0 * (ratio - 0.1))) for ratio in ratios]
    assert term.losses(_logits(PROBABILITIES), accepted, even).tolist() == pytest.approx([1 - one for one in sigmoid])
    assert term.losses(_logits(PROBABILITIES), rejected, even).tolist() == pytest.approx(sigmoid)


def test_the_reference_point_is_that_of_answers_behind_other_prompts() -> None:
    first, second = Example("accept", (1,), (5,)), Example("reject", (2,), (6, 7))
    seen: list[Example] = []

    def mean_ratio(examples: list[Example]) -> float:
        seen.extend(examples)
        return 0.7

    assert Kto().anchored([first, second], mean_ratio).reference_point == 0.7  # type: ignore[arg-type]
    assert [(one.prompt, one.answer) for one in seen] == [((1,), (6, 7)), ((2,), (5,))]
    assert Kto().anchored([first, second], lambda _: -0.7).reference_point == 0.0
    assert Kto().anchored([first, first], lambda _: 1 / 0).reference_point == 0.0


def test_the_objective_takes_one_reference_point_a_step_whatever_the_batches(tiny_llama: Path) -> None:
    adapted, _ = parts.adapted(tiny_llama)
    parts.moved(adapted)
    examples = [Example("accept" if n % 2 else "reject", (n + 4, 5), (n + 6,) * (1 + n % 3)) for n in range(6)]
    losses = [Objective([Kto(beta=1.0)], 0, budget=budget).measure(adapted, examples)["kto"] for budget in (1, 9, 999)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    ratios = []
    for one in (examples[n] for n in range(6)):
        batch = collate([one], pad_id=0)
        live, original = (adapted.logits(batch).log_softmax(-1), adapted.reference(batch).log_softmax(-1))
        ratios.append(float((live - original).gather(-1, batch.labels[..., None]).sum().detach()))
    points: list[Kto] = []

    class Kept(Kto):
        def anchored(self, examples, mean_ratio):  # type: ignore[no-untyped-def]
            points.append(super().anchored(examples, mean_ratio))
            return points[-1]

    Objective([Kept(beta=1.0)], 0).measure(adapted, examples)
    point = points[0].reference_point
    signs = [1 if one.kind == "accept" else -1 for one in examples]
    by_hand = [1 - 1 / (1 + math.exp(-s * (r - point))) for s, r in zip(signs, ratios, strict=True)]
    assert losses[0] == pytest.approx(sum(by_hand) / 6, rel=1e-5)


_TERMS = [
    *(Likelihood(), Unlikelihood(), Leash(), Preference(), SpanUnlikelihood()),
    *(Kto(reference_point=0.3), Kto(kinds=("reject",), beta=0.7)),
]


@pytest.mark.parametrize("term", _TERMS, ids=lambda term: f"{term.name} {term.kinds[0]}")
def test_gradients_are_those_of_finite_differences(term: Term) -> None:
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64)
    logits = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(5, (4, 3), generator=generator)
    answered = torch.tensor([[False, True, True], [True, True, True], [False, False, True], [True, True, True]])
    flagged = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    batch = TokenBatch(term.kinds[0], labels, labels, labels, answered, flagged)  # type: ignore[index]
    assert torch.autograd.gradcheck(lambda x: term.losses(x, batch, reference), (logits,))
