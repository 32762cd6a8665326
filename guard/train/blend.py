"""Averaging the weights of two trained encoders: ``python -m guard.train.blend FIRST SECOND --out FOLDER``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from guard.train.encoder import write_weights

__all__ = ["blended", "main"]


def blended(first: Mapping[str, Tensor], second: Mapping[str, Tensor], *, share: float) -> dict[str, Tensor]:
    """Average the merged weights and the heads of two adapters of the same encoder and scale.

    Parameters
    ----------
    first, second : mapping of str to Tensor
        As ``encoder.safetensors`` names them; ranks may differ.
    share : float
        Of the second, in [0, 1].

    Returns
    -------
    dict of str to Tensor
        float16. Ranks add up: (1 - s) B1 A1 + s B2 A2 is one product of the stacked matrices.

    Notes
    -----
    Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", section 3: the average of two points on one
    training path often does better off the training distribution than either.
    """
    tensors: dict[str, Tensor] = {}
    for name, ours in first.items():
        one, other = ours.float(), second[name].float()
        if name.endswith(".a"):
            tensors[name] = torch.cat((one, other))
        elif name.endswith(".b"):
            tensors[name] = torch.cat(((1 - share) * one, share * other), dim=1)
        else:
            tensors[name] = (1 - share) * one + share * other
    return {name: tensor.half().contiguous() for name, tensor in tensors.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Blend on the command line; the second encoder's configuration is kept."""
    parser = argparse.ArgumentParser(prog="python -m guard.train.blend", description=__doc__)
    parser.add_argument("first", type=Path, help="folder of the earlier encoder")
    parser.add_argument("second", type=Path, help="folder of the later one")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--share", type=float, default=0.5, help="of the second, between 0 and 1")
    options = parser.parse_args(argv)
    pair = [load_file(folder / "encoder.safetensors") for folder in (options.first, options.second)]
    configs = [
        json.loads((folder / "config.json").read_text(encoding="utf-8")) for folder in (options.first, options.second)
    ]
    config = configs[1] | {"rank": configs[0]["rank"] + configs[1]["rank"], "blend": options.share}
    write_weights(blended(*pair, share=options.share), config, options.out)


if __name__ == "__main__":
    main()
