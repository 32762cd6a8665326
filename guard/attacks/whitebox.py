"""White-box victims: models that take word embeddings, and how a label's cross entropy answers to every token."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from guard.attacks.schema import Probabilities, TokenEncoding, Victim
from guard.errors import ConfigError, FilterError
from guard.filters.differentiable import Differentiable, padded_rows
from guard.filters.windows import TokenWindow

__all__ = ["WhiteBoxVictim"]

_TOKEN_BUDGET = 4096


class WhiteBoxVictim:
    """A victim together with the model inside it, so that gradients can be had.

    Parameters
    ----------
    victim : Victim
        What is attacked.
    model : Differentiable
        The same model by its embeddings. In float32 or wider: half precision gives gradients too coarse to rank by.
    columns : sequence of (int, int)
        For each label of the victim the column of ``model.logits_of`` that speaks for it, and 1, or -1 where that
        column speaks against it: ``((c, -1), (c, 1))`` for the labels without and with category ``c`` of a filter.
    token_budget : int
        Most padded tokens of one pass.

    Raises
    ------
    ConfigError
        The columns do not fit the labels.
    """

    def __init__(
        self,
        victim: Victim,
        model: Differentiable,
        columns: Sequence[tuple[int, int]],
        *,
        token_budget: int = _TOKEN_BUDGET,
    ) -> None:
        if len(columns) != len(victim.labels) or any(sign not in (-1, 1) for _, sign in columns):
            raise ConfigError(
                f"columns {tuple(columns)} for the labels {victim.labels}: give one (column, 1 or -1) for each label"
            )
        self._victim, self._model, self._columns = victim, model, tuple(columns)
        self._token_budget = token_budget

    @property
    def name(self) -> str:
        """The victim's."""
        return self._victim.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The victim's."""
        return self._victim.labels

    @property
    def model(self) -> Differentiable:
        """The model by its embeddings."""
        return self._model

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each id, as the tokenizer writes it."""
        return self._model.vocabulary

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Read every text, as the victim does."""
        return self._victim.probabilities(texts)

    def embeddings(self) -> npt.NDArray[np.float32]:
        """Return the word embeddings, float32, shape (n_vocabulary, n_hidden)."""
        return np.asarray(self._model.word_embeddings.float().cpu().numpy(), dtype=np.float32)

    def tokens(self, texts: Sequence[str]) -> list[TokenEncoding]:
        """Return the tokens of each text, windows put together again, special tokens at both ends."""
        windows: dict[int, list[TokenWindow]] = {}
        for window in self._model.token_windows(texts):
            windows.setdefault(window.owner, []).append(window)
        layouts = [_Layout.of(windows[owner]) for owner in range(len(texts))]
        return [TokenEncoding(tuple(layout.ids), tuple(layout.offsets)) for layout in layouts]

    def gradients(
        self, texts: Sequence[str], labels: Sequence[int], *, halfway_to: int | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Return the gradient of each label's cross entropy by the word embeddings of its text.

        Parameters
        ----------
        texts : sequence of str
            Batched by padded width; a row does not depend on the others.
        labels : sequence of int
            One a text.
        halfway_to : int, optional
            Take them halfway to a text of this token only; special tokens stay as they are.

        Returns
        -------
        list of ndarray
            float32, shape (n_tokens, n_hidden) as :meth:`tokens` counts them. A text of several windows has its score
            from the highest, and so its gradient: tokens outside it have zeros.

        Raises
        ------
        FilterError
            The model failed, or gave a gradient that is not finite.
        """
        windows = self._model.token_windows(texts)
        gradients: dict[int, npt.NDArray[np.float32]] = {}
        highest: dict[int, tuple[float, int]] = {}
        for rows, words, mask in padded_rows(self._model.word_embeddings, windows, token_budget=self._token_budget):
            chosen = [self._columns[labels[windows[row].owner]] for row in rows]
            if halfway_to is not None:
                words = self._halfway(words, [windows[row] for row in rows], halfway_to)
            logits, found = self._by_words(words, mask, chosen)
            for row, logit, gradient in zip(rows, logits, found, strict=True):
                gradients[row] = gradient
                owner = windows[row].owner
                highest[owner] = max(highest.get(owner, (-np.inf, 0)), (logit, -row))
        return [
            _Layout.of([window for window in windows if window.owner == owner]).placed(
                windows[-highest[owner][1]], gradients[-highest[owner][1]]
            )
            for owner in range(len(texts))
        ]

    def _halfway(self, words: Tensor, windows: Sequence[TokenWindow], token: int) -> Tensor:
        """Move the tokens of the text, special ones left, half of the way to one token."""
        inner = torch.zeros(words.shape[:2], dtype=torch.bool)
        for row, window in enumerate(windows):
            inner[row, : len(window.places)] = torch.tensor(window.places) >= 0
        moved = (words + self._model.word_embeddings[token].detach()) / 2
        return torch.where(inner.to(words.device)[..., None], moved, words)

    def _by_words(
        self, words: Tensor, mask: Tensor, chosen: Sequence[tuple[int, int]]
    ) -> tuple[list[float], npt.NDArray[np.float32]]:
        """Return each row's log-odds of its column, and the gradient of its label's cross entropy by its words."""
        words.requires_grad_(True)
        try:
            logits = self._model.logits_of(words, mask)
            columns = torch.tensor([column for column, _ in chosen], device=logits.device)
            signs = torch.tensor([sign for _, sign in chosen], device=logits.device)
            log_odds = logits.gather(1, columns[:, None])[:, 0]
            # Rows do not touch each other, so the gradient of their sum holds the gradient of each.
            (found,) = torch.autograd.grad(functional.softplus(-signs * log_odds).sum(), words)
        except RuntimeError as error:
            raise FilterError(f"victim {self.name}: no gradient ({error})") from error
        if not bool(torch.isfinite(found).all()):
            raise FilterError(f"victim {self.name}: a gradient is not finite; load the model with dtype float32")
        return log_odds.tolist(), np.asarray(found.float().cpu().numpy(), dtype=np.float32)


class _Layout:
    """The windows of one text put together: every token once, special tokens at both ends."""

    def __init__(self, n_before: int, ids: list[int], offsets: list[tuple[int, int]]) -> None:
        self.n_before, self.ids, self.offsets = n_before, ids, offsets

    @classmethod
    def of(cls, windows: Sequence[TokenWindow]) -> _Layout:
        """Read the tokens off windows that cover the text in order."""
        first, last = windows[0], windows[-1]
        n_before = next((at for at, place in enumerate(first.places) if place >= 0), 1)
        n_after = len(last.places) - n_before - sum(place >= 0 for place in last.places)
        if len(windows) == 1:  # most texts; a search asks about thousands of single words
            return cls(n_before, [*first.ids], [*first.offsets])
        by_place = {
            place: (token, offset)
            for window in windows
            for place, token, offset in zip(window.places, window.ids, window.offsets, strict=True)
            if place >= 0
        }
        inner = [by_place[place] for place in sorted(by_place)]
        after = last.ids[len(last.ids) - n_after :]
        ids = [*first.ids[:n_before], *(token for token, _ in inner), *after]
        return cls(n_before, ids, [*[(0, 0)] * n_before, *(offset for _, offset in inner), *[(0, 0)] * n_after])

    def placed(self, window: TokenWindow, gradient: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Put one window's gradient at its place in the text."""
        whole = np.zeros((len(self.ids), gradient.shape[1]), dtype=np.float32)
        places = np.asarray(window.places)
        n_inner = int((places >= 0).sum())
        start = self.n_before + (int(places.max()) - n_inner + 1 if n_inner else 0)
        whole[start : start + n_inner] = gradient[self.n_before : self.n_before + n_inner]
        whole[: self.n_before] = gradient[: self.n_before]
        n_after = len(places) - self.n_before - n_inner
        if n_after:
            whole[-n_after:] = gradient[self.n_before + n_inner : len(places)]
        return whole
