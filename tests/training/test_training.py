"""Trainings as a whole: state carried, mixed precision, work that is not done."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from tests.helpers import banking, classifier, language_model


class Watch(Callback):
    """Notes what a net does. Class attributes: the estimators copy the callbacks they get."""

    states: ClassVar[list] = []
    grads: ClassVar[list] = []

    def on_train_begin(self, net, **kwargs):
        Watch.states, Watch.grads = [], []

    def on_batch_begin(self, net, training=False, **kwargs):
        state = getattr(net, "state_", None)
        Watch.states.append(None if state is None else state[0][0].clone())

    def on_grad_computed(self, net, **kwargs):
        named = net.module_.named_parameters()
        Watch.grads.append({name for name, p in named if p.grad is not None})


@pytest.fixture(scope="module")
def texts():
    return banking()[0]


def test_language_model_carries_its_state_within_an_epoch_only(texts):
    lm = language_model(max_epochs=2, callbacks=[Watch()]).fit(texts)
    starts = [i for i, state in enumerate(Watch.states) if state is None]
    assert starts == [0, len(Watch.states) // 2], "zeros at the begin of each epoch"
    assert all(state.abs().sum() > 0 for state in Watch.states if state is not None)
    assert lm.callbacks[0] is not None and not hasattr(lm.callbacks[0], "initialized_")


def test_no_gradient_is_computed_below_the_lowest_trained_layer(texts):
    documents = language_model(max_epochs=1).fit(texts).transform(texts)
    classifier(max_epochs=4, callbacks=[Watch()]).fit(documents, banking()[1])
    per_epoch = len(Watch.grads) // 4
    lowest = [min(Watch.grads[epoch * per_epoch]).split(".") for epoch in range(4)]
    assert [names[:3] for names in lowest] == [
        ["head", "blocks", "0"],
        ["encoder", "layers", "1"],
        ["encoder", "layers", "0"],
        ["encoder", "embedding"],
    ]


def test_mixed_precision_learns_and_keeps_float32_weights(texts):
    lm = language_model(amp=True, max_epochs=3).fit(texts)
    assert {array.dtype for array in lm.trained_.weights["forward"].values()} == {
        np.dtype("float32")
    }
    full = language_model(max_epochs=3).fit(texts)
    assert lm.perplexity(texts) == pytest.approx(full.perplexity(texts), rel=0.1)
    documents = lm.transform(texts)
    assert (
        classifier(amp=True, max_epochs=8)
        .fit(documents, banking()[1])
        .score(documents, banking()[1])
        > 0.6
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_the_results_of_the_cpu(texts):
    lm = language_model(device="cuda").fit(texts)
    assert lm.perplexity(texts) == pytest.approx(
        lm.set_params(device="cpu").perplexity(texts), rel=1e-4
    )


def test_devices_that_are_not_there_are_refused(texts):
    with pytest.raises(ValueError, match="device must be"):
        language_model(device="abacus").fit(texts)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device='auto'"):
            language_model(device="cuda").fit(texts)


class NoMemory(Callback):
    """Stands for a GPU that is full: torch raises this error from within a step."""

    def on_grad_computed(self, net, **kwargs):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_out_of_memory_tells_the_sizes_in_play_and_what_to_lower(texts):
    with pytest.raises(torch.cuda.OutOfMemoryError) as caught:
        language_model(callbacks=[NoMemory()]).fit(texts)
    message = str(caught.value)
    assert "4 streams of 20 tokens" in message and "batch_size (now 4)" in message
    assert "million weights" in message and "CUDA out of memory" in message
    documents = language_model(max_epochs=1).fit(texts).transform(texts)
    longest = int(documents.tokens.lengths.max())
    clf = classifier(callbacks=[NoMemory()], batch_size=len(texts))
    for r_drop in (0.0, 1.0):
        with pytest.raises(torch.cuda.OutOfMemoryError) as caught:
            clf.set_params(r_drop=r_drop).fit(documents, banking()[1])
        message = str(caught.value)
        assert f"{len(texts)} texts of up to {longest} tokens" in message
        assert "max_length" in message and ("r_drop" in message) == bool(r_drop)
