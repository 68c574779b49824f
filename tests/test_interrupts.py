"""Ctrl-C: what was learned is kept and usable, and whatever is around the fit stops too."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.callbacks import Callback

import sk_ulmfit
from sk_ulmfit.training import solved_head
from sk_ulmfit.training.amount import CLASSIFIER_EPOCHS
from sk_ulmfit.training.net import TrainingInterrupted
from tests.helpers import banking, classifier, language_model

pytestmark = pytest.mark.one_version

ROOT = Path(__file__).parent.parent
TEXTS, LABELS = banking(2, 15)


class CtrlC(Callback):
    """A real signal, in the second epoch, to this process."""

    def __init__(self, log=None):
        self.log = log

    def on_train_begin(self, net, **kwargs):
        if self.log is not None:
            with open(self.log, "a") as file:
                file.write("began\n")

    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history) == 2:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def documents():
    lm = language_model(direction="both", emb_size=8, hidden_size=8, max_epochs=1)
    return lm.fit(TEXTS).transform(TEXTS)


@pytest.mark.parametrize("y", [LABELS, np.c_[LABELS == "age", LABELS != "age"].astype(int)])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": True},
        {"frozen_dropout": False},
        {"head_start": "solved", "linear_share": 0.0},
        {"head_start": "solved", "linear_share": 0.5},
        {"linear_share": 0.5},
    ],
)
def test_a_classifier_that_was_interrupted_is_usable(documents, y, params, tmp_path):
    clf = classifier(callbacks=[CtrlC()], max_epochs=5, calibrate=True, **params)
    with pytest.raises(KeyboardInterrupt, match="fitted with what it had learned so far"):
        clf.fit(documents, y)
    assert clf.n_epochs_ == len(clf.history_) == 1
    p = clf.predict_proba(documents)
    assert np.isfinite(p).all() and len(clf.predict(documents)) == len(TEXTS)
    clf.set_params(callbacks=None).save(tmp_path / "model")
    np.testing.assert_array_equal(sk_ulmfit.load(tmp_path / "model").predict_proba(documents), p)
    clf.set_params(calibrate=False).partial_fit(documents, y)  # trains both directions
    assert sorted(clf.trained_.weights) == ["backward", "forward"]
    p = clf.predict_proba(documents)
    clf.save(tmp_path / "model")
    np.testing.assert_array_equal(sk_ulmfit.load(tmp_path / "model").predict_proba(documents), p)


def test_going_on_keeps_what_an_interrupt_did_not_let_begin():
    """The second direction was trained by an earlier fit: it is not thrown away."""
    lm = language_model(direction="both", emb_size=8, hidden_size=8, max_epochs=2).fit(TEXTS)
    clf = classifier(max_epochs=2).fit(lm.transform(TEXTS), LABELS)
    for estimator, X, y in ((lm, TEXTS, None), (clf, lm.transform(TEXTS), LABELS)):
        before = estimator.trained_.weights
        estimator.set_params(warm_start=True, callbacks=[CtrlC()])
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(X, y)
        after = estimator.trained_.weights
        assert list(after) == ["forward", "backward"]
        name = "encoder.layers.1.weight_hh"
        assert np.array_equal(after["backward"][name], before["backward"][name])
        assert estimator is clf or not np.array_equal(
            after["forward"][name], before["forward"][name]
        )


class EndsAt(Callback):
    """Ends a training as skorch's own EarlyStopping does, in one of its first epochs."""

    def __init__(self, n_epochs, method):
        self.n_epochs = n_epochs
        self.method = method

    def end(self, net, method):
        if len(net.history) == self.n_epochs and method == self.method:
            raise KeyboardInterrupt

    def on_epoch_begin(self, net, **kwargs):
        self.end(net, "on_epoch_begin")

    def on_batch_begin(self, net, **kwargs):
        self.end(net, "on_batch_begin")

    def on_batch_end(self, net, **kwargs):
        self.end(net, "on_batch_end")


