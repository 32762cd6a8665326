"""The order in which a run that may stop early asks its prompts: at random, in blocks, whatever the batch size."""

from __future__ import annotations

from collections.abc import Sequence

from evals.schema import Sample
from evals.sequential import random_order

__all__ = ["BLOCK_SAMPLES", "prompt_blocks"]

BLOCK_SAMPLES = 32
"""Least samples of a block: enough to fill a batch, few enough to stop soon."""


def prompt_blocks(samples: Sequence[Sample], *, seed: int, least: int = BLOCK_SAMPLES) -> list[list[Sample]]:
    """Divide samples into blocks of whole prompts, the prompts in random order.

    A confidence sequence holds over data in random order; the order of a data set is by group. The blocks do not depend
    on the batch size, so that a run stops at the same prompt on every machine, and again when it is resumed.

    Parameters
    ----------
    samples : sequence of Sample
    seed : int
    least : int
        Samples that a block has at least, but for the last.

    Returns
    -------
    list of list of Sample
        Every sample once; samples of a prompt stay together and in order.
    """
    prompts: dict[str, list[Sample]] = {}
    for sample in samples:
        prompts.setdefault(sample.prompt_id, []).append(sample)
    blocks: list[list[Sample]] = [[]]
    for prompt in random_order(prompts, seed=seed):
        if len(blocks[-1]) >= least:
            blocks.append([])
        blocks[-1] += prompts[prompt]
    return [block for block in blocks if block]
