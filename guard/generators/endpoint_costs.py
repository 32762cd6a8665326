"""What an endpoint was asked, what it wrote and what that cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from guard.errors import ConfigError

__all__ = ["Price", "Spent"]


@dataclass(frozen=True)
class Price:
    """What a million tokens cost.

    Parameters
    ----------
    input_per_million, output_per_million : float
        Not negative.
    currency : str, default "USD"
        At most 12 letters and digits.

    Raises
    ------
    ConfigError
        A price below zero, or none; a currency that is no short word.
    """

    input_per_million: float
    output_per_million: float
    currency: str = "USD"

    def __post_init__(self) -> None:
        """Refuse what is no price."""
        if not (0 <= self.input_per_million < float("inf") and 0 <= self.output_per_million < float("inf")):
            raise ConfigError(f"{self}: give what a million tokens cost, 0 or more")
        if not (self.currency.isalnum() and len(self.currency) <= 12):
            raise ConfigError(f"currency {self.currency[:40]!r}: give a short word, for example USD")

    def of(self, tokens_in: float, tokens_out: float) -> float:
        """Return the cost of so many tokens."""
        return (tokens_in * self.input_per_million + tokens_out * self.output_per_million) / 1_000_000


@dataclass
class Spent:
    """Running totals. Tokens are those that answers state, answers that could not be used included.

    Parameters
    ----------
    requests : int
        Sent, retries included.
    retries : int
    tokens_in, tokens_out : int
        Of prompts and of answers.
    without_usage : int
        Requests whose answer did not say what it used, or never came whole. They may have been charged for, so the
        totals are too low by them.
    faults : Counter
        How often a request came to each kind of fault, whether a retry mended it or not.
    """

    requests: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    without_usage: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, tokens_in: int | None, tokens_out: int | None) -> None:
        """Add what one answer states."""
        if tokens_in is None or tokens_out is None:
            self.without_usage += 1
        self.tokens_in += tokens_in or 0
        self.tokens_out += tokens_out or 0

    def line(self, price: Price | None) -> str:
        """Say it in one sentence."""
        said = f"{self.requests} requests ({self.retries} retries), {self.tokens_in} tokens in, {self.tokens_out} out"
        if price is not None:
            said += f", {price.of(self.tokens_in, self.tokens_out):.4f} {price.currency} at the price given"
        if self.without_usage:
            said += f"; {self.without_usage} answers did not say what they used, so this is the least"
        return said
