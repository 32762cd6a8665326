"""A causal language model as a white box: the loss of a wanted answer, and its gradient by each token of a suffix."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from guard.errors import ConfigError, DataError, GeneratorError
from guard.generators.decoding_loop import grows_a_cache

__all__ = ["CausalWhiteBox", "Framed"]

_MARK = "\ue000"  # of the private use area: no prompt has it


@dataclass(frozen=True)
class Framed:
    """A prompt with a place for a suffix, and the answer that is wanted, as token ids.

    Parameters
    ----------
    before, after : tuple of int
        Around the suffix, chat template included.
    target : tuple of int
        What the model shall answer.
    before_text, after_text : str
        The text around the suffix.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    target: tuple[int, ...]
    before_text: str
    after_text: str


class CausalWhiteBox:
    """A causal language model of Transformers whose gradients can be had.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode. float32 ranks tokens best; bfloat16 works, more coarsely.
    tokenizer : transformers.PreTrainedTokenizerBase
        A fast one.
    chat : bool
        Put prompts into the chat template, where there is one.
    token_budget : int
        Most tokens, keys and values of the prompt included, of one forward pass over candidates.

    Notes
    -----
    ``TransformersGenerator`` has both parts: ``CausalWhiteBox(generator.model, generator.tokenizer)``.
    """

    def __init__(self, model: Any, tokenizer: Any, *, chat: bool = True, token_budget: int = 8192) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ConfigError(f"{type(tokenizer).__name__} is no fast tokenizer; the folder needs tokenizer.json")
        self._model, self._tokenizer, self._token_budget = model, tokenizer, token_budget
        self._chat = chat and bool(getattr(tokenizer, "chat_template", None))
        self._grows_a_cache = grows_a_cache(model)
        self._prefixes: dict[tuple[int, ...], Any] = {}

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._tokenizer

    @property
    def word_embeddings(self) -> Tensor:
        """float, shape (vocabulary size, hidden)."""
        weight = self._model.get_input_embeddings().weight
        assert isinstance(weight, Tensor)
        return weight.detach()

    def frame(self, prompt: str, suffix: str, target: str) -> tuple[Framed, tuple[int, ...]]:
        """Return the ids around a suffix, and the suffix's own.

        Parameters
        ----------
        prompt : str
        suffix : str
            Put straight behind the prompt, so it begins with its own blank.
        target : str

        Raises
        ------
        ConfigError
            The tokens of the suffix run into the prompt's.
        DataError
            The whole does not fit the model's context, or the target is empty.
        """
        before, after = self._around(prompt)
        ids, offsets = self._encoded(before + suffix + after)
        start, end = len(before), len(before) + len(suffix)
        inside = [at for at, (first, last) in enumerate(offsets) if start <= first and last <= end and first < last]
        cut = [at for at, (first, last) in enumerate(offsets) if first < start < last or first < end < last]
        if not inside or cut:
            raise ConfigError(f"suffix {suffix!r}: its tokens run into the prompt's; begin it with a blank and a sign")
        target_ids = tuple(self._tokenizer(target, add_special_tokens=False)["input_ids"])
        context = getattr(self._model.config, "max_position_embeddings", None)
        if not target_ids or (context is not None and len(ids) + len(target_ids) > context):
            raise DataError(
                f"{len(ids)} tokens of prompt and {len(target_ids)} of target: give a target, and at most {context}"
                " tokens in all"
            )
        first, last = inside[0], inside[-1] + 1
        framed = Framed(tuple(ids[:first]), tuple(ids[last:]), target_ids, before, after)
        return framed, tuple(ids[first:last])

    def spells(self, framed: Framed, suffix_ids: Sequence[Sequence[int]]) -> list[str | None]:
        """Return the text of each suffix, or None where its text would be read as other tokens.

        Whoever sends the text to a model has only the text: a suffix of tokens that it is not read as is of no use.
        """
        texts = self._tokenizer.batch_decode([list(ids) for ids in suffix_ids], clean_up_tokenization_spaces=False)
        wholes = [framed.before_text + text + framed.after_text for text in texts]
        found = self._tokenizer(wholes, add_special_tokens=not self._chat)["input_ids"] if wholes else []
        wanted = [[*framed.before, *ids, *framed.after] for ids in suffix_ids]
        return [text if one == other else None for text, one, other in zip(texts, found, wanted, strict=True)]

    def losses(self, framed: Framed, suffix_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the target's loss behind each suffix, and whether greedy decoding would write the target.

        Parameters
        ----------
        framed : Framed
        suffix_ids : Tensor
            int64, shape (n, n_tokens).

        Returns
        -------
        losses : Tensor
            float32, shape (n,): mean cross entropy of the target's tokens.
        matches : Tensor
            bool, shape (n,).

        Raises
        ------
        GeneratorError
            The model failed.
        """
        cost = len(framed.before) + suffix_ids.shape[1] + len(framed.after) + len(framed.target)
        size = max(1, self._token_budget // cost)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(suffix_ids), size):
                rows = suffix_ids[start : start + size].to(self._device)
                parts.append(_target_losses(self._logits(framed, self._embed(rows)), framed.target))
        if not parts:
            return torch.empty(0), torch.empty(0, dtype=torch.bool)
        return torch.cat([loss for loss, _ in parts]).cpu(), torch.cat([match for _, match in parts]).cpu()

    def token_gradients(self, framed: Framed, suffix_ids: Sequence[int]) -> Tensor:
        """Return how the target's loss changes, to first order, with what stands at each place of the suffix.

        Returns
        -------
        Tensor
            float32, shape (n_tokens, vocabulary size): the gradient by a one-hot encoding of the suffix.

        Raises
        ------
        GeneratorError
            The gradient is not finite.
        """
        words = self._embed(torch.tensor([list(suffix_ids)], device=self._device)).detach().requires_grad_(True)
        loss, _ = _target_losses(self._logits(framed, words), framed.target)
        (gradient,) = torch.autograd.grad(loss.sum(), words)
        found = gradient[0].float() @ self.word_embeddings.float().T
        if not bool(torch.isfinite(found).all()):
            raise GeneratorError("the gradient of the target's loss is not finite; load the model with dtype float32")
        return found

    @property
    def _device(self) -> torch.device:
        return self.word_embeddings.device

    def _embed(self, ids: Tensor) -> Tensor:
        found = self._model.get_input_embeddings()(ids)
        assert isinstance(found, Tensor)
        return found

    def _logits(self, framed: Framed, words: Tensor) -> Tensor:
        """Run embedded suffixes of shape (n, t, hidden) in their frame; the logits that predict the target."""
        n = len(words)
        rest = torch.tensor([[*framed.after, *framed.target]], device=self._device).expand(n, -1)
        whole = torch.cat((words, self._embed(rest)), dim=1)
        keep = len(framed.target) + 1
        try:
            cache = self._prefix(framed.before, n)
            if cache is None:
                before = torch.tensor([list(framed.before)], dtype=torch.long, device=self._device).expand(n, -1)
                whole = torch.cat((self._embed(before), whole), dim=1)
                logits = self._model(inputs_embeds=whole, use_cache=False).logits[:, -keep:-1]
            else:
                found = self._model(inputs_embeds=whole, past_key_values=cache, use_cache=True, logits_to_keep=keep)
                logits = found.logits[:, :-1]
        except RuntimeError as error:
            raise GeneratorError(f"the model failed on {n} suffixes ({error})") from error
        assert isinstance(logits, Tensor)
        return logits

    def _prefix(self, before: tuple[int, ...], n: int) -> Any:
        """Return keys and values of the tokens before the suffix for `n` rows; None where the model has no such cache.

        They do not depend on the suffix: one pass for the whole search instead of one a candidate.
        """
        if not before or not self._grows_a_cache:
            return None
        if before not in self._prefixes:
            ids = torch.tensor([list(before)], device=self._device)
            with torch.no_grad():
                self._prefixes[before] = self._model(input_ids=ids, use_cache=True).past_key_values
        cache = copy.deepcopy(self._prefixes[before])  # a forward pass adds to what it is given
        cache.batch_repeat_interleave(n)
        return cache

    def _around(self, prompt: str) -> tuple[str, str]:
        """Return the text before and after the place of the suffix."""
        if not self._chat:
            return prompt, ""
        messages = [{"role": "user", "content": prompt + _MARK}]
        text = str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        if text.count(_MARK) != 1:
            raise ConfigError("the chat template or the prompt leaves no place for a suffix; give chat=False")
        before, _, after = text.partition(_MARK)
        return before, after

    def _encoded(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        found = self._tokenizer(text, add_special_tokens=not self._chat, return_offsets_mapping=True)
        return list(found["input_ids"]), [(int(first), int(last)) for first, last in found["offset_mapping"]]


def _target_losses(logits: Tensor, target: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return mean cross entropy, shape (n,), and whether every token of the target is the likeliest, shape (n,)."""
    wanted = torch.tensor([list(target)], device=logits.device).expand(len(logits), -1)
    losses = functional.cross_entropy(logits.float().transpose(1, 2), wanted, reduction="none").mean(dim=1)
    return losses, (logits.argmax(dim=-1) == wanted).all(dim=1)
