"""Applying trained networks, without the machinery of training.

Documents are computed in batches of similar length. What comes out for a document depends on
nothing else in the batch: rows never mix, padding is never read, the state starts at zero. Only
the rounding depends on a document's place among others, so batches are made of what documents say,
not of the order they come in, and equal documents are computed once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..modules import AWDLSTM, LanguageModel, TextClassifier
from ..modules.awd_lstm import rounded_up
from ..modules.classifier import pool_documents
from ..modules.softmax import linear_cross_entropy
from ..text.token_lists import TokenLists

# Rows of a batch: large matrix products are worth it, and a batch of 128 rows still fits caches.
ROWS = 128


def predict_logits(
    module: TextClassifier,
    documents: TokenLists,
    device: torch.device,
    meanings: np.ndarray | None = None,
) -> np.ndarray:
    """Logits of every document, shape (n, outputs), float32.

    Parameters
    ----------
    module : TextClassifier
    documents : TokenLists
    device : torch.device
    meanings : ndarray of shape (n, n_meaning)
        Vectors of what the documents mean, if these are an input of the head.
    """
    module.eval()

    def logits(ids: Tensor, lengths: Tensor, batch: np.ndarray) -> Tensor:
        own = None if meanings is None else torch.from_numpy(meanings[batch]).to(device)
        found: Tensor = module(ids, lengths, meaning=own)
        return found

    return _in_batches(documents, device, logits)


def head_logits(
    module: TextClassifier,
    vectors: np.ndarray,
    device: torch.device,
    meanings: np.ndarray | None = None,
) -> np.ndarray:
    """Logits of documents whose pooled `vectors` are known, shape (n, outputs), float32."""
    module.eval()
    with torch.inference_mode():
        own = None if meanings is None else torch.from_numpy(meanings).to(device)
        logits = module(vectors=torch.from_numpy(vectors).to(device), meaning=own)
        found: np.ndarray = logits.float().cpu().numpy()
    return found


def pooled_features(
    encoder: AWDLSTM,
    documents: TokenLists,
    device: torch.device,
    *,
    token_weights: Tensor,
    pooling: str,
    bptt: int,
) -> np.ndarray:
    """Vectors of every document, shape (n, pooled size), float32."""
    encoder.eval()
    weights = token_weights.to(device)
    return _in_batches(
        documents,
        device,
        lambda ids, lengths, _: pool_documents(encoder, ids, lengths, weights, pooling, bptt),
    )


def pooled_vectors(
    module: TextClassifier, documents: TokenLists, device: torch.device
) -> np.ndarray:
    """What the head of a classifier is given of every document, shape (n, pooled size)."""
    return pooled_features(
        module.encoder,
        documents,
        device,
        token_weights=module.token_weights,
        pooling=module.pooling,
        bptt=module.bptt,
    )


def _in_batches(
    documents: TokenLists,
    device: torch.device,
    compute: Callable[[Tensor, Tensor, np.ndarray], Tensor],
) -> np.ndarray:
    if not len(documents):
        raise ValueError(
            "Found array with 0 sample(s) while a minimum of 1 is required: there are no documents."
        )
    lengths = documents.lengths
    distinct, inverse = documents.distinct()
    results = []
    with torch.inference_mode():
        for start in range(0, len(distinct), ROWS):
            batch = distinct[start : start + ROWS]
            ids = torch.from_numpy(documents.padded(batch)).to(device)
            output = compute(ids, torch.from_numpy(lengths[batch]).to(device), batch)
            results.append(output.float().cpu().numpy())
    return np.concatenate(results)[inverse]


def negative_log_likelihood(
    module: LanguageModel,
    documents: TokenLists,
    device: torch.device,
    *,
    eos_id: int,
    backward: bool,
    bptt: int,
) -> tuple[float, int]:
    """Total negative log-likelihood of documents, each read from its beginning.

    Every token but the first and the document's end are predicted: as many predictions as tokens.

    Returns
    -------
    nll : float
        In nats.
    n_tokens : int
    """
    module.eval()
    documents = _with_end(documents, eos_id)
    if backward:
        documents = documents.reversed()
    lengths = documents.lengths
    total = 0.0
    with torch.inference_mode():
        for batch in length_batches(lengths, np.arange(len(documents)), ROWS):
            ids = torch.from_numpy(documents.padded(batch)).t().to(device)
            left = torch.from_numpy(lengths[batch]).to(device) - 1  # predictions
            total += _batch_nll(module, ids, left, bptt)
    return total, int(lengths.sum()) - len(documents)


def _batch_nll(module: LanguageModel, ids: Tensor, left: Tensor, bptt: int) -> float:
    state = None
    total = 0.0
    for start in range(0, len(ids) - 1, bptt):
        n_rows = int((left > start).sum())
        chunk = ids[start : start + bptt + 1]
        output = module(chunk[:-1, : rounded_up(n_rows, ids.shape[1])], state)
        state = output.state
        chunk = chunk[:, :n_rows]
        steps = torch.arange(start, start + len(chunk) - 1, device=ids.device)
        predicted = steps.unsqueeze(1) < left[:n_rows].unsqueeze(0)  # the rest is padding
        targets = chunk[1:][predicted]
        weight, bias = output.softmax_weight, output.softmax_bias
        mean = linear_cross_entropy(output.hidden[:, :n_rows][predicted], weight, bias, targets)
        total += mean.item() * len(targets)
    return total


def _with_end(documents: TokenLists, eos_id: int) -> TokenLists:
    ends = documents.offsets[1:]
    ids = np.insert(documents.ids, ends, eos_id)
    return TokenLists(ids, documents.offsets + np.arange(len(documents.offsets)))


def length_batches(lengths: np.ndarray, order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Cut `order` into batches of falling length."""
    order = order[np.argsort(-lengths[order], kind="stable")]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
