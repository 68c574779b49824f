"""Training with the words that occur in the texts alone.

A pretrained vocabulary has tens of thousands of words, of which a task's texts use a part. What a
classifier's training does to the others is nothing; a language model's fine-tuning learns of them
that they are rare, which is known before. So they are left out (the paper's scripts leave them out
for good): where texts are few, an optimizer's step over all words is most of the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ..modules import LanguageModel, TextClassifier
from ..text.token_lists import Selection, TokenLists

# A larger share of the vocabulary is not worth the copies.
_MOST = 0.9


def used_tokens(
    n_tokens: int, *texts: TokenLists | Selection, n_frequent: int = 0
) -> np.ndarray | None:
    """Find the ids that occur in texts.

    Parameters
    ----------
    n_tokens : int
        Size of the vocabulary.
    *texts : TokenLists or Selection
    n_frequent : int, default=0
        Take in so many ids from the vocabulary's begin, whether they occur or not: a softmax that
        never saw the language's most frequent words would no more know how likely they are.

    Returns
    -------
    ndarray of int64 or None
        In rising order. None if these are nearly all, or if the texts lie on disk: a corpus of
        that size uses them all.
    """
    if any(isinstance(part.ids, np.memmap) for part in texts):
        return None
    occurs = np.zeros(n_tokens, dtype=bool)
    occurs[:n_frequent] = True
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
def narrowed(module: LanguageModel | TextClassifier, used: np.ndarray | None) -> Iterator[None]:
    """Cut a network's vocabulary to some ids for a while, and put back what they learned.

    Parameters
    ----------
    module : LanguageModel or TextClassifier
    used : ndarray of int64 or None
        None leaves it as it is.
    """
    if used is None:
        yield
        return
    rows = torch.from_numpy(used)
    owners: list[tuple[nn.Module, str]] = [(module.encoder, "embedding")]
    owners.append((module, "bias" if isinstance(module, LanguageModel) else "token_weights"))
    whole = [getattr(owner, name) for owner, name in owners]
    sizes = module.encoder.sizes
    for (owner, name), values in zip(owners, whole, strict=True):
        part = values.detach()[rows]
        setattr(owner, name, nn.Parameter(part) if isinstance(values, nn.Parameter) else part)
    module.encoder.sizes = replace(sizes, vocab_size=len(rows))
    try:
        yield
    finally:
        for (owner, name), values in zip(owners, whole, strict=True):
            with torch.no_grad():
                values[rows] = getattr(owner, name).to(values.device)
            setattr(owner, name, values)
        module.encoder.sizes = sizes
