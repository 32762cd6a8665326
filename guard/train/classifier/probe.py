"""A linear probe: logistic regression on pooled states, from which a new head starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from guard.train.classifier.temperature import log_loss, probabilities

__all__ = ["RIDGES", "fit_probe", "start_head"]

Floats = npt.NDArray[np.float64]

RIDGES = (3.0, 10.0, 30.0, 100.0, 300.0)
"""Weights of the penalty that are tried; centred states of the encoder have lengths of about 5."""

_ROUNDS = 12


def fit_probe(states: Floats, labels: Floats, *, ridge: float) -> tuple[Floats, float]:
    """Fit weights and a bias by the penalised likelihood, both classes weighted alike.

    Parameters
    ----------
    states : ndarray
        float64, shape (n, d).
    labels : ndarray
        float64, shape (n,), 0 or 1, both there.
    ridge : float
        Half of it times the squared length of the weights is added to the loss.

    Returns
    -------
    weights : ndarray
        float64, shape (d,).
    bias : float

    Notes
    -----
    Newton's method (iteratively reweighted least squares) in the space of the rows where there are fewer of them than
    dimensions: the weights are a mixture of states, so n unknowns do.
    """
    mean = states.mean(axis=0)
    centred = states - mean
    if len(states) < states.shape[1]:
        kernel = centred @ centred.T
        mixture, bias = _newton(kernel, labels, kernel * ridge + 1e-9 * np.eye(len(kernel)))
        weights: Floats = centred.T @ mixture
    else:
        weights, bias = _newton(centred, labels, ridge * np.eye(states.shape[1]))
    return weights, bias - float(mean @ weights)


def _newton(design: Floats, labels: Floats, penalty: Floats) -> tuple[Floats, float]:
    """Return the coefficients and the bias of a logistic regression with a quadratic penalty."""
    n, k = design.shape
    whole = np.concatenate((design, np.ones((n, 1))), axis=1)
    padded = np.zeros((k + 1, k + 1))
    padded[:k, :k] = penalty
    share = labels.mean()
    weights = np.where(labels > 0.5, 0.5 / share, 0.5 / (1 - share))
    at = np.zeros(k + 1)
    for _ in range(_ROUNDS):
        chance = probabilities(whole @ at)
        slope = whole.T @ (weights * (chance - labels)) + padded @ at
        curve = (whole * (weights * chance * (1 - chance))[:, None]).T @ whole + padded
        step = np.linalg.solve(curve + 1e-9 * np.eye(k + 1), slope)
        at = at - step
        if float(np.abs(step).max()) < 1e-8:
            break
    return at[:k], float(at[k])


def start_head(
    states: Floats, labels: Floats, held_states: Floats, held_labels: Floats, *, ridges: Sequence[float] = RIDGES
) -> tuple[Floats, float, float]:
    """Return the probe, of several penalties, that says held-out labels best.

    Parameters
    ----------
    states, held_states : ndarray
        float64, shapes (n, d) and (m, d).
    labels, held_labels : ndarray
        float64, 0 or 1.
    ridges : sequence of float

    Returns
    -------
    weights : ndarray
        float64, shape (d,).
    bias : float
    ridge : float
        That was chosen.

    Notes
    -----
    Training starts from the probe and not from random weights, so that the first steps do not bend the states to a head
    that knows nothing: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution", section 3.4.
    """
    found = [(*fit_probe(states, labels, ridge=ridge), ridge) for ridge in ridges]
    losses = [log_loss(held_states @ weights + bias, held_labels) for weights, bias, _ in found]
    return found[int(np.argmin(losses))]
