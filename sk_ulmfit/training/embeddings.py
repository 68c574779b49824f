"""Two ways to make the training of a large embedding cheap.

*Its rows' gradients.* The gradient of a lookup has rows of zeros for all words that did not occur.
Every lookup of a step makes such a matrix, as large as the embedding, in fresh memory: for 30,000
words and short batches on a CPU that takes longer than the LSTM. Instead, a lookup gives the rows
that it has read (torch's sparse gradients), and these are summed into one matrix that is kept from
step to step. Optimizer and clipping see the gradient that they always see.

*Its words alone.* A pretrained vocabulary has tens of thousands of words, of which the texts of a
task use a part. Training a classifier changes no other: no gradient reaches them. But with them in
the network, an optimizer's step over all of them is most of the work where texts are few. So they
are left out, and nothing else changes. (A language model's softmax does learn of words that do not
occur: there they stay.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from .._compat import rows_of_gradient
from ..modules import AWDLSTM
from ..text.token_lists import TokenLists

# A larger share of the vocabulary is not worth the copies.
_MOST = 0.9


@contextmanager
def gradients_of_rows(encoder: AWDLSTM) -> Iterator[None]:
    """Sum up the sparse gradients of lookups in the embedding of `encoder` for a while.

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
        embedding.grad = total.index_add_(0, *rows_of_gradient(rows))

    hook = encoder.embedding.register_post_accumulate_grad_hook(make_dense)
    try:
        yield
    finally:
        hook.remove()


def used_tokens(n_tokens: int, *texts: TokenLists) -> np.ndarray | None:
    """Find the ids that occur in texts.

    Parameters
    ----------
    n_tokens : int
        Size of the vocabulary.
    *texts : TokenLists

    Returns
    -------
    ndarray of int64 or None
        In rising order. None if these are nearly all.
    """
    occurs = np.zeros(n_tokens, dtype=bool)
    for part in texts:
        occurs[part.ids] = True
    used = np.flatnonzero(occurs)
    return used if len(used) < _MOST * n_tokens else None


def renumbering(n_tokens: int, used: np.ndarray) -> np.ndarray:
    """Table of the ids' places in `used`, shape (n_tokens,); -1 for what is not in it."""
    table = np.full(n_tokens, -1, dtype=np.int32)
    table[used] = np.arange(len(used), dtype=np.int32)
    return table


def with_rows(whole: np.ndarray, rows: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Put the rows that were trained back among those that were not.

    Parameters
    ----------
    whole : ndarray of shape (n_tokens, width)
    rows : ndarray of int64
    learned : ndarray of shape (n_rows, width)
    """
    merged = whole.copy()
    merged[rows] = learned
    return merged
