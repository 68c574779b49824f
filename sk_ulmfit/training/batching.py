"""Batches for the two kinds of training: BPTT streams, and documents sorted by length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..text.token_lists import TokenLists


class TextStream(Dataset):
    """Documents to be read as one stream of text.

    Parameters
    ----------
    documents : TokenLists
    eos_id : int
        What a document's end is told by: the token that every document begins with. The stream
        ends with one, so that the last document's end is predicted too.
    backward : bool
        Read the stream from its end.
    rng : numpy.random.Generator or None
        Shuffles the documents anew for every epoch; None keeps their order.
    """

    def __init__(
        self,
        documents: TokenLists,
        *,
        eos_id: int,
        backward: bool = False,
        rng: np.random.Generator | None = None,
    ):
        self.documents = documents
        self.eos_id = eos_id
        self.backward = backward
        self.rng = rng

    def __len__(self) -> int:
        return len(self.documents.ids)  # as many tokens are predicted

    def read(self) -> np.ndarray:
        """The stream of one epoch: one token more than there are predictions."""
        documents = self.documents
        if self.rng is not None:
            documents = documents.take(self.rng.permutation(len(documents)))
        stream = np.append(documents.ids, self.eos_id)
        return stream[::-1].copy() if self.backward else stream


class BPTTBatches:
    """Chunks of a text stream for truncated backpropagation through time.

    The stream is cut into `batch_size` parts that are read side by side, `bptt` tokens at a time:
    every batch goes on where the one before ended, so the state can be carried over.

    Parameters
    ----------
    dataset : TextStream
    batch_size : int
        Number of parts; fewer where the stream is too short to fill them.
    bptt : int
        Number of time steps in a chunk.
    """

    def __init__(self, dataset: TextStream, batch_size: int, bptt: int):
        self.dataset = dataset
        # Parts shorter than a chunk would make a batch of one step each from a small text.
        self.n_parts = max(1, min(batch_size, len(dataset) // bptt))
        self.bptt = bptt
        self.part_length = len(dataset) // self.n_parts

    def __len__(self) -> int:
        return -(-self.part_length // self.bptt)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        stream = torch.from_numpy(self.dataset.read().astype(np.int64))
        used = self.n_parts * self.part_length
        inputs = stream[:used].view(self.n_parts, -1).t().contiguous()
        targets = stream[1 : used + 1].view(self.n_parts, -1).t().contiguous()
        for start in range(0, self.part_length, self.bptt):
            stop = start + self.bptt
            # Time first, and skorch weighs an epoch's losses by the first length: time steps.
            yield inputs[start:stop], targets[start:stop]


class LabelledDocuments(Dataset):
    """Documents with targets and weights.

    Parameters
    ----------
    documents : TokenLists
    targets : ndarray of shape (n,) or (n, n_outputs)
        Class numbers, or 0/1 rows for multilabel problems.
    weights : ndarray of shape (n,)
        Weight of every document in the loss.
    rng : numpy.random.Generator or None
        Shuffles the batches; None keeps them in order of length.
    """

    def __init__(
        self,
        documents: TokenLists,
        targets: np.ndarray,
        weights: np.ndarray,
        rng: np.random.Generator | None = None,
    ):
        self.documents = documents
        self.targets = torch.from_numpy(np.ascontiguousarray(targets))
        self.weights = torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32))
        self.rng = rng

    def __len__(self) -> int:
        return len(self.documents)


class LengthBatches:
    """Batches of labelled documents of similar length, so that little of a batch is padding.

    Documents are shuffled, sorted by length within pools of many batches, cut into batches, and
    the batches are shuffled.

    Parameters
    ----------
    dataset : LabelledDocuments
    batch_size : int
    """

    POOL = 32  # batches; larger pools pad less, smaller ones mix documents better

    def __init__(self, dataset: LabelledDocuments, batch_size: int):
        self.dataset = dataset
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], tuple[Tensor, Tensor]]]:
        data = self.dataset
        lengths = data.documents.lengths
        order = np.arange(len(data)) if data.rng is None else data.rng.permutation(len(data))
        pool = self.POOL * self.batch_size if data.rng is not None else max(1, len(data))
        batches = [
            batch
            for start in range(0, len(order), pool)
            for batch in length_batches(lengths, order[start : start + pool], self.batch_size)
        ]
        if data.rng is not None:
            data.rng.shuffle(batches)
        for batch in batches:
            inputs = {
                "ids": torch.from_numpy(data.documents.padded(batch)),
                "lengths": torch.from_numpy(lengths[batch]),
            }
            yield inputs, (data.targets[batch], data.weights[batch])


def length_batches(lengths: np.ndarray, order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Cut `order` into batches of falling length."""
    order = order[np.argsort(-lengths[order], kind="stable")]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
