"""Gradients of an embedding of which a training step reads few rows.

The gradient of a lookup has rows of zeros for all words that did not occur. Every lookup of a step
makes such a matrix, as large as the embedding, in fresh memory: for 30,000 words and short batches
on a CPU that takes longer than the LSTM. Instead, a lookup gives the rows that it has read (torch's
sparse gradients), and these are summed into one matrix that is kept from step to step. Optimizer
and clipping see the gradient that they always see.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..modules import AWDLSTM


@contextmanager
def gradients_of_rows(encoder: AWDLSTM) -> Iterator[None]:
    """Let lookups in the embedding of `encoder` give sparse gradients for a while.

    What comes to lie in ``embedding.grad`` is dense.

    Parameters
    ----------
    encoder : AWDLSTM
        On a CPU.
    """
    total: Tensor | None = None

    def make_dense(embedding: Tensor) -> None:
        nonlocal total
        rows = embedding.grad
        if rows is None or not rows.is_sparse:
            return  # a softmax over all words has made it dense
        total = torch.zeros_like(embedding) if total is None else total.zero_()
        # (not coalesced: that would sort the rows only for them to be added up)
        embedding.grad = total.index_add_(0, rows._indices()[0], rows._values())

    hook = encoder.embedding.register_post_accumulate_grad_hook(make_dense)
    encoder.sparse_gradients = True
    try:
        yield
    finally:
        encoder.sparse_gradients = False
        hook.remove()
