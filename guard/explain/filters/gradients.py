"""Explanations by gradients: gradient times input, and integrated gradients to a stated convergence gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from guard.errors import ConfigError
from guard.explain.filters.embedded import EmbeddedModel, Row, Window
from guard.explain.filters.parts import Unit
from guard.explain.filters.quadrature import NESTED_SIZES, Rule, nested_points, nested_weights, points_and_weights
from guard.explain.schema import Attribution, Values
from guard.filters.differentiable import Sloped

__all__ = ["gradient_on_path", "gradient_on_states", "integrated_gradients", "integrated_gradients_fixed"]


def gradient_on_path(
    model: EmbeddedModel, texts: Sequence[str], category: str, *, unit: Unit, point: float = 1.0
) -> list[Attribution]:
    """Value each part by one gradient times the way from the baseline.

    Parameters
    ----------
    point : float
        Where on the straight line the gradient is taken: 1 is the text itself, which is gradient times input.

    Notes
    -----
    Shrikumar et al. 2016, "Not Just a Black Box: Learning Important Features Through Propagating Activation
    Differences", section 3.1, with the way from a baseline in place of the input: the first term of the model's series
    around the text. Where a text is far over the threshold the gradient at the text itself is small for the very words
    that put it there; on the way to it, where the score turns, it is not. That is the integral of
    :func:`integrated_gradients` by a single point. Nothing promises that the values sum to anything.
    """
    windows = model.windows(texts, unit)
    numbers, slopes = model.slopes(windows, [_row(window, at, point) for at, window in enumerate(windows)])
    if point == 1:
        return _by_one_gradient(model, windows, category, "gradient-x-input", slopes, numbers)
    return _by_one_gradient(model, windows, category, "path-gradient", slopes)


def gradient_on_states(
    model: EmbeddedModel, sloped: Sloped, texts: Sequence[str], category: str, *, unit: Unit
) -> list[Attribution]:
    """Value each part by one gradient at the states inside the model, as a guard does where a text fired.

    Notes
    -----
    The layer attribution of Leino et al. 2018, "Influence-Directed Explanations for Deep Convolutional Networks",
    section 2, by a single point of the way from states of nothing: :meth:`EncoderFilter.state_slopes`. Every window
    is a pass of its own. Nothing promises that the values sum to anything.
    """
    windows = model.windows(texts, unit)
    slopes = [np.pad(sloped.state_slopes(window.tokens.ids, [model.column])[0], 1) for window in windows]
    return _by_one_gradient(model, windows, category, "state-gradient", slopes)


def _by_one_gradient(
    model: EmbeddedModel,
    windows: Sequence[Window],
    category: str,
    method: str,
    slopes: Sequence[Values],
    numbers: Values | None = None,
) -> list[Attribution]:
    """Put the values of tokens beside the log-odds of nothing and of the text, which they need not add up to."""
    baselines = model.values(windows, [_row(window, at, 0.0) for at, window in enumerate(windows)])
    n_scored = 3 if numbers is None else 2
    if numbers is None:  # the gradient was taken elsewhere than at the text
        numbers = model.values(windows, [_row(window, at, 1.0) for at, window in enumerate(windows)])
    return [
        Attribution(
            window.text,
            category,
            method,
            window.parts.ranges,
            window.parts.sums(slope),
            number=float(number),
            baseline=float(baseline),
            n_scored=n_scored,
        )
        for window, slope, number, baseline in zip(windows, slopes, numbers, baselines, strict=True)
    ]


def integrated_gradients_fixed(
    model: EmbeddedModel, texts: Sequence[str], category: str, *, unit: Unit, rule: Rule, n_steps: int
) -> list[Attribution]:
    """Integrate with the same number of steps for every text, whatever gap it leaves; else as the adaptive one."""
    windows = model.windows(texts, unit)
    points, weights = points_and_weights(rule, n_steps)
    ends = model.values(windows, [_row(one, at, share) for at, one in enumerate(windows) for share in (0.0, 1.0)])
    _, slopes = model.slopes(windows, [_row(one, at, share) for at, one in enumerate(windows) for share in points])
    return [
        _attribution(
            window,
            category,
            np.tensordot(weights, np.array(slopes[at * n_steps : (at + 1) * n_steps]), axes=1),
            ends=(float(ends[2 * at]), float(ends[2 * at + 1])),
            n_scored=n_steps + 2,
        )
        for at, window in enumerate(windows)
    ]


def integrated_gradients(
    model: EmbeddedModel, texts: Sequence[str], category: str, *, unit: Unit, gap: float, most_steps: int = 129
) -> list[Attribution]:
    """Integrate the gradient along the straight line from the baseline to the text, until the gap is small enough.

    Parameters
    ----------
    model : EmbeddedModel
    texts : sequence of str
    category : str
    unit : {"token", "word"}
    gap : float
        How far the values may be from summing to what they explain, in log-odds, and how far any of them may have
        moved with the last points. (A sum can come out right while its terms are not.)
    most_steps : int
        Where a text is given up; its attribution then says how large its gap is.

    Notes
    -----
    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", equation 1; the gap is what is missing from
    their proposition 1 (completeness). Texts need very different numbers of steps. All begin with nine; those that are
    not there take the next of a nested rule, in batches with the others that are still open. No gradient is
    computed twice, and since the ends of the line are points too, the gap costs nothing.

    Raises
    ------
    ConfigError
        A gap that is not above 0.
    """
    if not gap > 0:
        raise ConfigError(f"gap={gap}: give a number above 0, in log-odds; 0.05 is the default")
    windows = model.windows(texts, unit)
    paths = [_Path() for _ in windows]
    open_ = list(range(len(windows)))
    done = 0
    for size in NESTED_SIZES:
        if not open_ or (size > most_steps and done):
            break
        shares = nested_points()[done:size]
        values, slopes = model.slopes(windows, [_row(windows[at], at, share) for at in open_ for share in shares])
        for place, at in enumerate(open_):
            here = slice(place * len(shares), (place + 1) * len(shares))
            paths[at].take(values[here], slopes[here])
        open_ = [at for at in open_ if abs(paths[at].gap) > gap or paths[at].moved > gap]
        done = size
    return [
        _attribution(window, category, path.integral, ends=path.ends, n_scored=len(path.values))
        for window, path in zip(windows, paths, strict=True)
    ]


@dataclass
class _Path:
    """What is known along the line to one text."""

    values: list[float] = field(default_factory=list)
    slopes: list[Values] = field(default_factory=list)
    integral: Values = field(default_factory=lambda: np.zeros(0))
    moved: float = np.inf

    def take(self, values: Values, slopes: Sequence[Values]) -> None:
        """Add the next points of the nested rule."""
        self.values += values.tolist()
        self.slopes += slopes
        integral = np.tensordot(nested_weights(len(self.slopes)), np.array(self.slopes), axes=1)
        if len(self.integral):
            self.moved = float(np.abs(integral - self.integral).max())
        self.integral = integral

    @property
    def ends(self) -> tuple[float, float]:
        """The log-odds of nothing and of the text: the nested rule begins with them."""
        return self.values[0], self.values[1]

    @property
    def gap(self) -> float:
        return float(self.integral.sum()) - (self.ends[1] - self.ends[0])


def _row(window: Window, at: int, share: float) -> Row:
    return Row(at, np.full(len(window.tokens.ids), share, dtype=np.float32))


def _attribution(
    window: Window, category: str, values: Values, *, ends: tuple[float, float], n_scored: int
) -> Attribution:
    return Attribution(
        window.text,
        category,
        "integrated-gradients",
        window.parts.ranges,
        window.parts.sums(values),
        number=ends[1],
        baseline=ends[0],
        complete=True,
        n_scored=n_scored,
    )
