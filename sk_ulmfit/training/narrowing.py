"""Training a classifier with the words that occur in its texts alone.

A pretrained vocabulary has tens of thousands of words, of which a task's texts use a part. Training
changes no other: no gradient reaches them. But with them in the network, an optimizer's step over
all of them is most of the work where texts are few. So they are left out, and nothing else changes.
(A language model's softmax does learn of words that do not occur: there they stay.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ..modules import TextClassifier
from ..text.token_lists import TokenLists

# A larger share of the vocabulary is not worth the copies.
_MOST = 0.9


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


@contextmanager
def narrowed(module: TextClassifier, used: np.ndarray | None) -> Iterator[None]:
    """Cut a network's vocabulary to some ids for a while, and put back what they learned.

    Parameters
    ----------
    module : TextClassifier
    used : ndarray of int64 or None
        None leaves it as it is.
    """
    if used is None:
        yield
        return
    rows = torch.from_numpy(used)
    encoder, sizes = module.encoder, module.encoder.sizes
    embedding, token_weights = encoder.embedding, module.token_weights
    encoder.embedding = nn.Parameter(embedding.detach()[rows])
    encoder.sizes = replace(sizes, vocab_size=len(rows))
    module.token_weights = token_weights[rows]
    try:
        yield
    finally:
        with torch.no_grad():
            embedding[rows] = encoder.embedding.to(embedding.device)
        encoder.embedding, encoder.sizes = embedding, sizes
        module.token_weights = token_weights
