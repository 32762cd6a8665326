"""Contrastive steering by an expert and an anti-expert (DExperts, Liu et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from guard.errors import ConfigError
from guard.generators.decoding_loop import DecodingLoop
from guard.generators.seeding import nucleus
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding

__all__ = ["ExpertLoops", "Experts"]


@dataclass(frozen=True)
class Experts:
    """Models that pull the base model towards what one would write and away from what the other would.

    Parameters
    ----------
    expert, anti_expert : TransformersGenerator or None
        Fine-tuned on what is wanted, and on what is not; at least one. The base stands in for the other.
    alpha : float
        Strength, at least 0; 0 leaves the base alone, bit by bit, and does not run them.

    Raises
    ------
    ConfigError
        Neither is given, or `alpha` is no such number.
    """

    expert: TransformersGenerator | None = None
    anti_expert: TransformersGenerator | None = None
    alpha: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what cannot steer."""
        if self.expert is None and self.anti_expert is None:
            raise ConfigError("experts without any model: give an expert, an anti-expert, or both")
        if not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise ConfigError(f"alpha {self.alpha}: give a number of at least 0 (0 is the base alone)")

    def check(self, base: TransformersGenerator) -> None:
        """Refuse models whose tokens are not those of the base.

        Raises
        ------
        ConfigError
            A vocabulary or a width of logits differs, or a model has no cache to rewind.
        """
        for role, model in (("expert", self.expert), ("anti-expert", self.anti_expert)):
            if model is None:
                continue
            if model.tokenizer.get_vocab() != base.tokenizer.get_vocab():
                raise ConfigError(
                    f"the {role} {model.name} has another tokenizer than {base.name}; logits do not add up"
                )
            if model.model.config.vocab_size != base.model.config.vocab_size:
                raise ConfigError(f"the {role} {model.name} has another number of logits than {base.name}")
            if not model.grows_a_cache:
                raise ConfigError(f"the {role} {model.name} keeps no cache that grows; take another architecture")


class ExpertLoops:
    """The experts beside one batch of the base model, each with a cache of its own.

    Parameters
    ----------
    experts : Experts
    rows : sequence of list of int
        Ids of each prompt.
    n_steps : int
    decoding : Decoding
        Of the base. Where it is a nucleus, the base alone chooses it, before the experts are added (section 2.2 of the
        paper): what the base holds for impossible stays so.
    """

    def __init__(self, experts: Experts, rows: Sequence[list[int]], *, n_steps: int, decoding: Decoding) -> None:
        def loop(model: TransformersGenerator | None) -> DecodingLoop | None:
            return None if model is None else DecodingLoop(model.model, rows, pad_id=model.pad_id, n_steps=n_steps)

        self._alpha, self._decoding = experts.alpha, decoding
        self._expert, self._anti_expert = loop(experts.expert), loop(experts.anti_expert)

    def steer(self, logits: torch.Tensor, tokens: Mapping[int, int]) -> torch.Tensor:
        """Return z + alpha (z+ - z-), eq. 1 of the paper; float32, shape as `logits`.

        Parameters
        ----------
        logits : torch.Tensor
            z, of the base, after the same tokens.
        tokens : mapping of int to int
            As for :meth:`guard.generators.decoding_loop.DecodingLoop.step`.
        """
        plus = logits if self._expert is None else self._expert.step(tokens).to(logits.device)
        minus = logits if self._anti_expert is None else self._anti_expert.step(tokens).to(logits.device)
        steered = logits + self._alpha * (plus - minus)
        if self._decoding.temperature > 0 and self._decoding.top_p < 1:
            steered = steered.masked_fill(~nucleus(logits, self._decoding), float("-inf"))
        return steered

    def take_back(self, row: int, n_tokens: int) -> None:
        """Forget the last tokens of a row."""
        for loop in (self._expert, self._anti_expert):
            if loop is not None:
                loop.take_back(row, n_tokens)
