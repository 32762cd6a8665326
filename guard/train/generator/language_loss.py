"""The language-model loss over learnt tokens, in chunks through the head, so that no whole batch of logits is held."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CHUNK", "chunked_nats", "token_nats"]

CHUNK = 256
"""Places that go through the head at once: enough to keep it busy, and 50 MB of logits at a vocabulary of 50,000."""


def chunked_nats(hidden: Tensor, head: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the summed negative log-likelihood of labels, a scalar of float32 that can be differentiated.

    Parameters
    ----------
    hidden : Tensor, shape (n, d)
        Last hidden states of the places that predict.
    head : Tensor, shape (n_vocabulary, d)
    labels : Tensor of int64, shape (n,)
    bias : Tensor, shape (n_vocabulary,), optional

    Notes
    -----
    The gradient of a chunk is made while its logits are there: ``softmax(z) - onehot(label)``, times the head. So each
    place costs the products that it costs anyhow, and memory holds one chunk (as in the fused loss of Liger Kernel, Hsu
    et al. 2024, arXiv 2410.10989, section 3.2).
    """
    found: Tensor = _function().apply(hidden, head, labels, bias)
    return found


def token_nats(hidden: Tensor, head: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the negative log-likelihood of each label, float32, shape (n,); no gradient flows."""
    import torch

    with torch.no_grad():
        parts = [
            -_chosen(_logs(hidden[start : start + CHUNK], head, bias), labels[start : start + CHUNK])
            for start in range(0, len(labels), CHUNK)
        ]
    return torch.cat(parts) if parts else hidden.new_zeros(0).float()


def _logs(hidden: Tensor, head: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``log p`` of every entry, float32, in one pass over the logits."""
    import torch
    from torch.nn import functional

    return torch.log_softmax(functional.linear(hidden, head, bias), -1, dtype=torch.float32)


def _chosen(logs: Tensor, labels: Tensor) -> Tensor:
    return logs.gather(-1, labels[:, None]).squeeze(-1)


@functools.cache
def _function() -> Any:
    """Return the function with its own way back; made on first use, since this module loads without PyTorch."""
    import torch

    class ChunkedNats(torch.autograd.Function):
        """Sum of ``-log p`` with its gradients made in the same pass."""

        @staticmethod
        def forward(ctx: Any, hidden: Tensor, head: Tensor, labels: Tensor, bias: Tensor | None) -> Tensor:
            to_hidden, to_head, to_bias = ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.needs_input_grad[3]
            d_hidden = torch.empty_like(hidden) if to_hidden else None
            d_head = torch.zeros_like(head, dtype=torch.float32) if to_head else None
            d_bias = torch.zeros_like(bias, dtype=torch.float32) if to_bias and bias is not None else None
            total = torch.zeros((), dtype=torch.float32, device=hidden.device)
            for start in range(0, len(hidden), CHUNK):
                part, wanted = hidden[start : start + CHUNK], labels[start : start + CHUNK]
                logs = _logs(part, head, bias)
                total -= _chosen(logs, wanted).sum()
                error = logs.exp_()
                error[torch.arange(len(wanted), device=error.device), wanted] -= 1
                rounded = error.to(head.dtype)
                if d_hidden is not None:
                    torch.mm(rounded, head, out=d_hidden[start : start + CHUNK])
                if d_head is not None:
                    d_head += (rounded.T @ part).float()
                if d_bias is not None:
                    d_bias += error.sum(0)
            ctx.save_for_backward(d_hidden, d_head, d_bias)
            ctx.dtypes = (head.dtype, bias.dtype if bias is not None else None)
            return total

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
            (grad,) = grads
            d_hidden, d_head, d_bias = ctx.saved_tensors
            return (
                None if d_hidden is None else d_hidden * grad.to(d_hidden.dtype),
                None if d_head is None else (d_head * grad).to(ctx.dtypes[0]),
                None,
                None if d_bias is None else (d_bias * grad).to(ctx.dtypes[1]),
            )

    return ChunkedNats
