"""A causal language model on its way: all of its weights, low-rank updates or a trained prompt, and its own loss."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from guard.errors import ConfigError
from guard.train.generator.adapter import Adapted, AdapterSettings, attach
from guard.train.generator.examples import TokenBatch
from guard.train.generator.language_loss import chunked_nats, token_nats
from guard.train.generator.token_rows import LanguageBatch, TokenRow, as_batch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["METHODS", "Method", "Tuned", "Tuning", "packing_separates", "prepare"]

Method = Literal["lora", "dora", "prompt", "full"]

METHODS: tuple[Method, ...] = ("lora", "dora", "prompt", "full")


@dataclass(frozen=True)
class Tuning:
    """What of a model is trained.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`.
    rank : int
        Of low-rank updates.
    alpha : float
        Low-rank updates count ``alpha / rank`` times.
    prompt_tokens : int
        Length of a trained prompt (Lester et al. 2021, arXiv 2104.08691).
    checkpointing : bool
        Compute the layers anew on the way back in place of keeping what they made: less memory, about a third more time
        (Chen et al. 2016, arXiv 1604.06174).
    """

    method: Method = "lora"
    rank: int = 16
    alpha: float = 32.0
    prompt_tokens: int = 20
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method {self.method!r} is not known: give one of {', '.join(METHODS)}")
        if self.rank < 1 or self.alpha <= 0 or self.prompt_tokens < 1:
            raise ConfigError(f"{self}: rank and prompt_tokens are at least 1, alpha is above 0")


class Tuned(Adapted):
    """A model in training.

    Parameters
    ----------
    wrapped : torch.nn.Module
        A PEFT model, or the language model itself where all of its weights are trained.
    method : str
    attention : str
        How the model attended before it was prepared.
    original : torch.nn.Module, optional
        An untouched copy, for terms that compare with it while all weights are trained.
    """

    def __init__(self, wrapped: Any, method: Method, *, attention: str, original: Any = None) -> None:
        super().__init__(wrapped, attention)
        self.method, self._original = method, original
        self._plain_head = _head_is_plain(self.model)

    @property
    def model(self) -> Any:
        """The causal language model as it is now, without the prompt where one is trained."""
        return self.wrapped if self.method == "full" else self.wrapped.get_base_model()

    @property
    def prompt(self) -> Tensor | None:
        """The trained prompt, shape (n_tokens, d); None where none is trained."""
        if self.method != "prompt":
            return None
        return cast("Tensor", self.wrapped.prompt_encoder["default"].embedding.weight)

    def language_loss(self, batch: LanguageBatch) -> Tensor:
        """Return the summed negative log-likelihood of the learnt ids, in nats, a scalar of float32."""
        hidden, labels = self._predicting(batch)
        head = self.model.get_output_embeddings()
        if self._plain_head:
            return chunked_nats(hidden, head.weight, labels, getattr(head, "bias", None))
        from torch.nn import functional

        return functional.cross_entropy(hidden, labels, reduction="sum")

    def language_nats(self, batch: LanguageBatch) -> Tensor:
        """Return the negative log-likelihood of each learnt id, row by row, float32; nothing is learnt."""
        import torch

        with torch.no_grad():
            hidden, labels = self._predicting(batch)
            head = self.model.get_output_embeddings()
            if self._plain_head:
                return token_nats(hidden, head.weight, labels, getattr(head, "bias", None))
            return torch.nn.functional.cross_entropy(hidden, labels, reduction="none")

    def next_ids(self, rows: Sequence[Sequence[int]], *, pad_id: int) -> list[int]:
        """Return the likeliest id behind each row of ids."""
        import torch

        whole = [TokenRow((*row, pad_id), (*[False] * len(row), True)) for row in rows]
        batch = as_batch([[row] for row in whole], pad_id=pad_id, device=self.model.device)
        with torch.no_grad():
            outputs, _ = self._predicting(batch)
            head = self.model.get_output_embeddings()
            logits = outputs if not self._plain_head else head(outputs)
        return [int(chosen) for chosen in logits.argmax(-1)]

    def _predicting(self, batch: LanguageBatch) -> tuple[Tensor, Tensor]:
        """Return what predicts each learnt id, and the ids: hidden states, or logits where the head is not plain."""
        marks = batch.learnt[:, 1:]
        outputs = self._forward(batch)
        n_before = outputs.shape[1] - batch.ids.shape[1]
        return outputs[:, n_before:-1][marks], batch.ids[:, 1:][marks]

    def _forward(self, batch: LanguageBatch) -> Tensor:
        arguments: dict[str, Any] = {"input_ids": batch.ids, "use_cache": False}
        prompt = self.prompt
        n_before = 0 if prompt is None else len(prompt)
        if prompt is not None:
            embedded = self.model.get_input_embeddings()(arguments.pop("input_ids"))
            arguments["inputs_embeds"] = _behind(prompt, embedded)
        if batch.is_packed:
            # Without texts behind each other a causal mask is enough: padding on the right is never looked at.
            arguments |= self._separated(batch, n_before)
        if not self._plain_head:
            return cast("Tensor", self.model(**arguments).logits.float())
        return cast("Tensor", self.model.base_model(**arguments).last_hidden_state)

    def _separated(self, batch: LanguageBatch, n_before: int) -> dict[str, Any]:
        import torch

        allowed = batch.allowed(n_before)
        n_rows, width = batch.ids.shape
        if n_before:
            causal = torch.ones(n_before, n_before + width, dtype=torch.bool, device=batch.ids.device).tril()
            allowed = torch.cat([causal.expand(n_rows, 1, -1, -1), allowed], dim=2)
        dtype = self.model.dtype
        mask = torch.zeros(allowed.shape, dtype=dtype, device=batch.ids.device)
        mask.masked_fill_(~allowed, torch.finfo(dtype).min)
        before = torch.arange(n_before, device=batch.ids.device).expand(n_rows, -1)
        return {"attention_mask": mask, "position_ids": torch.cat([before, batch.positions + n_before], dim=1)}

    def logits(self, batch: TokenBatch) -> Tensor:
        """Return the prediction of every label, float32, shape (n_rows, n_answer, n_vocabulary)."""
        prompt = self.prompt
        return super().logits(batch) if prompt is None else self._prompted(batch, prompt)

    def _prompted(self, batch: TokenBatch, prompt: Tensor) -> Tensor:
        """Predict behind the trained prompt, which stands in front of the padding."""
        import torch

        n_before, n_answer = len(prompt), batch.labels.shape[1]
        mask = torch.cat([batch.mask.new_ones(len(batch.mask), n_before), batch.mask], dim=1)
        made = self.model(
            inputs_embeds=_behind(prompt, self.model.get_input_embeddings()(batch.ids)),
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            use_cache=False,
        ).logits
        return cast("Tensor", made[:, -n_answer - 1 : -1].float())

    def reference(self, batch: TokenBatch) -> Tensor:
        """Return what :meth:`logits` was before anything was trained; no gradient flows.

        Raises
        ------
        ConfigError
            All weights are trained, and no copy of the original was kept.
        """
        import torch

        if self.method in ("lora", "dora"):
            return super().reference(batch)
        model = self.model if self.method == "prompt" else self._original
        if model is None:
            raise ConfigError(
                "a term compares with the original, of which no copy was kept: prepare(keep_original=True)"
            )
        with torch.no_grad():
            return Adapted(_Bare(model)).logits(batch)

    @contextmanager
    def untrained(self) -> Iterator[None]:
        """Switch the updates off for a while; with all weights trained this is not possible."""
        if self.method == "full":
            raise ConfigError("all weights are trained: there is no original to go back to")
        with self.wrapped.disable_adapter():
            yield


class _Bare:
    """A language model that stands where a wrapped one is expected."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, **arguments: Any) -> Any:
        return self._model(**arguments)

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        return iter(())


def _behind(prompt: Tensor, embedded: Tensor) -> Tensor:
    import torch

    return torch.cat([prompt.to(embedded.dtype).expand(len(embedded), -1, -1), embedded], dim=1)


def _head_is_plain(model: Any) -> bool:
    """Whether logits are the head's product with the last hidden states, or scaled or capped beside."""
    import torch

    head = model.get_output_embeddings()
    if head is None or not hasattr(head, "weight"):
        return False
    ids = torch.arange(4, device=model.device)[None] % model.config.vocab_size
    with torch.no_grad():
        wanted = model(input_ids=ids, use_cache=False).logits
        found = torch.nn.functional.linear(
            model.base_model(input_ids=ids, use_cache=False).last_hidden_state, head.weight, getattr(head, "bias", None)
        )
    return wanted.shape == found.shape and bool(torch.allclose(wanted.float(), found.float(), rtol=1e-3, atol=1e-3))


def prepare(model: Any, tuning: Tuning, *, seed: int, keep_original: bool = False) -> Tuned:
    """Make a model ready to be trained; nothing of what it says has changed yet.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Is changed in place. On a CPU it attends eagerly from now on: the fused kernel's way back is slower.
    tuning : Tuning
    seed : int
        Where updates start.
    keep_original : bool
        Whether terms will compare with the original. Costs a second model where all weights are trained.

    Raises
    ------
    ConfigError
        PEFT is not installed and the method needs it.
    """
    attention = str(getattr(model.config, "_attn_implementation", None) or "eager")
    original = copy.deepcopy(model).requires_grad_(False) if keep_original and tuning.method == "full" else None
    if tuning.method in ("lora", "dora"):
        settings = AdapterSettings(tuning.rank, tuning.alpha, dora=tuning.method == "dora")
        wrapped = attach(model, settings, seed=seed).wrapped
    else:
        if model.device.type == "cpu":
            model.set_attn_implementation("eager")
        wrapped = model.requires_grad_(True) if tuning.method == "full" else _with_prompt(model, tuning, seed)
        wrapped.eval()
    if tuning.checkpointing:
        _checkpoint(model)
    return Tuned(wrapped, tuning.method, attention=attention, original=original)


def _with_prompt(model: Any, tuning: Tuning, seed: int) -> Any:
    """Put a prompt in front that begins as words of the vocabulary (Lester et al. 2021, section 3.2)."""
    import torch

    try:
        import peft
    except ImportError as error:
        raise ConfigError("a trained prompt needs PEFT: pip install 'assay[train]'") from error
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=tuning.prompt_tokens)
    with torch.random.fork_rng(devices=[]):
        wrapped = peft.get_peft_model(model, config, autocast_adapter_dtype=False)
    words = model.get_input_embeddings().weight
    drawn = torch.randperm(len(words), generator=torch.Generator().manual_seed(seed))[: tuning.prompt_tokens]
    prompt = wrapped.prompt_encoder["default"].embedding.weight
    prompt.data = words[drawn.to(words.device)].detach().clone()
    return wrapped


def _checkpoint(model: Any) -> None:
    """Switch checkpointing on, which the library ties to training mode, and every dropout off."""
    from torch import nn

    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
        for name in ("attention_dropout", "attn_dropout", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def packing_separates(tuned: Tuned) -> bool:
    """Say whether texts behind each other in a row leave each other alone, by trying it.

    Models that carry a state from token to token, such as state-space ones, do not.
    """
    n = int(tuned.model.config.vocab_size)
    rows = [TokenRow(tuple((k * i + k) % n for i in range(9)), (False, *[True] * 8)) for k in (3, 5)]
    device = tuned.model.device
    together = tuned.language_nats(as_batch([rows], pad_id=0, device=device))
    alone = [tuned.language_nats(as_batch([[row]], pad_id=0, device=device)) for row in rows]
    import torch

    return bool(torch.allclose(together, torch.cat(alone), rtol=0.02, atol=0.02))
