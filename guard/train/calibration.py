"""Platt scaling of each head on validation rows, with both classes weighted alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

__all__ = ["fit_calibration"]

_FLOOR = 20
"""Fewest rows of a class to fit on."""


def _fit_one(logits: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Fit log-temperature and shift by the balanced negative log-likelihood."""
    positives = max(labels.sum(), 1e-9)
    weights = labels / positives + (1 - labels) / max((1 - labels).sum(), 1e-9)

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        scaled = logits * np.exp(-parameters[0]) + parameters[1]
        losses = np.logaddexp(0, scaled) - labels * scaled
        return float((weights * losses).sum() + 1e-3 * (parameters**2).sum())

    best = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return float(np.exp(best[0])), float(best[1])


def fit_calibration(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.float32]) -> list[tuple[float, float]]:
    """Fit a temperature and a shift for each head.

    Parameters
    ----------
    logits : ndarray
        float32, shape (n, k).
    labels : ndarray
        float32, shape (n, k): a probability, or negative where unknown.

    Returns
    -------
    list of (float, float)
        For each head (temperature, shift); the calibrated logit is ``logit / temperature + shift``. (1, 0) where a
        class has fewer than 20 rows.

    Notes
    -----
    Platt 1999, "Probabilistic Outputs for Support Vector Machines", section 2. Classes are weighted alike, so 0.5 is
    the point at which a text is as likely to be drawn from either class, whatever the mixture's share of harm.
    """
    fitted = []
    for head in range(logits.shape[1]):
        known = labels[:, head] >= 0
        target = labels[known, head].astype(np.float64)
        if min((target > 0.5).sum(), (target <= 0.5).sum()) < _FLOOR:
            fitted.append((1.0, 0.0))
            continue
        fitted.append(_fit_one(logits[known, head].astype(np.float64), target))
    return fitted
