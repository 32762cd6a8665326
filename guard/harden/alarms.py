"""False alarms of a hardened filter held level, by the bias of its category."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from guard.filters.encoder import EncoderFilter
from guard.train.encoder import write_weights

__all__ = ["level_alarms"]


def level_alarms(
    before: EncoderFilter,
    folder: Path,
    harmless: Sequence[str],
    *,
    category: str,
    threshold: float,
    base: Path,
    device: str = "auto",
) -> tuple[EncoderFilter, float]:
    """Lower a category's bias in a folder until no more harmless texts fire than did, and load it.

    A filter that reads slips takes the higher of two scores, so it fires a little more often on anything.

    Parameters
    ----------
    before : EncoderFilter
    folder : Path
        Of the hardened weights; rewritten where its bias changes.
    harmless : sequence of str
        Texts that neither state was trained on.
    category : str
    threshold : float
    base : Path
    device : str

    Returns
    -------
    EncoderFilter
    shift : float
        At most 0.
    """
    after = EncoderFilter.load(base=base, weights=folder, device=device)
    column = after.categories.index(category)
    n_fired = int((before.score_batch(harmless)[:, column] >= threshold).sum())
    highest = np.sort(after.score_batch(harmless)[:, column].astype(np.float64))[::-1]
    if n_fired >= len(highest) or highest[n_fired] < threshold:
        return after, 0.0
    score = min(float(highest[n_fired]), 1 - 1e-7)
    shift = float(np.log(threshold / (1 - threshold)) - np.log(score / (1 - score))) - 0.02
    tensors = load_file(folder / "encoder.safetensors")
    tensors["heads.bias"][column] += shift
    write_weights(tensors, json.loads((folder / "config.json").read_text(encoding="utf-8")), folder)
    return EncoderFilter.load(base=base, weights=folder, device=device), shift
