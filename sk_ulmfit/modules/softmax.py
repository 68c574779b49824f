"""The softmax over a whole vocabulary, without a matrix of all logits.

For 64 streams of 70 tokens and 30,000 words that matrix alone has half a gigabyte, and its gradient
has as much again. Here rows are taken a few at a time: their logits turn into gradients while they
are still in the cache, so that the time is that of the three matrix products and little else.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .awd_lstm import refuse_second_derivative

# Rows of logits that are there at once. A GPU wants larger products, and has room for them.
_ROWS, _ROWS_ON_GPU = 512, 2048


def linear_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of ``hidden @ weight.T + bias``.

    Exact, and differentiable once. Under autocast the products are computed in its dtype, all
    sums in float32.

    Parameters
    ----------
    hidden : Tensor of shape (n, width)
    weight : Tensor of shape (vocabulary, width)
    bias : Tensor of shape (vocabulary,)
    targets : Tensor of shape (n,)
        Words, int64.

    Returns
    -------
    Tensor of shape ()
    """
    kind = hidden.device.type
    dtype = weight.dtype
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
    # Asked here: inside of the function gradients are never enabled.
    wanted = torch.is_grad_enabled()
    with torch.autocast(kind, enabled=False):
        loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, bias, targets, dtype, wanted)
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    """The gradients are computed in the forward pass, where the logits are."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        dtype: torch.dtype,
        wanted: bool,
    ) -> Tensor:
        n, n_words = len(hidden), len(weight)
        x, w = hidden.to(dtype), weight.to(dtype)
        if wanted:
            d_hidden = torch.empty_like(x)
            d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        total = bias.new_zeros(())
        n_rows = min(n, _ROWS if hidden.device.type == "cpu" else _ROWS_ON_GPU)
        # The same memory for all chunks: new pages for each would take as long as its product.
        products = x.new_empty(n_rows, n_words)
        scores = products if dtype == bias.dtype else bias.new_empty(n_rows, n_words)
        for start in range(0, n, n_rows):
            rows = slice(start, start + n_rows)
            at_target = targets[rows].unsqueeze(1)
            product, logits = products[: len(at_target)], scores[: len(at_target)]
            # Every pass over the logits counts: where embeddings are narrow they take as long as
            # the products. So the 1/n of the mean waits for the backward pass.
            if dtype == bias.dtype:
                torch.addmm(bias, x[rows], w.t(), out=logits)
            else:
                torch.add(torch.mm(x[rows], w.t(), out=product), bias, out=logits)
            torch.log_softmax(logits, dim=1, out=logits)
            total -= logits.gather(1, at_target).sum()
            if wanted:
                # d loss / d logits = softmax - 1 at the target, for the sum of the losses
                d_logits = logits.exp_()
                d_logits.scatter_add_(1, at_target, d_logits.new_full(at_target.shape, -1))
                d_bias += d_logits.sum(dim=0)
                if dtype != bias.dtype:
                    d_logits = product.copy_(d_logits)
                torch.mm(d_logits, w, out=d_hidden[rows])
                if dtype == weight.dtype:
                    d_weight.addmm_(d_logits.t(), x[rows])
                else:
                    d_weight += d_logits.t() @ x[rows]
        if wanted:
            ctx.n = n
            ctx.save_for_backward(d_hidden.to(hidden.dtype), d_weight, d_bias)
        return total / n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        scale = grads[0] / ctx.n
        return d_hidden * scale, d_weight * scale, d_bias * scale, None, None, None
