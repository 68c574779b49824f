"""skorch's scoring callbacks in the training of a classifier."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from skorch.callbacks import BatchScoring, Callback, EarlyStopping, EpochScoring

import sk_ulmfit
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(3, 20)
MULTILABEL = np.c_[LABELS == "age", LABELS != "activate", LABELS == "activate"].astype(int)


@pytest.fixture(scope="module")
def documents():
    return language_model(max_epochs=1).fit(TEXTS).transform(TEXTS)


def watched(callbacks, n_epochs, **params):
    """A classifier that sets texts aside, and trains for all epochs."""
    return classifier(
        callbacks=callbacks,
        max_epochs=n_epochs,
        early_stopping=True,
        patience=n_epochs,
        validation_fraction=0.3,
        **params,
    )


class Rows(Callback):
    """Holds every prediction against its targets."""

    def on_batch_end(self, net, batch=None, y_pred=None, training=False, **kwargs):
        inputs, y = batch
        assert len(y_pred) == len(y) == len(inputs["weights"])


@pytest.mark.parametrize("on_train", [True, False])
@pytest.mark.parametrize("params", [{}, {"r_drop": 1.0}, {"frozen_dropout": False}])
def test_scores_of_every_epoch_are_in_the_history(documents, on_train, params, tmp_path):
    scoring = {"lower_is_better": False, "on_train": on_train}
    callbacks = [EpochScoring(name, **scoring) for name in ("accuracy", "neg_log_loss")]
    callbacks += [BatchScoring("f1_macro", name="f1", **scoring), Rows()]
    clf = watched(callbacks, 30, amp=True, **params)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(LABELS))
    clf.fit(documents, LABELS, sample_weight=weights)
    accuracy = [epoch["accuracy"] for epoch in clf.history_]
    assert accuracy[-1] > 0.7 > accuracy[0] and any(e["accuracy_best"] for e in clf.history_)
    assert all(e["neg_log_loss"] < 0 and 0 <= e["f1"] <= 1 for e in clf.history_)
    clf.set_params(callbacks=None).save(tmp_path / "model")
    assert sk_ulmfit.load(tmp_path / "model").history_ == clf.history_


def negative_loss(net, X, y):
    p = net.predict_proba(X)
    return np.log(np.where(y, p, 1 - p)).mean()


@pytest.mark.parametrize(
    ("y", "scoring"),
    [
        (LABELS, "neg_log_loss"),
        (MULTILABEL, negative_loss),
        (MULTILABEL, "f1_macro"),
        (MULTILABEL, "roc_auc"),
        (LABELS, "roc_auc_ovr"),
        (LABELS == "age", "roc_auc"),
        (LABELS == "age", "f1"),
    ],
)
def test_scores_are_of_what_is_held_out(documents, y, scoring):
    callbacks = [EpochScoring(scoring, name="score", lower_is_better=False)]
    clf = watched(callbacks, 16).fit(documents, y)
    scores = [epoch["score"] for epoch in clf.history_]
    if scoring in ("neg_log_loss", negative_loss):
        losses = [epoch["valid_loss"] for epoch in clf.history_]
        np.testing.assert_allclose(scores, np.negative(losses), rtol=1e-3)
    else:
        assert scores[-1] > 0.6 and max(scores) <= 1


def test_early_stopping_may_watch_a_score(documents):
    stopping = EarlyStopping(monitor="accuracy", lower_is_better=False, patience=2)
    callbacks = [EpochScoring("accuracy", lower_is_better=False), stopping]
    clf = classifier(callbacks=callbacks, max_epochs=40, calibrate=True).fit(documents, LABELS)
    accuracy = [epoch["accuracy"] for epoch in clf.history_]
    assert len(accuracy) < 40 and max(accuracy[-2:]) <= max(accuracy[:-2])


def test_two_early_stoppings(documents):
    """The user's may watch a score of their own, which is computed before it asks for it."""
    stopping = EarlyStopping(monitor="accuracy", lower_is_better=False, patience=2)
    callbacks = [EpochScoring("accuracy", lower_is_better=False), stopping]
    clf = watched(callbacks, 40).fit(documents, LABELS)
    assert len(clf.history_) < 40 and {"accuracy", "valid_loss"} <= clf.history_[-1].keys()


class Log(Callback):
    """Holds what cannot be copied, as writers of experiment trackers do."""

    def __init__(self, lock):
        self.lock = lock
        self.losses = []

    def on_epoch_end(self, net, **kwargs):
        self.losses.append(net.history[-1, "train_loss"])


def test_callbacks_are_used_as_they_are(documents):
    log = Log(threading.Lock())
    clf = classifier(callbacks=[log], max_epochs=3).fit(documents, LABELS)
    assert log.losses == [epoch["train_loss"] for epoch in clf.history_]
    lm_log = Log(threading.Lock())
    lm = language_model(callbacks=[lm_log], max_epochs=2).fit(TEXTS)
    assert lm_log.losses == [epoch["train_loss"] for epoch in lm.history_]
