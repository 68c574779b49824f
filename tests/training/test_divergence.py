"""Rates that are too high: an error that says so, and never a model that predicts NaN."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from tests.helpers import banking, classifier, language_model

pytestmark = pytest.mark.filterwarnings("ignore:Training went astray")

TEXTS, LABELS = banking(3, 10)
MULTILABEL = np.c_[LABELS == "age", LABELS != "age"].astype(int)
RATES = [1.0, 1e3, 1e6, 1e10, 1e20, 1e38]
# All of the schedule at the highest rate, and no layer frozen.
FAST = {"schedule": "constant", "weight_decay": 0.01}


def small_language_model(**params):
    return language_model(emb_size=8, hidden_size=8, n_layers=1, **params)


@pytest.fixture(scope="module")
def documents():
    return small_language_model(max_epochs=1).fit(TEXTS).transform(TEXTS)


def is_told(error: FloatingPointError, lr: float) -> bool:
    """Tell whether rate, epoch and what to try are named."""
    message = str(error)
    return f"rate of {lr:.3g}" in message and "epoch " in message and "Lower lr" in message


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("y", [LABELS, MULTILABEL], ids=["classes", "multilabel"])
# With one batch there is none after the last step whose loss would show the damage.
@pytest.mark.parametrize("shape", [(1, 100), (2, 8)], ids=["one batch", "batches"])
def test_a_classifier_predicts_or_says_that_it_diverged(documents, amp, y, shape):
    told = []
    for lr in RATES:
        clf = classifier(
            lr=lr,
            amp=amp,
            max_epochs=shape[0],
            batch_size=shape[1],
            unfreeze_schedule="full",
            **FAST,
        )
        try:
            clf.fit(documents, y)
        except FloatingPointError as error:
            assert is_told(error, lr)
            assert not hasattr(clf, "trained_")
            told.append(lr)
        else:
            assert np.isfinite(clf.predict_proba(documents)).all()
            weights = clf.trained_.weights["forward"].values()
            assert all(np.isfinite(array).all() for array in weights)
    assert {1e20, 1e38} <= set(told) < set(RATES)


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("max_epochs", [1, 3])
def test_a_language_model_has_a_perplexity_or_says_that_it_diverged(amp, max_epochs):
    told = []
    for lr in RATES:
        # One batch again: a stream that no part of the texts is too short for.
        lm = small_language_model(
            lr=lr, amp=amp, max_epochs=max_epochs, batch_size=1, bptt=1000, **FAST
        )
        try:
            lm.fit(TEXTS)
        except FloatingPointError as error:
            assert is_told(error, lr)
            told.append(lr)
        else:
            assert np.isfinite(lm.perplexity(TEXTS))
            assert np.isfinite(lm.transform(TEXTS).features()).all()
    assert {1e10, 1e20, 1e38} <= set(told) < set(RATES)


class Poison(Callback):
    """Spoils a word that occurs twice only, after the last step."""

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        counts = np.bincount(dataset_train.documents.ids)
        with torch.no_grad():
            net.module_.encoder.embedding[np.flatnonzero(counts == 2)[0]] = torch.nan


def test_a_weight_that_few_texts_would_meet_is_found(documents):
    with pytest.raises(FloatingPointError, match="weights that are not finite"):
        classifier(max_epochs=1, batch_size=1, callbacks=[Poison()]).fit(documents, LABELS)


def test_a_fit_that_diverges_leaves_the_earlier_one(documents):
    clf = classifier(max_epochs=1).fit(documents, LABELS)
    before = clf.predict_proba(documents)
    with pytest.raises(FloatingPointError):
        clf.set_params(lr=1e38).partial_fit(documents, LABELS)
    np.testing.assert_array_equal(clf.predict_proba(documents), before)
    assert clf.n_epochs_ == 1


def test_no_checkpoint_holds_what_diverged(tmp_path):
    """Nor is a training that diverged in its last step taken for a completed one."""
    for run, lr in enumerate([1e20, 1e38]):
        directory = tmp_path / str(run)
        params = {"lr": lr, "checkpoint_dir": directory, "checkpoint_minutes": 0, **FAST}
        for _ in range(2):
            with pytest.raises(FloatingPointError, match="Lower lr"):
                small_language_model(max_epochs=1, batch_size=1, bptt=1000, **params).fit(TEXTS)
        for file in directory.glob("*.pt"):
            saved = torch.load(file, weights_only=True)
            assert not saved["finished"]
            assert all(torch.isfinite(weight).all() for weight in saved["module"].values())


@pytest.mark.parametrize("lr", [1000.0, 30.0])
def test_a_training_that_went_astray_says_so(documents, lr):
    with pytest.warns(RuntimeWarning, match=rf"went astray: the loss .* Lower lr \(now {lr:g}\)"):
        classifier(lr=lr, max_epochs=3, unfreeze_schedule="full").fit(documents, LABELS)


def test_a_language_model_that_went_astray_says_so():
    class Stubborn(Callback):
        def on_batch_begin(self, net, **kwargs):
            with torch.no_grad():
                net.module_.bias[0] = 8.0  # the likeliest word, always

    with pytest.warns(RuntimeWarning, match="went astray"):
        language_model(max_epochs=1, callbacks=[Stubborn()]).fit(TEXTS)
    with pytest.warns(RuntimeWarning, match="went astray") as told:
        language_model(lr=30.0, max_epochs=2).fit(TEXTS)
    assert [warning.filename for warning in told] == [__file__]
