"""Low-rank updates on a frozen causal language model: put on, read out, put back, and switched off for reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from guard.errors import ConfigError, DataError
from guard.train.generator.examples import TokenBatch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Adapted", "AdapterSettings", "attach"]


@dataclass(frozen=True)
class AdapterSettings:
    """How large the updates are (Hu et al. 2022, arXiv 2106.09685, section 4.1).

    Parameters
    ----------
    rank : int
    alpha : float
        The update counts ``alpha / rank`` times.
    first_layer : float
        Share of the layers, from the input, that stay as they are, in [0, 1). Nothing is sent back through them, which
        saves their part of the time.
    dora : bool
        Learn the length of each output's weights apart from their direction (Liu et al. 2024, arXiv 2402.09353).
    """

    rank: int = 8
    alpha: float = 16.0
    first_layer: float = 0.0
    dora: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.first_layer < 1:
            raise ConfigError(f"{self}: rank is at least 1, alpha above 0 and first_layer in [0, 1)")


class Adapted:
    """A frozen model with trainable low-rank updates on its linear layers.

    Parameters
    ----------
    wrapped : peft.PeftModel
    attention : str
        How the model attended before it was prepared for training.

    Attributes
    ----------
    parameters : dict of str to Tensor
        The updates in float32, which an optimizer moves. The model computes with copies in its own precision: to
        convert every input of every layer took half of the time of a step.

    Notes
    -----
    With the updates switched off it is the original, so no second model is held for reference.
    """

    def __init__(self, wrapped: Any, attention: str = "eager") -> None:
        self.wrapped, self.attention = wrapped, attention
        self._live: dict[str, Tensor] = {n: value for n, value in wrapped.named_parameters() if value.requires_grad}
        self.parameters = {n: value.detach().float().clone().requires_grad_() for n, value in self._live.items()}

    @property
    def model(self) -> Any:
        """The causal language model with the updates in place, for whoever generates with it."""
        return self.wrapped.get_base_model()

    def logits(self, batch: TokenBatch) -> Tensor:
        """Return the prediction of every label, float32, shape (n_rows, n_answer, n_vocabulary)."""
        import torch

        positions = (batch.mask.cumsum(-1) - 1).clamp(min=0)
        width, n_answer = batch.ids.shape[1], batch.labels.shape[1]
        # Places and not a number of them: a slice is no whole block of memory, and its product would copy the head.
        places = torch.arange(width - n_answer - 1, width - 1, device=batch.ids.device)
        made = self.wrapped(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=positions,
            use_cache=False,
            logits_to_keep=places,
        ).logits
        return cast("Tensor", made.float())

    def reference(self, batch: TokenBatch) -> Tensor:
        """Return what :meth:`logits` would be without the updates; no gradient flows."""
        import torch

        with torch.no_grad(), self.wrapped.disable_adapter():
            return self.logits(batch)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss to those of :attr:`parameters`."""
        loss.backward()  # type: ignore[no-untyped-call]
        for name, live in self._live.items():
            if live.grad is not None:
                whole = self.parameters[name]
                whole.grad = live.grad.float() if whole.grad is None else whole.grad + live.grad.float()
                live.grad = None

    def spread(self) -> None:
        """Let the model compute with :attr:`parameters` as they are now."""
        import torch

        with torch.no_grad():
            for name, live in self._live.items():
                live.copy_(self.parameters[name])

    def tensors(self) -> dict[str, Tensor]:
        """Return a copy of the updates by name, float32."""
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put updates in place of those that are there.

        Raises
        ------
        DataError
            Names or shapes are not those of this model.
        """
        import torch

        shapes = {name: tuple(value.shape) for name, value in tensors.items()}
        if shapes != {name: tuple(value.shape) for name, value in self.parameters.items()}:
            raise DataError("the updates are not of this model and rank: start afresh, or give the settings they had")
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.copy_(tensors[name])
        self.spread()


def attach(model: Any, settings: AdapterSettings, *, seed: int) -> Adapted:
    """Put fresh updates on every linear layer of a model but its head; they change nothing yet.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Is changed in place and frozen. On a CPU it attends eagerly from now on: the fused kernel's way back is slower.
    settings : AdapterSettings
    seed : int

    Returns
    -------
    Adapted

    Raises
    ------
    ConfigError
        PEFT is not installed.
    """
    import torch

    try:
        import peft
    except ImportError as error:
        raise ConfigError("updates on a generator need PEFT: pip install 'assay[train]'") from error
    n_layers = int(model.config.num_hidden_layers)
    first = int(settings.first_layer * n_layers)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        use_dora=settings.dora,
        fan_in_fan_out=_is_transposed(model),
        target_modules=_linear_names(model),
        layers_to_transform=list(range(first, n_layers)) if first else None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # inside the fork, so that nobody else's draws change
        wrapped = peft.get_peft_model(model, config, autocast_adapter_dtype=False)
    attention = str(getattr(model.config, "_attn_implementation", None) or "eager")
    if model.device.type == "cpu":
        model.set_attn_implementation("eager")
    for value in wrapped.parameters():
        if value.requires_grad:
            value.data = value.data.to(model.dtype)
    wrapped.eval()  # no dropout: the reference and the model differ by the updates alone
    return Adapted(wrapped, attention)


def _is_transposed(model: Any) -> bool:
    """Whether linear layers are stored the other way round, as those of GPT-2 are."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in model.modules())


def _linear_names(model: Any) -> list[str]:
    """Return the last parts of the names of all linear layers but the head's."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    linear, head = (nn.Linear, Conv1D), model.get_output_embeddings()
    found = {n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, linear) and m is not head}
    return sorted(found)
