"""The net that learns from a teacher's vectors: its module, its loss, and batches of texts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..models.inference import length_batches
from ..models.sentences import SentenceVectors
from ..modules.awd_lstm import rounded_up
from ..text.bag_of_words import unit_rows
from ..text.token_lists import TokenLists
from .resumable import ResumableNet

# Kinds of texts that batches are of, by what the teacher says of them: so many, but none of fewer
# texts on average, which could not be sorted by their lengths.
_KINDS, _OF_A_KIND = 32, 5_000

# Texts that stand for all of them: that kinds, scales and directions are taken from.
SAMPLE = 20_000

# Batches whose texts are sorted together by their lengths.
_SORTED_TOGETHER = 10

# Texts that are held in memory at once.
BLOCK = 4096

# A text that is read in training is cut here.
_MOST_TOKENS = 128


class SentenceModule(nn.Module):
    """Vectors of words and a map of scaled pools, which add up to vectors of texts.

    Parameters
    ----------
    n_words, pooled, size : int
        Numbers of words, of pools, and of a vector's entries.
    """

    def __init__(self, n_words: int, pooled: int, size: int):
        super().__init__()
        self.words = nn.Parameter(torch.empty(n_words, size))
        self.log_weights = nn.Parameter(torch.empty(n_words))
        self.offset = nn.Parameter(torch.empty(size))
        self.map = nn.Parameter(torch.empty(pooled, size))

    @torch.no_grad()
    def begin(
        self,
        words: np.ndarray,
        weights: np.ndarray,
        offset: np.ndarray,
        of_pools: np.ndarray | None = None,
    ) -> None:
        """Take vectors of words to begin with, and a map of the pools, or nothing of them."""
        self.words.copy_(torch.from_numpy(words))
        self.log_weights.copy_(torch.from_numpy(np.log(weights)))
        self.offset.copy_(torch.from_numpy(offset))
        if of_pools is None:
            self.map.zero_()
        else:
            self.map.copy_(torch.from_numpy(of_pools))

    def keep_words(self) -> None:
        """Leave the words as they are: those of another direction's training."""
        for parameter in (self.words, self.log_weights, self.offset):
            parameter.requires_grad_(False)

    def forward(self, words: Tensor, starts: Tensor, pools: Tensor) -> Tensor:
        """Vectors of texts, shape (batch, size), of no certain length.

        Parameters
        ----------
        words : Tensor of shape (n_tokens,)
            Ids of all texts' words, one after another.
        starts : Tensor of shape (batch,)
            Where every text begins.
        pools : Tensor of shape (batch, pooled)
            Scaled.
        """
        weights = self.log_weights.exp()
        total = F.embedding_bag(words, weights.unsqueeze(1), starts, mode="sum")
        weighted = F.embedding_bag(
            words, self.words, starts, mode="sum", per_sample_weights=weights[words]
        )
        return weighted / total + self.offset + pools @ self.map

    def to_arrays(self, direction: str) -> dict[str, np.ndarray]:
        """What was learned, named as in `SentenceVectors`."""
        arrays = {
            "words": self.words,
            "weights": self.log_weights.exp(),
            "offset": self.offset,
            f"{direction}.map": self.map,
        }
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in arrays.items()}


class AgreementLoss(nn.Module):
    """One minus the mean cosine, and in training how far cosines within the batch are off.

    Parameters
    ----------
    similarities : float, default=10.0
        Weight of the mean squared difference of the cosines of all pairs.
    """

    def __init__(self, similarities: float = 10.0):
        super().__init__()
        self.similarities = similarities

    def forward(self, vectors: Tensor, targets: Tensor) -> Tensor:
        """Loss of `vectors`, both of shape (batch, size)."""
        vectors, targets = F.normalize(vectors), F.normalize(targets)
        loss = 1 - (vectors * targets).sum(dim=1).mean()
        if self.training:
            differences = vectors @ vectors.T - targets @ targets.T
            loss = loss + self.similarities * differences.square().mean()
        return loss


