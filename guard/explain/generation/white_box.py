"""A causal language model whose log-probabilities of wanted texts, and their gradients by the prompt, can be had."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from guard.errors import DataError, GeneratorError
from guard.explain.generation.framing import FramedPrompt, frame, plain
from guard.explain.schema import Range, Values
from guard.generators.batching import MIN_ROWS, batches, padded_width
from guard.schema import Decoding

__all__ = ["OpenGenerator", "Row", "WhiteBox"]

_ROWS = 16
_GRADIENT_TOKENS = 1536


class OpenGenerator(Protocol):
    """A generator whose weights are here, as ``TransformersGenerator`` is."""

    @property
    def name(self) -> str:
        """``<kind>@<digest>``."""

    @property
    def model(self) -> Any:
        """The Transformers model, in evaluation mode."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer, a fast one."""

    @property
    def decoding(self) -> Decoding:
        """How it decodes; only whether in the chat template counts here."""

    def encode(self, prompt: str) -> list[int]:
        """Turn a prompt into the ids that the model reads."""


@dataclass(frozen=True)
class Row:
    """A prompt, what follows it, and how much each token of that counts.

    Parameters
    ----------
    prompt, target : tuple of int
        Token ids; neither is empty.
    weights : tuple of float
        Of each token of the target.
    """

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids in order."""
        return self.prompt + self.target


class WhiteBox:
    """A generator as a function from prompts to log-probabilities, and to their gradients.

    Parameters
    ----------
    generator : OpenGenerator
        Load it with dtype float32 for gradients: in bfloat16 they are coarse.
    batch_size : int
        Most rows of a forward pass.

    Notes
    -----
    Rows are padded as generators pad them (docs/design/determinism.md), so that a row does not depend on its batch.
    """

    def __init__(self, generator: OpenGenerator, *, batch_size: int = _ROWS) -> None:
        self.name, self._model, self._tokenizer = generator.name, generator.model, generator.tokenizer
        self._chat, self._batch_size = generator.decoding.chat, batch_size
        self._prefix = str(getattr(generator, "prefix", ""))
        self._keeps = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        self.n_rows = 0

    @property
    def word_embeddings(self) -> Tensor:
        """float, shape (vocabulary size, hidden)."""
        weight = self._model.get_input_embeddings().weight
        assert isinstance(weight, Tensor)
        return weight.detach()

    def frame(self, prompt: str) -> FramedPrompt:
        """Return what the model reads of a prompt.

        Raises
        ------
        ConfigError
            As :func:`guard.explain.generation.framing.frame`.
        """
        own = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id, self._tokenizer.pad_token_id)
        start = next((int(token) for token in own if token is not None), 0)
        return frame(self._tokenizer, prompt, chat=self._chat, start_id=start, prefix=self._prefix)

    def target(self, text: str) -> tuple[tuple[int, ...], tuple[Range, ...]]:
        """Return the ids of a text that follows a prompt, and the characters that each covers.

        It is encoded apart from the prompt, so that it is the same tokens behind every prompt.

        Raises
        ------
        DataError
            It has no tokens.
        """
        found = self._tokenizer(plain(text), add_special_tokens=False, return_offsets_mapping=True)
        if not found["input_ids"]:
            raise DataError("the output to explain is empty; give one with --output, or let the model write one")
        return tuple(found["input_ids"]), tuple((int(a), int(b)) for a, b in found["offset_mapping"])

    def log_probabilities(self, rows: Sequence[Row]) -> Values:
        """Return the weighted sum of the log-probabilities of each row's target tokens.

        Parameters
        ----------
        rows : sequence of Row
            Equal ones are computed once.

        Returns
        -------
        ndarray
            float64, shape (len(rows),), in nats.

        Raises
        ------
        DataError
            A row does not fit the model's context.
        GeneratorError
            The model failed, or gave what is not finite.
        """
        distinct = list(dict.fromkeys(rows))
        self._require_room(distinct)
        found: dict[Row, float] = {}
        for group in batches([len(row.ids) for row in distinct], rows=self._batch_size, max_new_tokens=0):
            batch = [distinct[at] for at in group]
            with torch.inference_mode():
                each = self._ran(batch, self._embedded)
            found.update(zip(batch, each.double().cpu().tolist(), strict=True))
        self.n_rows += len(distinct)
        return _finite(np.array([found[row] for row in rows], dtype=np.float64))

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Return the embeddings of token ids; float, shape (len(ids), hidden)."""
        with torch.no_grad():
            found = self._model.get_input_embeddings()(torch.tensor([list(ids)], device=self._model.device))
        assert isinstance(found, Tensor)
        return found[0]

    def gradients(self, rows: Sequence[Row], prompts: Sequence[Tensor]) -> tuple[Values, list[Tensor]]:
        """Return the log-probabilities of rows whose prompts are given as embeddings, and their gradients by these.

        Parameters
        ----------
        rows : sequence of Row
        prompts : sequence of Tensor
            float, shape (len(row.prompt), hidden) each: of :meth:`embed`, or anything near it.

        Returns
        -------
        numbers : ndarray
            float64, shape (len(rows),).
        gradients : list of Tensor
            float64 on the CPU, shapes as those of `prompts`.

        Raises
        ------
        DataError, GeneratorError
            As :meth:`log_probabilities`.
        """
        self._require_room(rows)
        numbers, found = np.zeros(len(rows)), list[Tensor](prompts)
        lengths = [len(row.ids) for row in rows]
        most = max(1, _GRADIENT_TOKENS // padded_width(max(lengths, default=1), 0))
        for group in batches(lengths, rows=min(self._batch_size, most), max_new_tokens=0):
            leaves = [prompts[at].detach().clone().requires_grad_(True) for at in group]
            embedded = iter(leaves)
            value = self._ran([rows[at] for at in group], lambda row: self._whole(next(embedded), row))  # noqa: B023
            gradients = torch.autograd.grad(value.sum(), leaves)
            for at, number, gradient in zip(group, value.detach().double().tolist(), gradients, strict=True):
                numbers[at], found[at] = number, gradient.detach().double().cpu()
        self.n_rows += len(rows)
        if not all(bool(torch.isfinite(one).all()) for one in found):
            raise GeneratorError(f"{self.name}: a gradient is not finite; load the model with dtype float32")
        return _finite(numbers), found

    def _embedded(self, row: Row) -> Tensor:
        return self.embed(row.ids)

    def _whole(self, prompt: Tensor, row: Row) -> Tensor:
        return torch.cat([prompt, self.embed(row.target)])

    def _ran(self, batch: Sequence[Row], embedded: Callable[[Row], Tensor]) -> Tensor:
        """Run rows of one batch; the weighted log-probability of each, shape (len(batch),)."""
        parts = [embedded(row) for row in batch]
        # Copies fill the batch up; they are detached, so no gradient of theirs reaches the first row.
        parts += [parts[0].detach()] * (MIN_ROWS - len(batch))
        width = max(padded_width(len(part), 0) for part in parts)
        blank = [part.new_zeros((width - len(part), part.shape[1])) for part in parts]
        words = torch.stack([torch.cat(pair) for pair in zip(blank, parts, strict=True)])
        lengths = torch.tensor([len(part) for part in parts], device=words.device)
        mask = (torch.arange(width, device=words.device)[None, :] >= width - lengths[:, None]).long()
        keep = max(len(row.target) for row in batch) + 1
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        kept = {"logits_to_keep": keep} if self._keeps else {}
        try:
            logits = self._model(
                inputs_embeds=words, attention_mask=mask, position_ids=positions, use_cache=False, **kept
            ).logits[:, -keep:]
        except RuntimeError as error:
            raise GeneratorError(f"{self.name} failed on {len(batch)} prompts ({error})") from error
        return torch.stack([_summed(logits[at], row) for at, row in enumerate(batch)])

    def _require_room(self, rows: Sequence[Row]) -> None:
        context = getattr(self._model.config, "max_position_embeddings", math.inf)
        longest = max((len(row.ids) for row in rows), default=0)
        if longest > context:
            raise DataError(f"prompt and output have {longest} tokens; the model takes {context}: shorten them")


def _summed(logits: Tensor, row: Row) -> Tensor:
    """Add the weighted log-probabilities of one row's target up, in float64."""
    n = len(row.target)
    wanted = torch.tensor(row.target, device=logits.device)
    predicted = torch.log_softmax(logits[-n - 1 : -1].float(), dim=-1).gather(1, wanted[:, None])[:, 0].double()
    return (predicted * torch.tensor(row.weights, dtype=torch.float64, device=logits.device)).sum()


def _finite(values: Values) -> Values:
    if not np.isfinite(values).all():
        raise GeneratorError("a log-probability is not finite; load the model with dtype float32")
    return values
