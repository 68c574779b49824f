"""Batches for the two kinds of training: BPTT streams, and documents sorted by length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..text.token_lists import Selection, TokenLists
from .distributed import Share


class TextStream(Dataset):
    """Documents to be read as one stream of text.

    Parameters
    ----------
    documents : TokenLists or Selection
        Its ids may be a memory map: only what a batch needs is read.
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
        documents: TokenLists | Selection,
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
        return int(self.documents.lengths.sum())  # as many tokens are predicted

    def read(self) -> StreamReader:
        """Draw the order of the documents for an epoch, and open the stream."""
        n = len(self.documents)
        order = np.arange(n) if self.rng is None else self.rng.permutation(n)
        return StreamReader(self.documents, order, self.eos_id, self.backward)


class StreamReader:
    """Tokens of a text stream by their position: one more than there are predictions.

    Parameters
    ----------
    documents : TokenLists or Selection
    order : ndarray of shape (n_documents,)
        In which the documents follow one another.
    eos_id : int
    backward : bool
    """

    def __init__(
        self, documents: TokenLists | Selection, order: np.ndarray, eos_id: int, backward: bool
    ):
        self.ids = documents.ids
        self.eos_id = eos_id
        self.backward = backward
        starts = np.r_[0, np.cumsum(documents.lengths[order])]  # of documents in the stream
        self.ends = starts[1:]
        self.shifts = documents.starts[order] - starts[:-1]  # from the stream to the ids

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        last = self.ends[-1]
        if self.backward:
            positions = last - positions
        inside = np.minimum(positions, last - 1)
        document = np.searchsorted(self.ends, inside, side="right")
        tokens = self.ids[inside + self.shifts[document]].astype(np.int64)
        tokens[positions == last] = self.eos_id
        return tokens


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
    share : Share
        The parts that are read by this process, if there are several.

    Attributes
    ----------
    first_batch : int, default=0
        Where the next pass begins.
    """

    first_batch = 0

    def __init__(
        self,
        dataset: TextStream,
        batch_size: int,
        bptt: int,
        share: Share = Share(),  # noqa: B008
    ):
        self.dataset = dataset
        self.share = share
        n_tokens = len(dataset)
        # Parts shorter than a chunk would make a batch of one step each from a small text.
        n_parts = max(1, min(batch_size, n_tokens // bptt))
        if n_parts < share.count:
            raise ValueError(
                f"{share.count} processes cannot share a batch of {n_parts} parts of text: raise "
                "batch_size, train on more text, or start fewer processes."
            )
        self.n_parts = n_parts - n_parts % share.count
        self.bptt = bptt
        self.part_length = n_tokens // self.n_parts

    def __len__(self) -> int:
        return -(-self.part_length // self.bptt)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        stream = self.dataset.read()
        parts = self.part_length * np.arange(self.n_parts)[self.share.rows(self.n_parts)]
        for start in range(self.first_batch * self.bptt, self.part_length, self.bptt):
            stop = min(start + self.bptt, self.part_length)
            # Time first, and skorch weighs an epoch's losses by the first length: time steps.
            tokens = torch.from_numpy(stream[np.arange(start, stop + 1)[:, None] + parts])
            yield tokens[:-1], tokens[1:]


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

    The weights are among the inputs, so that the targets are what skorch's callbacks take them for.
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

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        data = self.dataset
        lengths = data.documents.lengths
        for batch in self.draw():
            inputs = {
                "ids": torch.from_numpy(data.documents.padded(batch)),
                "lengths": torch.from_numpy(lengths[batch]),
                "weights": data.weights[batch],
            }
            yield inputs, data.targets[batch]

    def draw(self) -> list[np.ndarray]:
        """Draw the batches of an epoch: indices of documents, of falling length."""
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
        return batches


class VectorBatches:
    """The same batches, with the documents' vectors in place of their tokens.

    Parameters
    ----------
    batches : LengthBatches
    vectors : Tensor of shape (n_documents, pooled size)
    """

    def __init__(self, batches: LengthBatches, vectors: Tensor):
        self.batches = batches
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        data = self.batches.dataset
        for batch in self.batches.draw():
            inputs = {"vectors": self.vectors[batch], "weights": data.weights[batch]}
            yield inputs, data.targets[batch]


def length_batches(lengths: np.ndarray, order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Cut `order` into batches of falling length."""
    order = order[np.argsort(-lengths[order], kind="stable")]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
