"""The straight path from a text without its words to the text, and a class's logit along it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.classifier import TrainedClassifier
from ..modules import TextClassifier
from ..modules.classifier import pool_documents

# Tokens that are read at once, in all points of the path together: bounds the memory that it
# takes, where a document is not longer by itself.
_TOKENS_AT_ONCE = 8192

# Tokens in a chunk of a document. Where several tokens have the same maximum, as the embeddings
# of a word that occurs several times, they share its gradient evenly only within a chunk.
_CHUNK = 2048


class Reader:
    """The network of one direction, and the embeddings of a text as it reads it.

    Parameters
    ----------
    module : TextClassifier
    backward : bool
    temperature : float
        What the classifier divides logits by.
    """

    def __init__(self, module: TextClassifier, backward: bool, temperature: float):
        self.module = module
        self.backward = backward
        self.temperature = temperature

    @classmethod
    def of_all_directions(cls, trained: TrainedClassifier, device: torch.device) -> list[Reader]:
        """Build the networks of a classifier, in a mode of their own."""
        readers = []
        for direction in trained.weights:
            module = trained.module(direction, _CHUNK).to(device)
            module.requires_grad_(False).eval()
            # cuDNN has gradients for LSTMs in training only. They drop nothing by themselves.
            for layer in module.encoder.layers:
                layer.train()
            readers.append(cls(module, direction == "backward", trained.temperature))
        return readers

    def in_order(self, tokens: Tensor) -> Tensor:
        """Turn tokens, along the first axis, into the order of reading, or back."""
        return tokens.flip(0) if self.backward else tokens

    def logits(self, ids: Tensor, embedded: Tensor) -> Tensor:
        """Logits of shape (points, outputs) of embeddings of shape (points, tokens, emb_size)."""
        module, n = self.module, len(embedded)
        vectors = pool_documents(
            module.encoder,
            ids.expand(n, -1),
            torch.full((n,), len(ids), device=ids.device),
            module.token_weights,
            module.pooling,
            module.bptt,
            embedded,
        )
        logits: Tensor = module(vectors=vectors) / self.temperature
        return logits


class TextPath:
    """The straight path in the space of embeddings that ends with a text.

    At its begin all words are dropped: their embeddings are zero, as those that the embedding's
    dropout drops in training. The mark that begins every text stays.

    Parameters
    ----------
    readers : sequence of Reader
    ids : ndarray of shape (n_tokens,)
        The text.
    output : int
        Number of the class.
    multilabel : bool
    """

    def __init__(self, readers: Sequence[Reader], ids: np.ndarray, output: int, multilabel: bool):
        self.readers = readers
        self.output = output
        self.multilabel = multilabel
        self.n_tokens = len(ids)
        self.n_points = max(1, _TOKENS_AT_ONCE // len(ids))
        self.ids: list[Tensor] = []
        self.begins: list[Tensor] = []
        self.ways: list[Tensor] = []
        for reader in readers:
            table = reader.module.encoder.embedding
            in_order = torch.from_numpy(ids.astype(np.int64)).to(table.device)
            words = F.embedding(in_order, table)
            begin = torch.zeros_like(words)
            begin[0] = words[0]
            self.ids.append(reader.in_order(in_order))
            self.begins.append(reader.in_order(begin))
            self.ways.append(reader.in_order(words - begin))

    def value(self, point: float) -> float:
        """Logit of the class at a point between 0, the begin, and 1, the text."""
        with torch.no_grad():
            return float(self._log_odds(self._embedded(np.array([point]))))

    def slopes(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Share of every token in the slope, a weighted sum over points of shape (n,).

        Returns
        -------
        ndarray of shape (n_tokens,), float64
        """
        total = np.zeros(self.n_tokens)
        for start in range(0, len(points), self.n_points):
            some = slice(start, start + self.n_points)
            embedded = self._embedded(points[some])
            for at in embedded:
                at.requires_grad_()
            with torch.enable_grad():
                heights = self._log_odds(embedded)
                gradients = torch.autograd.grad(
                    heights @ heights.new_tensor(weights[some]), embedded
                )
            for reader, gradient, way in zip(self.readers, gradients, self.ways, strict=True):
                shares = reader.in_order((gradient.sum(dim=0) * way).sum(dim=1))
                total += shares.double().cpu().numpy()
        return total

    def _embedded(self, points: np.ndarray) -> list[Tensor]:
        """Embeddings at points of the path, one tensor (points, tokens, emb_size) a direction."""
        return [
            begin + begin.new_tensor(points).reshape(-1, 1, 1) * way
            for begin, way in zip(self.begins, self.ways, strict=True)
        ]

    def _log_odds(self, embedded: Sequence[Tensor]) -> Tensor:
        logits = [
            reader.logits(ids, at)
            for reader, ids, at in zip(self.readers, self.ids, embedded, strict=True)
        ]
        return log_odds(torch.stack(logits), self.output, self.multilabel)


def log_odds(logits: Tensor, output: int, multilabel: bool) -> Tensor:
    """Log-odds of the probability that a classifier gives to a class.

    Parameters
    ----------
    logits : Tensor of shape (directions, n, outputs)
    output : int
        Number of the class.
    multilabel : bool

    Returns
    -------
    Tensor of shape (n,), float64
        ``log(p / (1 - p))``, where ``p`` is the mean of the directions' probabilities. A class
        that has no other beside it has a probability of 1 whatever the text: its logit then.
    """
    logits = logits.double()
    own = logits[..., output]
    if multilabel:
        for_it, against = F.logsigmoid(own), F.logsigmoid(-own)
    elif logits.shape[-1] == 1:
        return own.mean(dim=0)
    else:
        logs = logits.log_softmax(dim=-1)
        others = torch.cat([logs[..., :output], logs[..., output + 1 :]], dim=-1)
        for_it, against = logs[..., output], others.logsumexp(dim=-1)
    return for_it.logsumexp(dim=0) - against.logsumexp(dim=0)
