"""Batches keep labels, weights and ids beside their texts, and the loss is what the formula says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from guard.harden.batch import Hook, Trainable, task_loss
from guard.harden.freelb import FreeLBHook
from guard.harden.random_hook import RandomHook
from guard.harden.recipe_hook import RecipeHook
from guard.harden.searched_hook import SearchedHook
from guard.harden.smart import SmartHook
from guard.harden.virtual import VirtualHook
from tests.guard.harden.tiny_model import TinyModel, batch_of


def test_also_takes_label_id_and_weight_from_the_row() -> None:
    batch = batch_of(("so good", 0.0), ("so bad", 1.0)).also([1], ["so b4d"], weight=0.5)
    assert batch.texts == ("so good", "so bad", "so b4d")
    assert batch.labels[:, 0].tolist() == [0, 1, 1]
    assert batch.weights.tolist() == [1, 1, 0.5]
    assert batch.ids == ("r0", "r1", "r1")
    assert batch.altered == (False, False, True)
    assert batch.clean == (0, 1)
    assert batch.only([2, 0]).texts == ("so b4d", "so good")


def test_batch_refuses_parts_of_other_lengths() -> None:
    with pytest.raises(ValueError, match="another number of rows"):
        replace(batch_of(("a", 0.0)), ids=("x", "y"))


def test_task_loss_is_the_weighted_cross_entropy_of_known_labels() -> None:
    batch = batch_of(("a", 1.0), ("b", 0.0), ("c", -1.0))
    batch = replace(batch, weights=np.array([3.0, 1.0, 9.0], dtype=np.float32))
    logits = torch.tensor([[0.0], [math.log(3)], [5.0]])
    # -log 1/2 with weight 3, -log 1/4 with weight 1, and nothing of the row without a label.
    assert float(task_loss(logits, batch)) == pytest.approx((3 * math.log(2) + math.log(4)) / 4)
    unknown = replace(batch, labels=np.full((3, 1), -1, dtype=np.float32))
    assert float(task_loss(logits, unknown)) == 0


HOOKS = [
    RandomHook(),
    SearchedHook(),
    RecipeHook(lambda texts, labels, model: [f"{text} x" for text in texts]),
    FreeLBHook(),
    SmartHook(),
    VirtualHook(),
    VirtualHook(unlabelled=("so very", "very good", "bad")),
]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: type(hook).__name__)
def test_every_hook_keeps_the_clean_rows_and_their_labels(hook: Hook) -> None:
    assert isinstance(hook, Hook)
    model = TinyModel(c=0.1)
    assert isinstance(model, Trainable)
    batch = batch_of(("so bad", 1.0), ("very good", 0.0))
    seen = hook.on_batch(batch, model)
    assert seen.texts[:2] == batch.texts
    assert seen.altered[:2] == (False, False)
    assert all(seen.altered[2:])
    for at in range(2, len(seen)):
        assert seen.labels[at].tolist() == batch.labels[batch.ids.index(seen.ids[at])].tolist()
    changes_text = isinstance(hook, RandomHook | SearchedHook | RecipeHook)
    assert (len(seen) > 2) == changes_text
    # A hook on embeddings leaves its gradients behind; one on text leaves none.
    assert all((parameter.grad is None) == changes_text for parameter in model.parameters())
