"""Calibration of log-odds by a slope and a shift, fitted by Newton's method on labelled rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Calibration", "fit", "log_loss", "probabilities"]

Floats = npt.NDArray[np.float64]

_LEAST_SLOPE = 1e-3
_RIDGE = 1.0  # weighs as one row: keeps the fit finite where the classes are apart
_ROUNDS = 50


@dataclass(frozen=True)
class Calibration:
    """What turns log-odds into probabilities: ``sigmoid(slope * log-odds + shift)``.

    Parameters
    ----------
    slope : float
        One over the temperature; above 0, so that the order of texts stays.
    shift : float
    """

    slope: float = 1.0
    shift: float = 0.0

    def apply(self, logits: Floats) -> Floats:
        """Return calibrated log-odds of the same shape."""
        return self.slope * np.asarray(logits, np.float64) + self.shift


def probabilities(logits: Floats) -> Floats:
    """Return the sigmoid of log-odds, without overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))


def log_loss(logits: Floats, labels: Floats, *, weights: Floats | None = None) -> float:
    """Return the mean negative log-likelihood, in nats, of labels in [0, 1] under log-odds, shape (n,)."""
    losses = np.logaddexp(0.0, logits) - labels * logits
    return float(np.average(losses, weights=weights))


def fit(logits: Floats, labels: Floats, *, balanced: bool = False) -> Calibration:
    """Fit slope and shift to labelled rows.

    Parameters
    ----------
    logits : ndarray
        float64, shape (n,), finite.
    labels : ndarray
        float64, shape (n,), 0 or 1.
    balanced : bool
        Weigh both classes alike, so that 0.5 is the point at which either is as likely.

    Returns
    -------
    Calibration
        Unchanged log-odds where a class has no row.

    Notes
    -----
    Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2) with a shift, which
    is the scaling of Platt 1999. A quadratic pull of one row's weight towards slope 1 and shift 0 keeps separable
    rows finite. Newton steps are halved until the loss falls.
    """
    x, y = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    start: Floats = np.array([1.0, 0.0])
    at: Floats = start
    n_positive = float(y.sum())
    if not 0 < n_positive < len(y):
        return Calibration()
    weights = np.where(y > 0.5, 0.5 / n_positive, 0.5 / (len(y) - n_positive)) * len(y) if balanced else np.ones(len(y))
    design = np.stack((x, np.ones(len(x))), axis=1)
    for _ in range(_ROUNDS):
        step = _newton_step(design, y, weights, at, start)
        scale, now = 1.0, _objective(design, y, weights, at, start)
        while scale > 1e-6 and not _objective(design, y, weights, at - scale * step, start) <= now:
            scale /= 2
        at = at - scale * step
        if float(np.abs(scale * step).max()) < 1e-10:
            break
    return Calibration(max(_LEAST_SLOPE, float(at[0])), float(at[1]))


def _objective(design: Floats, y: Floats, weights: Floats, at: Floats, start: Floats) -> float:
    scaled = design @ at
    pull = _RIDGE / 2 * float(((at - start) ** 2).sum())
    return math.fsum(weights * (np.logaddexp(0.0, scaled) - y * scaled)) + pull


def _newton_step(design: Floats, y: Floats, weights: Floats, at: Floats, start: Floats) -> Floats:
    chance = probabilities(design @ at)
    slope = design.T @ (weights * (chance - y)) + _RIDGE * (at - start)
    curve = (design * (weights * chance * (1 - chance))[:, None]).T @ design + _RIDGE * np.eye(2)
    return np.asarray(np.linalg.solve(curve, slope), np.float64)
