"""Pooling over documents that are read in chunks (paper section 3.3).

The paper's vector of a document is ``[h_T, max over time, mean over time]`` of the last layer. The
pools are kept up as the chunks go by, so a document is never held in memory as a whole, and padding
never enters them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .awd_lstm import EncoderSizes

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


def pool_chunk(hidden: Tensor, weights: Tensor, remaining: Tensor, pools: Pools | None) -> Pools:
    """Add a chunk to the pools.

    Parameters
    ----------
    hidden : Tensor of shape (time, batch, width)
        Outputs of the encoder for this chunk, in float32 or float64.
    weights : Tensor of shape (time, batch)
        Of the tokens, in the weighted mean.
    remaining : Tensor of shape (batch,)
        How many tokens of each document are left at the chunk's begin, at least 1. Where it is
        less than ``time`` the rest of the row is padding.
    pools : Pools or None
        Of the chunks before; None at the beginning.
    """
    n_steps, n_rows = hidden.shape[:2]
    valid = remaining.clamp(max=n_steps)
    last = hidden[valid - 1, torch.arange(n_rows, device=hidden.device)]
    # clamp avoids asking the device whether any row is padded: a padded step is made harmless
    # for each pool instead.
    padded = torch.arange(n_steps, device=hidden.device).unsqueeze(1) >= valid.unsqueeze(0)
    weights = weights.masked_fill(padded, 0.0).unsqueeze(2)
    padded = padded.unsqueeze(2)
    kept = hidden.masked_fill(padded, 0.0)
    chunk = Pools(
        last,
        max=hidden.masked_fill(padded, -torch.inf).amax(dim=0),
        total=kept.sum(dim=0),
        weighted=(kept * weights).sum(dim=0),
        weight=weights.sum(dim=0),
    )
    if pools is None:
        return chunk
    return Pools(
        last,
        max=torch.maximum(pools.max, chunk.max),
        total=pools.total + chunk.total,
        weighted=pools.weighted + chunk.weighted,
        weight=pools.weight + chunk.weight,
    )