@pytest.mark.parametrize("method", ["on_epoch_begin", "on_batch_begin", "on_batch_end"])
def test_a_callback_may_end_a_training(documents, method):
    clf = classifier(callbacks=[EndsAt(3, method)], max_epochs=9).fit(documents, LABELS)
    assert list(clf.trained_.weights) == ["forward", "backward"], "it ends that direction only"
    assert clf.n_epochs_ == 2
    lm = language_model(callbacks=[EndsAt(2, method)], max_epochs=9, emb_size=8, hidden_size=8)
    assert lm.fit(TEXTS).n_epochs_ == 1
    scores = cross_val_score(clf, documents, LABELS, cv=2, error_score="raise")
    assert np.isfinite(scores).all()


class AtOnce(Callback):
    """A real signal in the first batch."""

    def on_batch_end(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


class Breaks(Callback):
    """A mistake in the first batch."""

    def on_batch_end(self, net, **kwargs):
        raise RuntimeError("broken")


def fitted_state(estimator):
    return pickle.dumps({name: v for name, v in vars(estimator).items() if name.endswith("_")})


@pytest.mark.parametrize("callback", [AtOnce, Breaks])
@pytest.mark.parametrize("stage", ["language model", "classifier", "raw texts"])
def test_a_refit_that_does_not_get_through_leaves_the_earlier_fit(stage, callback):
    sizes = {"emb_size": 8, "hidden_size": 8, "max_epochs": 1, "direction": "both"}
    lm = language_model(**sizes)
    if stage == "language model":
        estimator, broken = lm.fit(TEXTS), "callbacks"
    else:
        estimator = classifier(language_model=lm, max_epochs=2).fit(TEXTS, LABELS)
        broken = "callbacks" if stage == "classifier" else "language_model__callbacks"
    before = fitted_state(estimator)
    estimator.set_params(**{broken: [callback()]})
    with pytest.raises((KeyboardInterrupt, RuntimeError)) as raised:
        estimator.fit(TEXTS, LABELS)
    assert fitted_state(estimator) == before
    if stage != "language model":
        documents = estimator.language_model_.transform(TEXTS)
        assert np.isfinite(estimator.predict_proba(documents)).all()
    if stage == "classifier" and callback is Breaks:
        assert raised.value.language_model.perplexity(TEXTS)
    if callback is AtOnce:
        assert "as it was before" in str(raised.value)


@pytest.mark.parametrize(
    ("module", "name"), [(solved_head, "solve"), (sk_ulmfit.classifier, "warn_of_long_texts")]
)
def test_ctrl_c_before_a_training_keeps_the_language_model(monkeypatch, module, name):
    monkeypatch.setattr(module, name, lambda *args: signal.raise_signal(signal.SIGINT))
    recipe = language_model(emb_size=8, hidden_size=8, max_epochs=1)
    clf = classifier(language_model=recipe, head_start="solved")
    with pytest.raises(KeyboardInterrupt) as raised:
        clf.fit(TEXTS, LABELS)
    assert raised.value.language_model is clf.language_model_
    assert clf.language_model_.n_epochs_ == 1 and not hasattr(clf, "trained_")


def test_ctrl_c_while_the_share_is_chosen_keeps_the_training(monkeypatch, documents):
    monkeypatch.setattr(
        solved_head, "choose_share", lambda *args: signal.raise_signal(signal.SIGINT)
    )
    clf = classifier(linear_share="auto", max_epochs="auto", head_sizes=(8,), calibrate=True)
    with pytest.raises(TrainingInterrupted, match="what it had learned so far"):
        clf.fit(documents, LABELS)
    assert (clf.n_epochs_, clf.linear_share_) == (CLASSIFIER_EPOCHS, 0.5)


def test_ctrl_c_while_features_are_scaled_says_what_they_are(monkeypatch):
    monkeypatch.setattr(
        sk_ulmfit.language_model, "with_scales", lambda *args: signal.raise_signal(signal.SIGINT)
    )
    lm = language_model(output="features", pooling="sentences", emb_size=8, max_epochs=1)
    with pytest.raises(TrainingInterrupted, match="not scaled") as raised:
        lm.fit(TEXTS)
    assert raised.value.history == lm.history_ and lm.n_epochs_ == 1
    assert np.isfinite(lm.transform(TEXTS)).all()


@pytest.mark.parametrize("params", [{"max_epochs": 1}, {"head_start": "solved", "max_epochs": 0}])
def test_ctrl_c_while_a_temperature_is_fitted_keeps_the_training(monkeypatch, documents, params):
    clf = classifier(calibrate=True, **params).fit(documents, LABELS)
    stops = classifier(calibrate=True, **params)
    monkeypatch.setattr(
        sk_ulmfit.classifier, "fit_temperature", lambda *args: signal.raise_signal(signal.SIGINT)
    )
    with pytest.raises(TrainingInterrupted, match="what it had learned so far"):
        stops.fit(documents, LABELS)
    assert stops.history_ == clf.history_ and stops.trained_.temperature == 1.0
    np.testing.assert_array_equal(stops.predict(documents), clf.predict(documents))
    before = stops.trained_
    with pytest.raises(TrainingInterrupted, match="what it had learned so far"):
        stops.fit(documents, LABELS[::-1])
    assert stops.trained_ is not before


def test_a_fit_that_fails_changes_no_seed():
    """The one that goes on after it is what it would be without it."""
    lm = language_model(emb_size=8, hidden_size=8, max_epochs=1, warm_start=True).fit(TEXTS)
    other = pickle.loads(pickle.dumps(lm)).set_params(callbacks=[Breaks()])
    with pytest.raises(RuntimeError):
        other.fit(TEXTS)
    fits = [one.set_params(callbacks=None).fit(TEXTS) for one in (lm, other)]
    assert fits[0].trained_.fingerprint == fits[1].trained_.fingerprint


def test_the_message_of_a_worker_is_kept():
    sent = TrainingInterrupted([{"epoch": 1}], "Interrupted while the kettle boiled.")
    received = pickle.loads(pickle.dumps(sent))
    assert isinstance(received, KeyboardInterrupt)
    assert str(received) == str(sent) and received.history == sent.history


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_stops(documents, n_jobs, tmp_path):
    """`error_score` takes no interrupt for a failed fit, here or in a worker."""
    log = tmp_path / "log"
    clf = classifier(callbacks=[CtrlC(str(log))], max_epochs=3)
    search = GridSearchCV(clf, {"lr": [0.01, 0.02, 0.03, 0.04]}, cv=3, n_jobs=n_jobs)
    with pytest.raises(KeyboardInterrupt, match="fitted with what it had learned"):
        search.fit(documents, LABELS)
    assert not hasattr(search, "cv_results_")
    if n_jobs == 1:
        assert log.read_text() == "began\n"


SEARCH = """
import sys
from sklearn.model_selection import GridSearchCV, cross_val_score
from tests.helpers import banking, classifier, language_model
from tests.test_interrupts import Announce

texts, y = banking(2, 15)
clf = classifier(
    language_model=language_model(max_epochs=1), callbacks=[Announce(sys.argv[2])], max_epochs=2000
)
search = GridSearchCV(clf, {"lr": [0.01, 0.02]}, cv=2, n_jobs=int(sys.argv[1]))
try:
    search.fit(texts, y)
except KeyboardInterrupt:
    print("stopped")
else:
    print("finished")
"""


class Announce(Callback):
    """Tells, by a file, that a training has begun."""

    def __init__(self, path):
        self.path = path

    def on_train_begin(self, net, **kwargs):
        with open(self.path, "w") as file:
            file.write("training")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_in_a_terminal_ends_a_search(n_jobs, tmp_path):
    """As a terminal sends it: to the search and to its workers."""
    announced = tmp_path / "announced"
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(n_jobs), str(announced)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not announced.exists() and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert output.strip() == "stopped", errors
