"""What steering keeps of each row of a batch: its tokens, how far they are clean, and what was done to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from guard.generators.seeding import uniforms
from guard.steer.phrases import Trail

__all__ = ["Row", "SteerReport"]


@dataclass(frozen=True)
class SteerReport:
    """What steering did to one row.

    Parameters
    ----------
    n_checks, n_rewinds : int
    n_faults : int
        Checks that failed, and count as violations.
    n_lost_tokens : int
        Tokens that were taken back.
    stopped : bool
        The rewinds were spent: the text ends where it was clean for the last time.
    """

    n_checks: int = 0
    n_rewinds: int = 0
    n_faults: int = 0
    n_lost_tokens: int = 0
    stopped: bool = False


@dataclass
class Row:
    """One row that is being written.

    Parameters
    ----------
    prompt : list of int
    seed : int
    n_most : int
        The most tokens to write.
    """

    prompt: list[int]
    seed: int
    n_most: int
    tokens: list[int] = field(default_factory=list)
    n_clean: int = 0
    n_fed: int = 0  # of the last prompt token and the tokens after it
    banned: set[int] = field(default_factory=set)  # at the place n_clean
    trails: list[Trail] = field(default_factory=lambda: [Trail()])  # after each number of tokens
    at_end: bool = False
    done: bool = False
    resume_at: int = 0
    n_checks: int = 0
    n_rewinds: int = 0
    n_faults: int = 0
    n_lost: int = 0
    stopped: bool = False
    _numbers: torch.Tensor | None = None

    @property
    def writes(self) -> bool:
        """Whether tokens are still to come, now or later."""
        return not self.done and not self.at_end

    @property
    def last(self) -> int:
        """The token after which the next one comes."""
        return self.tokens[-1] if self.tokens else self.prompt[-1]

    def uniform(self) -> float:
        """Return the number that decides the next token: the first attempt's are those of unsteered generation."""
        if self._numbers is None:
            seed = self.seed
            if self.n_rewinds:
                digest = hashlib.sha256(f"{seed}/{self.n_rewinds}".encode()).digest()
                seed = int.from_bytes(digest[:8], "big")
            self._numbers = uniforms([seed], self.n_most)[0]
        return float(self._numbers[len(self.tokens)])

    def add(self, token: int, advance: Callable[[Trail, int], Trail] | None) -> None:
        """Append a token."""
        self.tokens.append(token)
        if advance is not None:
            self.trails.append(advance(self.trails[-1], token))
        self.at_end = len(self.tokens) == self.n_most

    def settle(self) -> None:
        """Take all tokens for clean."""
        self.n_clean = len(self.tokens)
        self.banned.clear()
        self.done = self.at_end

    def rewind(self, *, most: int, resume_at: int) -> int:
        """Go back to where the row was clean, or stop it there.

        Returns
        -------
        int
            How many tokens that were fed are to be taken back: also the one after which it goes on, which is fed again.
        """
        self.n_lost += len(self.tokens) - self.n_clean
        first = self.tokens[self.n_clean]
        del self.tokens[self.n_clean :]
        del self.trails[self.n_clean + 1 :]
        if self.n_rewinds == most:
            self.stopped = self.done = True
            return 0
        self.banned.add(first)
        self.n_rewinds += 1
        self._numbers = None
        self.at_end, self.resume_at = False, resume_at
        lost = self.n_fed - self.n_clean
        self.n_fed = self.n_clean
        return lost

    def report(self) -> SteerReport:
        """Sum up."""
        return SteerReport(self.n_checks, self.n_rewinds, self.n_faults, self.n_lost, self.stopped)
