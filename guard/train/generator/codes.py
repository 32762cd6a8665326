"""Control codes: words in front of a text that say how clean it is, so that a clean text can be asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError, DataError, OutputError

__all__ = ["PHRASES", "ControlCodes", "fit_codes", "write_codes"]

PHRASES = ("[tone: friendly]\n", "[tone: mixed]\n", "[tone: rude]\n")
"""The codes by default, cleanest first: words that mean something to the model already, on a line of their own."""


@dataclass(frozen=True)
class ControlCodes:
    """Phrases by how unwanted a text is.

    Parameters
    ----------
    phrases : tuple of str
        Cleanest first; at least two, all different and none empty.
    bounds : tuple of float
        Ascending; a text whose score is over ``bounds[i]`` gets a phrase behind ``phrases[i]``. One fewer than phrases.

    Notes
    -----
    Keskar et al. 2019 (CTRL, arXiv 1909.05858, section 3): text is learnt behind a code for where it comes from. Lu et
    al. 2022 (Quark, arXiv 2205.13636, section 2): the code is the quantile of a score, and the best is put in front
    when the model is used. Quark adds new tokens; phrases need no new rows in the embedding, which low-rank updates
    freeze.
    """

    phrases: tuple[str, ...] = PHRASES
    bounds: tuple[float, ...] = (1 / 3, 2 / 3)

    def __post_init__(self) -> None:
        if len(self.phrases) < 2 or len({*self.phrases}) != len(self.phrases) or not all(self.phrases):
            raise ConfigError(f"control codes {list(self.phrases)}: give two or more, all different and none empty")
        ascending = all(low < high for low, high in zip(self.bounds, self.bounds[1:], strict=False))
        if len(self.bounds) != len(self.phrases) - 1 or not ascending:
            raise ConfigError(
                f"bounds {list(self.bounds)} for {len(self.phrases)} control codes: give one fewer, in ascending order"
            )

    @property
    def clean(self) -> str:
        """The phrase that is put in front when a clean text is wanted."""
        return self.phrases[0]

    def of(self, score: float) -> str:
        """Return the phrase of a text with this score.

        Examples
        --------
        >>> codes = ControlCodes(("good ", "bad "), (0.5,))
        >>> codes.of(0.5), codes.of(0.51)
        ('good ', 'bad ')
        """
        return self.phrases[int(np.searchsorted(self.bounds, score, side="left"))]


def fit_codes(scores: npt.NDArray[np.float64], phrases: Sequence[str] = PHRASES, *, clean: float = 1.0) -> ControlCodes:
    """Return codes that each stand for an equal share of texts, but for the first, which is never more than clean.

    Parameters
    ----------
    scores : ndarray
        float64, shape (n_texts,): how unwanted each training text is.
    phrases : sequence of str
    clean : float
        Most that a text behind the first code scores, in [0, 1]. Where most texts are unwanted, the cleanest third is
        no clean one: the others share what is over it.

    Raises
    ------
    DataError
        The scores do not part into so many groups: too few texts, or too many alike.
    """
    n = len(phrases)
    bounds = _bounds(scores, n, clean) if len(scores) else ()
    groups = {int(at) for at in np.searchsorted(bounds, scores, side="left")} if bounds else set()
    if len(groups) < n or len({*bounds}) < n - 1:
        raise DataError(
            f"{len(scores)} texts with {len({*scores.tolist()})} different scores do not part into {n} control codes:"
            " give more texts, another judge, or fewer codes"
        )
    return ControlCodes(tuple(phrases), bounds)


def _bounds(scores: npt.NDArray[np.float64], n: int, clean: float) -> tuple[float, ...]:
    bounds = tuple(float(b) for b in np.quantile(scores, np.arange(1, n) / n))
    if bounds[0] <= clean:
        return bounds
    over = scores[scores > clean]
    return (clean, *(float(b) for b in np.quantile(over, np.arange(1, n - 1) / (n - 1)))) if len(over) else bounds


def write_codes(folder: Path, codes: ControlCodes, *, judge: str) -> None:
    """Write the codes beside a model; the first is put in front of every prompt when it is loaded to generate.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    from guard.generators.loading import CONTROL_CODES

    content = {"prefix": codes.clean, "phrases": codes.phrases, "bounds": codes.bounds, "judge": judge}
    scratch = folder / f"{CONTROL_CODES}.tmp"
    try:
        scratch.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(scratch, folder / CONTROL_CODES)
    except OSError as error:
        raise OutputError(f"cannot write {folder / CONTROL_CODES} ({error.strerror}): make room") from error
