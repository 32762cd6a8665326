"""Greedy coordinate gradient: a suffix that makes a white-box language model begin with a wanted answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from guard.attacks.causal_lm import CausalWhiteBox, Framed
from guard.errors import ConfigError

__all__ = ["Behaviour", "FoundSuffix", "SuffixSearch", "find_suffix"]

OnStep = Callable[[int, float], None]
"""Called after each step with its number, from 1, and the lowest loss so far."""


@dataclass(frozen=True)
class Behaviour:
    """What the model shall be brought to.

    Parameters
    ----------
    prompt : str
        The request.
    target : str
        How the answer shall begin, such as ``Sure, here is``.
    """

    prompt: str
    target: str


@dataclass(frozen=True)
class SuffixSearch:
    """How long and how widely to search.

    Parameters
    ----------
    n_steps : int
        Most steps.
    n_candidates : int
        Suffixes that are tried in a step, each with one token exchanged. The paper takes 512.
    top_k : int
        Tokens that the gradient proposes at each place. The paper takes 256.
    start : str
        The suffix to begin with; its number of tokens stays.
    ascii_only : bool
        Printable ASCII tokens only, so that the suffix can be typed.
    stop_on_match : bool
        Stop as soon as greedy decoding writes every target.

    Raises
    ------
    ConfigError
        A number below 1.
    """

    n_steps: int = 100
    n_candidates: int = 128
    top_k: int = 64
    start: str = " !" * 16
    ascii_only: bool = True
    stop_on_match: bool = True

    def __post_init__(self) -> None:
        """Refuse what no search could mean."""
        if min(self.n_steps, self.n_candidates, self.top_k) < 1:
            raise ConfigError(f"{self}: n_steps, n_candidates and top_k are at least 1")


@dataclass(frozen=True)
class FoundSuffix:
    """What a search came to.

    Parameters
    ----------
    suffix : str
        To be put straight behind the prompt. The best one seen, which may be the start.
    loss, loss_before : float
        Mean cross entropy of the targets behind it, and behind the start.
    losses : tuple of float
        The lowest loss so far, after each step.
    matched : tuple of bool
        For each behaviour, whether greedy decoding writes its target.
    n_candidates : int
        Suffixes that were tried, for all behaviours once.
    """

    suffix: str
    loss: float
    loss_before: float
    losses: tuple[float, ...]
    matched: tuple[bool, ...]
    n_candidates: int


def find_suffix(
    model: CausalWhiteBox,
    behaviours: Sequence[Behaviour],
    search: SuffixSearch | None = None,
    *,
    seed: int,
    on_step: OnStep | None = None,
) -> FoundSuffix:
    """Search a suffix that raises the probability of the targets.

    Parameters
    ----------
    model : CausalWhiteBox
    behaviours : sequence of Behaviour
        One, or several for a suffix that serves all of them.
    search : SuffixSearch, optional
    seed : int
        Of the draws. The result depends on nothing else.
    on_step : callable, optional

    Raises
    ------
    ConfigError
        No behaviours, or a start that the tokenizer does not read back as it was.
    DataError
        A prompt does not fit the context.
    GeneratorError
        The model failed.

    Notes
    -----
    Zou et al. 2023, "Universal and Transferable Adversarial Attacks on Aligned Language Models", algorithm 1, and for
    several behaviours the sum of algorithm 2 over all of them from the beginning (the paper adds them one by one, and
    divides each gradient by its length, as here). Two differences: a suffix whose text would be read as other tokens is
    never tried, and the best suffix is returned, not the last.
    """
    search = search or SuffixSearch()
    if not behaviours:
        raise ConfigError("no behaviours: give at least one prompt with its target")
    framed = [model.frame(one.prompt, search.start, one.target) for one in behaviours]
    frames, start = [frame for frame, _ in framed], framed[0][1]
    if any(ids != start for _, ids in framed) or None in [model.spells(frame, [start])[0] for frame in frames]:
        raise ConfigError(f"start {search.start!r}: it is not read back as the same tokens; give words with blanks")
    return _Descent(model, frames, search, seed).run(start, on_step)


class _Descent:
    """One search under way."""

    def __init__(self, model: CausalWhiteBox, frames: Sequence[Framed], search: SuffixSearch, seed: int) -> None:
        self._model, self._frames, self._search = model, frames, search
        self._draws = torch.Generator().manual_seed(seed)
        self._barred = _barred(model, ascii_only=search.ascii_only)

    def run(self, start: tuple[int, ...], on_step: OnStep | None) -> FoundSuffix:
        """Step until the targets are written or the steps are spent."""
        current = best = torch.tensor(start)
        losses, matches = self._losses(current[None])
        lowest, matched = float(losses[0]), matches[0]
        before, tried, course = lowest, 0, []
        for step in range(1, self._search.n_steps + 1):
            if self._search.stop_on_match and bool(matched.all()):
                break
            candidates = self._candidates(current)
            tried += len(candidates)
            if len(candidates):
                losses, matches = self._losses(candidates)
                at = int(losses.argmin())
                current = candidates[at]
                if float(losses[at]) < lowest:
                    best, lowest, matched = current, float(losses[at]), matches[at]
            course.append(lowest)
            if on_step is not None:
                on_step(step, lowest)
        (text,) = self._model.spells(self._frames[0], [best.tolist()])
        return FoundSuffix(str(text), lowest, before, tuple(course), tuple(matched.tolist()), tried)

    def _losses(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss over behaviours, shape (n,), and the matches, shape (n, n_behaviours)."""
        found = [self._model.losses(frame, candidates) for frame in self._frames]
        return torch.stack([loss for loss, _ in found]).mean(dim=0), torch.stack([match for _, match in found], dim=1)

    def _candidates(self, current: Tensor) -> Tensor:
        """Draw distinct suffixes that differ from `current` in one token which the gradient proposes."""
        proposals = self._gradient(current).topk(self._top_k, dim=1, largest=False).indices
        n = self._search.n_candidates
        places = torch.randint(len(current), (n,), generator=self._draws)
        ranks = torch.randint(self._top_k, (n,), generator=self._draws)
        drawn = current.repeat(n, 1)
        drawn[torch.arange(n), places] = proposals[places, ranks]
        distinct = list(dict.fromkeys(map(tuple, drawn.tolist())))
        spelled = [self._model.spells(frame, distinct) for frame in self._frames]
        kept = [
            ids
            for ids, texts in zip(distinct, zip(*spelled, strict=True), strict=True)
            if None not in texts and list(ids) != current.tolist()
        ]
        return torch.tensor(kept, dtype=torch.long).reshape(-1, len(current))

    @property
    def _top_k(self) -> int:
        return min(self._search.top_k, int((~self._barred).sum()))

    def _gradient(self, current: Tensor) -> Tensor:
        """Return the sum of the behaviours' gradients, each of length 1, with barred tokens never proposed."""
        total = torch.zeros((len(current), len(self._barred)))
        for frame in self._frames:
            gradient = self._model.token_gradients(frame, current.tolist()).cpu()
            total += gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return total.masked_fill(self._barred, float("inf"))


def _barred(model: CausalWhiteBox, *, ascii_only: bool) -> Tensor:
    """Return which tokens no suffix may have: special ones, ones without text, and on wish those outside ASCII."""
    tokenizer, n_words = model.tokenizer, len(model.word_embeddings)
    barred = torch.ones(n_words, dtype=torch.bool)
    known = min(n_words, len(tokenizer))
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    for index, text in enumerate(tokenizer.batch_decode([[index] for index in range(known)])):
        fit = bool(text) and "�" not in text and (not ascii_only or (text.isascii() and text.isprintable()))
        barred[index] = index in special or not fit
    if bool(barred.all()):
        raise ConfigError("the tokenizer has no token that a suffix may have; give ascii_only=False")
    return barred
