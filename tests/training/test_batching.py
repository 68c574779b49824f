"""Batches: what is read, in which order, how often."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sk_ulmfit.text.token_lists import TokenLists
from sk_ulmfit.training.classifier import LabelledDocuments, LengthBatches
from sk_ulmfit.training.language_model import BPTTBatches, TextStream

EOS = 2


def documents(lengths, seed=0) -> TokenLists:
    random = np.random.default_rng(seed)
    return TokenLists.from_lists(
        [np.r_[EOS, random.integers(10, 1000, n - 1)].astype(np.int32) for n in lengths]
    )


def everything(stream: TextStream) -> np.ndarray:
    """The whole stream of one epoch."""
    return stream.read()(np.arange(len(stream) + 1))


@pytest.mark.parametrize(("batch_size", "bptt"), [(1, 7), (4, 5), (16, 70)])
def test_chunks_join_to_the_stream_and_targets_are_the_next_tokens(batch_size, bptt):
    stream = TextStream(documents([30, 1, 50, 44, 75]), eos_id=EOS)
    batches = BPTTBatches(stream, batch_size, bptt)
    chunks = list(batches)
    assert len(chunks) == len(batches)
    inputs = torch.cat([x for x, _ in chunks])
    targets = torch.cat([y for _, y in chunks])
    whole = everything(stream)
    parts = inputs.shape[1]
    assert inputs.numel() >= len(stream) - parts, "at most a token a part is left out"
    assert np.array_equal(inputs.t().flatten(), whole[: inputs.numel()])
    assert np.array_equal(targets.t().flatten(), whole[1 : inputs.numel() + 1])
    assert all(len(x) == bptt for x, _ in chunks[:-1])


def test_short_texts_make_fewer_parts_instead_of_no_batch():
    for n in (1, 2, 69, 71, 500):
        chunks = list(BPTTBatches(TextStream(documents([n]), eos_id=EOS), 64, 70))
        assert sum(x.numel() for x, _ in chunks) > n / 2
    (x, y), *_ = BPTTBatches(TextStream(documents([1]), eos_id=EOS), 64, 70)
    assert x.tolist() == [[EOS]] and y.tolist() == [[EOS]]


def test_backward_stream_is_the_forward_stream_turned_round():
    lists = documents([5, 3])
    ahead = everything(TextStream(lists, eos_id=EOS))
    assert np.array_equal(everything(TextStream(lists, eos_id=EOS, backward=True)), ahead[::-1])


def test_documents_are_shuffled_anew_each_epoch_and_repeat_with_the_seed():
    lists = documents([4] * 50)

    def epochs(seed):
        stream = TextStream(lists, eos_id=EOS, rng=np.random.default_rng(seed))
        return [everything(stream) for _ in range(2)]

    first, second = epochs(0)
    assert not np.array_equal(first, second) and np.array_equal(np.sort(first), np.sort(second))
    assert all(np.array_equal(a, b) for a, b in zip(epochs(0), (first, second), strict=True))


def labelled(lengths, rng=None) -> LabelledDocuments:
    n = len(lengths)
    return LabelledDocuments(documents(lengths), np.arange(n), np.linspace(0.5, 2, n), rng)


def test_every_document_is_in_one_batch_with_its_own_label_and_weight():
    lengths = np.random.default_rng(1).integers(1, 200, 333)
    data = labelled(lengths, np.random.default_rng(0))
    batches = LengthBatches(data, 10)
    seen = []
    for inputs, targets in batches:
        assert (inputs["lengths"].diff() <= 0).all(), "longest first"
        for row, i in enumerate(targets.tolist()):
            document = data.documents.document(i)
            assert inputs["lengths"][row] == len(document) == lengths[i]
            assert np.array_equal(inputs["ids"][row, : len(document)], document)
            assert inputs["weights"][row] == data.weights[i]
            seen.append(i)
    assert sorted(seen) == list(range(333)) and len(batches) == len(list(batches)) == 34


def test_batches_of_similar_length_hold_little_padding():
    lengths = np.random.default_rng(1).integers(1, 400, 1000)
    padded = sum(
        inputs["ids"].numel()
        for inputs, _ in LengthBatches(labelled(lengths, np.random.default_rng(0)), 32)
    )
    assert padded < 1.05 * lengths.sum()


def test_token_lists():
    lists = documents([3, 1, 4, 2])
    assert len(lists) == 4 and lists.lengths.tolist() == [3, 1, 4, 2]
    assert [lists.document(i).tolist() for i in (2, 0)] == [
        row.tolist() for row in (lists.take([2, 0]).document(0), lists.take([2, 0]).document(1))
    ]
    turned = lists.reversed()
    assert all(
        np.array_equal(turned.document(i), lists.document(i)[::-1]) for i in range(len(lists))
    )
    assert lists.head(2).lengths.tolist() == [2, 1, 2, 2] and lists.head(9) is lists
    assert len(lists.take([])) == 0
