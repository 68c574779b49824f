"""Probabilities that say how often predictions are right."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import log_loss

from sk_ulmfit import load
from sk_ulmfit.calibration import expected_calibration_error, fit_temperature
from sk_ulmfit.models.classifier import log_probabilities
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(5, 60)


@pytest.fixture(scope="module")
def documents():
    return language_model(max_epochs=1, direction="both").fit(TEXTS).transform(TEXTS)


def drawn(temperature, multilabel=False, n=20_000):
    """Logits that are `temperature` times too large for the labels."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(n, 4))
    if multilabel:
        targets = (random.random((n, 4)) < expit(logits)).astype(np.float32)
    else:
        p = softmax(logits, axis=1)
        targets = (p.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return logits * temperature, targets


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(temperature, multilabel):
    logits, targets = drawn(temperature, multilabel)
    found = fit_temperature([logits, logits], targets, np.ones(len(targets)), multilabel)
    assert found == pytest.approx(temperature, rel=0.05)


def test_weights_count():
    too_sure, targets = drawn(3.0, n=5000)
    right, _ = drawn(1.0, n=5000)
    logits = np.concatenate([too_sure, right])
    weights = np.repeat([0.0, 1.0], 5000)
    targets = np.concatenate([targets, targets])
    assert fit_temperature([logits], targets, weights, False) == pytest.approx(1.0, rel=0.1)


def test_a_few_labels_that_are_all_right_do_not_ask_for_certainty():
    found = [
        fit_temperature([np.eye(3)[np.arange(n) % 3] * 3], np.arange(n) % 3, np.ones(n), False)
        for n in (3, 30, 3000)
    ]
    assert 1 > found[0] > 0.8 and found[0] > found[1] > found[2]
    logits = [np.eye(3) * 50]
    found = fit_temperature(logits, np.arange(3), np.ones(3), False)
    assert np.isfinite(log_probabilities(logits, found, False)).all()


def test_expected_calibration_error():
    p = np.array([[0.8, 0.2]] * 10)
    assert expected_calibration_error([0] * 8 + [1] * 2, p) == pytest.approx(0.0)
    assert expected_calibration_error([0] * 3 + [1] * 7, p) == pytest.approx(0.5)
    logits, targets = drawn(1.0)
    assert expected_calibration_error(targets, softmax(logits, axis=1)) < 0.02
    assert expected_calibration_error(targets, softmax(3 * logits, axis=1)) > 0.15
    names = np.array(["d", "c", "b", "a"])
    named = expected_calibration_error(names[targets], softmax(logits, axis=1), classes=names)
    assert named < 0.02


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match=r"classes=clf\.classes_"):
        expected_calibration_error(["a", "a"], [[0.5, 0.5], [0.1, 0.9]])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        expected_calibration_error(["a", "b"], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="0 sample"):
        expected_calibration_error([], np.empty((0, 0)))
    with pytest.raises(ValueError, match="the label 'c', which is none of the classes"):
        expected_calibration_error(["a", "c"], [[0.5, 0.5]] * 2, classes=["a", "b"])


@pytest.mark.parametrize(
    "row",
    [[1.7, 0.1], [-0.1, 1.1], [np.nan, 0.5], [np.inf, 0.0], [np.inf, -np.inf], [0.6, 0.6], [0, 0]],
)
def test_what_are_no_probabilities_is_refused(row):
    with pytest.raises(ValueError, match="y_proba has to hold probabilities"):
        expected_calibration_error(["a", "b"], [[0.5, 0.5], row])


@pytest.mark.parametrize("n_bins", [0, -1, 2.0, "15", None, 10**9, 10**400])
def test_a_number_of_bins_that_cannot_be_is_refused(n_bins):
    with pytest.raises(ValueError, match="n_bins must be a whole number from 1 to"):
        expected_calibration_error(["a", "b"], [[0.5, 0.5]] * 2, n_bins=n_bins)


@pytest.mark.parametrize("classes", [None, ["a", "b"]])
def test_labels_that_are_missing_are_told_of(classes):
    with pytest.raises(ValueError, match="y_true has texts without a label"):
        expected_calibration_error(["a", None], [[0.5, 0.5]] * 2, classes=classes)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_of_any_precision_are_taken(dtype):
    p = softmax(np.random.default_rng(0).normal(size=(50, 9)), axis=1).astype(dtype)
    assert 0 <= expected_calibration_error(np.arange(50) % 9, p) <= 1


@pytest.mark.parametrize("multilabel", [False, True])
def test_probabilities_of_two_networks_are_averaged(multilabel):
    logits = [np.random.default_rng(seed).normal(size=(5, 3)) * 3 for seed in (0, 1)]
    each = [(expit(one / 2) if multilabel else softmax(one / 2, axis=1)) for one in logits]
    np.testing.assert_allclose(np.exp(log_probabilities(logits, 2.0, multilabel)), np.mean(each, 0))


def test_calibrated_probabilities_are_nearer_to_the_truth(documents):
    train, test = np.arange(0, 200), np.arange(200, 300)
    params = {"max_epochs": 4, "validation_fraction": 0.4}  # too short a training to be sure
    clf = classifier(**params, calibrate=True).fit(documents[train], LABELS[train])
    p = clf.predict_proba(documents[test])
    uncalibrated = replace(clf.trained_, temperature=1.0)
    raw = np.exp(
        uncalibrated.log_probabilities(documents[test].tokens, torch.device("cpu"), clf.bptt)
    )
    assert clf.trained_.temperature < 0.9
    assert log_loss(LABELS[test], p) < log_loss(LABELS[test], raw)
    assert np.mean(p.argmax(axis=1) == raw.argmax(axis=1)) > 0.9
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(documents[test]), p)


def test_the_temperature_is_saved_and_kept(documents, tmp_path):
    clf = classifier(calibrate=True).fit(documents, LABELS)
    clf.save(tmp_path / "clf")
    loaded = load(tmp_path / "clf")
    assert loaded.trained_.temperature == clf.trained_.temperature != 1.0
    np.testing.assert_array_equal(loaded.predict_proba(documents), clf.predict_proba(documents))
    with pytest.warns(UserWarning, match="no effect in partial_fit"):
        clf.partial_fit(documents, LABELS)
    assert clf.trained_.temperature == 1.0, "that of other weights is forgotten"


def test_the_temperature_of_other_weights_is_forgotten(documents):
    clf = classifier(calibrate=True, warm_start=True).fit(documents, LABELS)
    assert clf.trained_.temperature != 1.0
    clf.set_params(calibrate=False).fit(documents, LABELS)
    assert clf.trained_.temperature == 1.0


def test_multilabel(documents):
    y = np.column_stack([LABELS == "age", LABELS == "atm"]).astype(int)
    clf = classifier(calibrate=True, max_epochs=6).fit(documents, y)
    assert clf.trained_.temperature != 1.0
    assert clf.predict_proba(documents).shape == (300, 2)


def test_nothing_to_calibrate_on(documents):
    clf = classifier(calibrate=True, max_epochs=1).fit(documents[:1], LABELS[:1])
    assert clf.trained_.temperature == 1.0


def test_inside_of_scikit_learns_own_calibration(documents):
    own = CalibratedClassifierCV(classifier(max_epochs=6), cv=2).fit(documents, LABELS)
    assert own.predict_proba(documents).shape == (300, 5)
    assert own.score(documents, LABELS) > 0.5
