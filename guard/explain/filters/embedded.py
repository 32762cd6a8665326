"""A model seen through its word embeddings: the window that decides a text, and rows on the way from nothing to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from guard.errors import ConfigError, FilterError
from guard.explain.filters.parts import Parts, Unit, parts_of_tokens
from guard.explain.schema import Values
from guard.filters.checkpoint import same_width_batches
from guard.filters.differentiable import Differentiable
from guard.filters.windows import TokenWindow

__all__ = ["Baseline", "EmbeddedModel", "Row", "Window"]

Baseline = Literal["auto", "mask", "pad", "zero"]

_NAMES = {"mask": ("[MASK]", "<mask>"), "pad": ("[PAD]", "<pad>", "<|pad|>", "</s>", "<|endoftext|>")}
_TOKEN_BUDGET = 2048


@dataclass(frozen=True)
class Window:
    """What the model reads where it decides: of a short text all, of a long one the window that scores highest."""

    text: str
    tokens: TokenWindow
    parts: Parts

    @property
    def inner(self) -> npt.NDArray[np.bool_]:
        """bool, shape (n_tokens,): False at special tokens."""
        return np.asarray(self.tokens.places) >= 0


@dataclass(frozen=True)
class Row:
    """One input of the model: which window, and how much of each token is there.

    Parameters
    ----------
    window : int
    shares : ndarray
        float32, shape (n_tokens,), in [0, 1]: 0 puts the baseline in place of the token, 1 leaves it.
    """

    window: int
    shares: npt.NDArray[np.float32]


class EmbeddedModel:
    """One column of a model's log-odds, as a function of which tokens are there.

    Parameters
    ----------
    model : Differentiable
        In float32 or wider where gradients are asked for.
    column : int
        Of ``model.logits_of``.
    baseline : {"auto", "mask", "pad", "zero"}
        What stands in place of a token that is not there: the embedding of the mask or of padding, or zeros. ``auto``
        is the first of these that there is. Special tokens always stay.
    token_budget : int
        Most tokens of one pass.

    Raises
    ------
    ConfigError
        The vocabulary has no such token.

    Notes
    -----
    Rows are batched only with rows of the very same length. Nothing is padded, so a row costs what its own tokens
    cost, and its computation does not depend on the other texts.
    """

    def __init__(
        self, model: Differentiable, column: int, *, baseline: Baseline = "auto", token_budget: int = _TOKEN_BUDGET
    ) -> None:
        self._model, self._column, self._token_budget = model, column, token_budget
        self._nothing = _nothing(model, baseline)

    @property
    def column(self) -> int:
        """Which of the model's columns it is."""
        return self._column

    def windows(self, texts: Sequence[str], unit: Unit) -> list[Window]:
        """Return the window that decides each text."""
        made = [
            Window(text, window, parts_of_tokens(text, window.offsets, np.asarray(window.places) >= 0, unit))
            for window in self._read(texts)
            for text in (texts[window.owner],)
        ]
        counts = Counter(one.tokens.owner for one in made)
        several = [at for at, one in enumerate(made) if counts[one.tokens.owner] > 1]
        values = dict(zip(several, self.values(made, [_whole(made, at) for at in several]), strict=True))
        best: dict[int, int] = {}
        for at, one in enumerate(made):
            owner = one.tokens.owner
            if owner not in best or values[at] > values[best[owner]]:
                best[owner] = at
        return [made[best[owner]] for owner in range(len(texts))]

    def _read(self, texts: Sequence[str]) -> list[TokenWindow]:
        """Return the windows of every text, those of another reading too where the model has one."""
        both = getattr(self._model, "explained_windows", None)
        windows: list[TokenWindow] = self._model.token_windows(texts) if both is None else both(texts, self._column)
        return windows

    def values(self, windows: Sequence[Window], rows: Sequence[Row]) -> Values:
        """Return the log-odds of rows: float64, shape (len(rows),).

        Raises
        ------
        FilterError
            The model failed, or gave something that is not finite.
        """
        found = np.zeros(len(rows))
        with torch.inference_mode():
            for some in self._batches(windows, rows):
                words, _ = self._words(windows, [rows[at] for at in some])
                found[some] = self._log_odds(words).double().cpu().numpy()
        return _finite(found)

    def slopes(self, windows: Sequence[Window], rows: Sequence[Row]) -> tuple[Values, list[Values]]:
        """Return the log-odds of rows, and how fast they change where each token comes in from the baseline.

        Returns
        -------
        values : ndarray
            float64, shape (len(rows),).
        slopes : list of ndarray
            float64, shape (n_tokens,) of the row's window: the gradient by the token's embedding times the way from
            the baseline to the token. 0 at special tokens.

        Raises
        ------
        FilterError
            The model failed, or gave something that is not finite.
        """
        found, slopes = np.zeros(len(rows)), [np.zeros(0)] * len(rows)
        for some in self._batches(windows, rows):
            words, way = self._words(windows, [rows[at] for at in some])
            words.requires_grad_(True)
            log_odds = self._log_odds(words)
            # Rows do not touch each other, so the gradient of their sum holds the gradient of each.
            (gradient,) = torch.autograd.grad(log_odds.sum(), words)
            found[some] = log_odds.detach().double().cpu().numpy()
            along = (gradient * way).sum(dim=2).double().cpu().numpy()
            for at, one in zip(some, along, strict=True):
                slopes[at] = _finite(one)
        return _finite(found), slopes

    def _batches(self, windows: Sequence[Window], rows: Sequence[Row]) -> list[list[int]]:
        lengths = [len(windows[row.window].tokens.ids) for row in rows]
        grouped = same_width_batches(lengths, token_budget=self._token_budget, longest=1, step=1)
        return [some for _, some in grouped]

    def _words(self, windows: Sequence[Window], rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """Return the embeddings of rows of one length, and the way of each token from the baseline: (n, t, hidden)."""
        table = self._model.word_embeddings
        ids = torch.tensor([windows[row.window].tokens.ids for row in rows], device=table.device)
        inner = torch.from_numpy(np.stack([windows[row.window].inner for row in rows])).to(table.device)
        words = table[ids].detach()
        nothing = torch.where(inner[:, :, None], self._nothing, words)
        shares = torch.from_numpy(np.stack([row.shares for row in rows])).to(table.device, table.dtype)
        return torch.lerp(nothing, words, shares[:, :, None]), words - nothing

    def _log_odds(self, words: Tensor) -> Tensor:
        mask = torch.ones(words.shape[:2], dtype=torch.bool, device=words.device)
        try:
            return self._model.logits_of(words, mask)[:, self._column]
        except RuntimeError as error:
            raise FilterError(f"the filter failed under explanation ({error})") from error


def _nothing(model: Differentiable, baseline: Baseline) -> Tensor:
    """Return the embedding of a token that is not there, shape (hidden,)."""
    if baseline not in get_args(Baseline):
        raise ConfigError(f"baseline {baseline!r} is unknown; give one of {', '.join(get_args(Baseline))}")
    table, vocabulary = model.word_embeddings.detach(), model.vocabulary
    for kind in ("mask", "pad") if baseline == "auto" else (baseline,):
        named = [vocabulary.index(name) for name in _NAMES.get(kind, ()) if name in vocabulary]
        if named:
            return table[named[0]].clone()
    if baseline in _NAMES:
        raise ConfigError(f"baseline {baseline!r}: the vocabulary has no {' or '.join(_NAMES[baseline])}; give zero")
    return torch.zeros_like(table[0])


def _whole(windows: Sequence[Window], at: int) -> Row:
    """Return the row with every token there."""
    return Row(at, np.ones(len(windows[at].tokens.ids), dtype=np.float32))


def _finite(values: Values) -> Values:
    if not np.isfinite(values).all():
        raise FilterError("the filter's log-odds or their gradient are not finite: load it with dtype float32")
    return values
