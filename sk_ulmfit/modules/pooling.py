"""Pooling over documents that are read in chunks (paper section 3.3).

The paper's vector of a document is ``[h_T, max over time, mean over time]`` of the last layer. The
pools are kept up as the chunks go by, so a document is never held in memory as a whole, and padding
never enters them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .awd_lstm import EncoderSizes, full_precision, refuse_second_derivative

POOLINGS = {
    "concat": ("last", "max", "mean"),
    "mean": ("mean",),
    "max": ("max",),
    "last": ("last",),
    "concat-layers": ("max", "mean", "weighted"),
}

# A token that is as frequent as this counts half of a rare one in the weighted mean ("smooth
# inverse frequency" of Arora, Liang & Ma 2017).
HALF_WEIGHT_FREQUENCY = 1e-4


def rarity(bias: Tensor) -> Tensor:
    """Weights of the vocabulary's tokens in the weighted mean.

    Parameters
    ----------
    bias : Tensor of shape (vocabulary,)
        Of a language model's softmax: what it expects before it has read anything.

    Returns
    -------
    Tensor of shape (vocabulary,)
        Between 0 and 1.
    """
    return HALF_WEIGHT_FREQUENCY / (HALF_WEIGHT_FREQUENCY + bias.softmax(dim=0))


def pools_every_layer(pooling: str) -> bool:
    """Whether the outputs of all layers are pooled, not those of the last one alone."""
    return pooling == "concat-layers"


def pooled_size(pooling: str, sizes: EncoderSizes) -> int:
    """Length of a document's vector."""
    width = sum(sizes.widths) if pools_every_layer(pooling) else sizes.emb_size
    return len(POOLINGS[pooling]) * width


class Pools(NamedTuple):
    """Pools of the documents that are still being read, each of shape (batch, width)."""

    last: Tensor
    max: Tensor
    total: Tensor
    weighted: Tensor
    weight: Tensor  # (batch, 1): sum of the tokens' weights

    def rows(self, start: int, stop: int) -> Pools:
        """Pools of some of the documents."""
        return Pools(*(pool[start:stop] for pool in self))

    def vectors(self, lengths: Tensor, pooling: str) -> Tensor:
        """Vectors of documents with these `lengths`, shape (batch, pooled size)."""
        parts = {
            "last": self.last,
            "max": self.max,
            "mean": self.total / lengths.unsqueeze(1).to(self.total.dtype),
            "weighted": self.weighted / self.weight,
        }
        return torch.cat([parts[name] for name in POOLINGS[pooling]], dim=1)


def pool_chunk(
    outputs: Sequence[Tensor], weights: Tensor, remaining: Tensor, pools: Pools | None
) -> Pools:
    """Add a chunk to the pools.

    Parameters
    ----------
    outputs : sequence of Tensor of shape (time, batch, width)
        What the layers to pool have put out for this chunk.
    weights : Tensor of shape (time, batch)
        Of the tokens, in the weighted mean.
    remaining : Tensor of shape (batch,)
        How many tokens of each document are left at the chunk's begin, at least 1. Where it is
        less than ``time`` the rest of the row is padding.
    pools : Pools or None
        Of the chunks before; None at the beginning.
    """
    n_steps, n_rows = weights.shape
    valid = remaining.clamp(max=n_steps)
    within = torch.arange(n_steps, device=valid.device).unsqueeze(1) < valid.unsqueeze(0)
    weights = weights.masked_fill(~within, 0.0)
    rows = torch.arange(n_rows, device=valid.device)
    # A layer at a time: side by side they would be one more copy of all that is kept.
    last, highest, sums = zip(
        *(
            (full_precision(hidden[valid - 1, rows]), *_MaxAndSums.apply(hidden, within, weights))
            for hidden in outputs
        ),
        strict=True,
    )
    total, weighted = torch.cat(sums, dim=2)
    chunk = Pools(
        torch.cat(last, dim=1),
        max=torch.cat(highest, dim=1),
        total=total,
        weighted=weighted,
        weight=weights.sum(dim=0).unsqueeze(1),
    )
    if pools is None:
        return chunk
    return Pools(
        chunk.last,
        max=torch.maximum(pools.max, chunk.max),
        total=pools.total + chunk.total,
        weighted=pools.weighted + chunk.weighted,
        weight=pools.weight + chunk.weight,
    )


class _MaxAndSums(torch.autograd.Function):
    """Maximum, sum and weighted sum over time, of what is no padding.

    Keeps only what the LSTM layers keep themselves, their outputs, for the backward pass.
    Composed of torch's own functions it would keep three copies of these.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, within: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        wide = full_precision(hidden)
        highest = wide.masked_fill(~within.unsqueeze(2), -torch.inf).amax(dim=0)
        ctx.save_for_backward(hidden, highest, within, weights)
        return highest, torch.einsum("stb,tbw->sbw", _shares(within, weights, wide), wide)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        hidden, highest, within, weights = ctx.saved_tensors
        d_highest, d_sums = grads
        at_highest = (full_precision(hidden) == highest) & within.unsqueeze(2)
        # Steps with the same maximum share its gradient.
        d_highest = d_highest / at_highest.sum(dim=0)
        d_hidden = torch.einsum("stb,sbw->tbw", _shares(within, weights, d_sums), d_sums)
        d_hidden.add_(at_highest * d_highest)
        return d_hidden.to(hidden.dtype), None, None


def _shares(within: Tensor, weights: Tensor, like: Tensor) -> Tensor:
    """What a step counts in the two sums, shape (2, time, batch)."""
    return torch.stack([within.to(like.dtype), weights.to(like.dtype)])