class SentenceNet(ResumableNet):
    """Trains a `SentenceModule` or a `SentenceEncoder` on batches of the rows of texts.

    Parameters
    ----------
    texts : TaughtTexts
    **kwargs
        Of `ResumableNet`.
    """

    def __init__(self, *args: Any, texts: TaughtTexts, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.texts = texts

    def infer(self, x: Tensor, **fit_params: Any) -> Tensor:
        vectors: Tensor = super().infer(self.texts.inputs(x.numpy()))
        return vectors

    def _loss_of_constant_answer(self, train: Dataset) -> float:
        return 1.0 + self.criterion_.similarities

    def _describe(self, batch: Any) -> str:
        return f"{len(batch[0])} texts. Lower batch_size (now {self.batch_size})"


class TaughtTexts:
    """Texts, each with the teacher's vector.

    Parameters
    ----------
    tokens : TokenLists
    targets : ndarray of shape (n_texts, n_dims)
        Both may be memory maps.
    basis : ndarray of shape (n_dims, size)
        What the targets are mapped by.
    direction : {"forward", "backward"}
        The texts are read in.
    """

    def __init__(self, tokens: TokenLists, targets: np.ndarray, basis: np.ndarray, direction: str):
        self.tokens = tokens
        self.targets = targets
        self.basis = basis
        self.direction = direction

    @property
    def size(self) -> int:
        """Length of the mapped targets."""
        return self.basis.shape[1]

    def targets_of(self, rows: np.ndarray) -> np.ndarray:
        """The teacher's vectors of some of the texts, shape (n, size)."""
        return np.asarray(self.targets[rows], dtype=np.float32) @ self.basis

    def inputs(self, rows: np.ndarray) -> dict[str, Tensor]:
        """What the module takes for some of the texts."""
        raise NotImplementedError

    @cached_property
    def kinds(self) -> np.ndarray:
        """Which of the kinds every text is of."""
        n = len(self.tokens)
        n_kinds = min(_KINDS, n // _OF_A_KIND)
        if n_kinds < 2:
            return np.zeros(n, np.uint8)
        some = np.random.default_rng(0).permutation(n)[:SAMPLE]
        found = MiniBatchKMeans(n_kinds, n_init=1, random_state=0)
        found.fit(unit_rows(self.targets_of(np.sort(some))))
        blocks = (np.arange(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK))
        return np.concatenate(
            [found.predict(unit_rows(self.targets_of(rows))).astype(np.uint8) for rows in blocks]
        )

    def in_batches(
        self, rows: np.ndarray, batch_size: int, rng: np.random.Generator | None
    ) -> list[np.ndarray]:
        """Cut rows into batches, shuffled if there is a generator.

        Of many texts most of a batch are of one kind then: what sets apart texts that are much
        alike is learned from such, pairs of any two texts hardly teach it.
        """
        if rng is None:
            return self.cut(rows, batch_size)
        order = rng.permutation(rows)
        batches = self.cut(order[np.argsort(self.kinds[order], kind="stable")], batch_size)
        return [batches[i] for i in rng.permutation(len(batches))]

    def cut(self, order: np.ndarray, batch_size: int) -> list[np.ndarray]:
        """Cut rows in this order into batches."""
        starts = range(0, len(order), batch_size)
        # In rising order: a memory map is read from front to back.
        return [np.sort(order[start : start + batch_size]) for start in starts]


class PooledTexts(TaughtTexts):
    """Texts whose pools are known, for a `SentenceModule`.

    Parameters
    ----------
    tokens, targets, basis, direction
        Of `TaughtTexts`.
    pools : ndarray of shape (n_texts, pooled)
        May be a memory map.
    scales : SentenceVectors
        Of the pools.
    """

    def __init__(
        self,
        tokens: TokenLists,
        targets: np.ndarray,
        basis: np.ndarray,
        direction: str,
        pools: np.ndarray,
        scales: SentenceVectors,
    ):
        super().__init__(tokens, targets, basis, direction)
        self.pools = pools
        self.scales = scales

    def inputs(self, rows: np.ndarray) -> dict[str, Tensor]:
        tokens = self.tokens.take(rows)
        pools = self.scales.scaled(self.direction, self.pools[rows].astype(np.float32))
        return {
            "words": torch.from_numpy(tokens.words.astype(np.int64)),
            "starts": torch.from_numpy(tokens.starts),
            "pools": torch.from_numpy(pools),
        }


class UnreadTexts(TaughtTexts):
    """Texts that a `SentenceEncoder` reads anew for every step."""

    def inputs(self, rows: np.ndarray) -> dict[str, Tensor]:
        tokens = self.tokens.take(rows)
        if self.direction == "backward":
            tokens = tokens.reversed()
        tokens = tokens.head(_MOST_TOKENS)
        ids = torch.from_numpy(tokens.padded(np.arange(len(rows))))
        n_steps = ids.shape[1]
        return {
            "ids": F.pad(ids, (0, rounded_up(n_steps, _MOST_TOKENS) - n_steps)),
            "lengths": torch.from_numpy(tokens.lengths),
            "words": torch.from_numpy(tokens.words.astype(np.int64)),
        }

    def cut(self, order: np.ndarray, batch_size: int) -> list[np.ndarray]:
        """Cut rows in this order into batches of texts of about the same length."""
        lengths, together = self.tokens.lengths, _SORTED_TOGETHER * batch_size
        return [
            batch
            for start in range(0, len(order), together)
            for batch in length_batches(lengths, order[start : start + together], batch_size)
        ]


class Rows(Dataset):
    """Some of the texts, by their rows.

    Parameters
    ----------
    texts : TaughtTexts
    rows : ndarray of int
    rng : numpy.random.Generator or None, default=None
        Shuffles them anew for every epoch; None keeps their order.
    """

    def __init__(
        self, texts: TaughtTexts, rows: np.ndarray, rng: np.random.Generator | None = None
    ):
        self.texts = texts
        self.rows = rows
        self.rng = rng

    def __len__(self) -> int:
        return len(self.rows)


class TextBatches:
    """Batches of rows and of their targets.

    Parameters
    ----------
    dataset : Rows
    batch_size : int

    Attributes
    ----------
    first_batch : int, default=0
        Where the next pass begins.
    """

    first_batch = 0

    def __init__(self, dataset: Rows, batch_size: int):
        self.dataset = dataset
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        data = self.dataset
        batches = data.texts.in_batches(data.rows, self.batch_size, data.rng)
        for rows in batches[self.first_batch :]:
            yield torch.from_numpy(rows), torch.from_numpy(data.texts.targets_of(rows))
