"""A running average of parameters over the steps of training, which is what is kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["AveragedParameters"]


class AveragedParameters:
    """An exponential moving average, with a shorter memory over the first steps.

    Parameters
    ----------
    parameters : sequence of Tensor
        Trained in place elsewhere.
    decay : float
        In [0, 1): share of the old average that a step keeps, once the average is old enough.

    Notes
    -----
    Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging"; here with a decay, so that the
    last steps count.
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        self._parameters, self._decay, self._steps = list(parameters), decay, 0
        self._mean = [parameter.detach().clone() for parameter in self._parameters]

    def update(self) -> None:
        """Take the parameters of this step in."""
        self._steps += 1
        weight = 1 - min(self._decay, self._steps / (self._steps + 10))
        for mean, parameter in zip(self._mean, self._parameters, strict=True):
            mean.lerp_(parameter.detach(), weight)

    def swap(self) -> None:
        """Exchange the parameters and their average; a second call undoes the first."""
        with torch.no_grad():
            for parameter, mean in zip(self._parameters, self._mean, strict=True):
                kept = parameter.clone()
                parameter.copy_(mean)
                mean.copy_(kept)
