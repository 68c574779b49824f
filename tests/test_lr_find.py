"""The learning-rate range test, with real small models."""

from __future__ import annotations

import dataclasses
import doctest
import signal

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from sk_ulmfit import ULMFiTLanguageModel, lr_find, range_test
from sk_ulmfit.schedules import discriminative_rates
from tests.helpers import banking, classifier, language_model


class Recorder(Callback):
    """Writes down the rates of every step, and whether all layers are trained."""

    def __init__(self):
        self.rates, self.all_trained = [], []

    def __deepcopy__(self, memo):
        return self  # training copies its callbacks

    def __sklearn_clone__(self):
        return self

    def on_batch_end(self, net, training=False, **kwargs):
        groups = net.optimizer_.param_groups
        self.rates.append([group["lr"] for group in groups])
        self.all_trained.append(all(p.requires_grad for g in groups for p in g["params"]))


@pytest.fixture(scope="module")
def fitted():
    texts, _ = banking()
    return language_model().fit(texts)


@pytest.fixture(scope="module")
def documents(fitted):
    return fitted.transform(banking()[0])


def is_a_curve(result, n_steps=100):
    n = len(result.losses)
    assert result.learning_rates.shape == result.smoothed_losses.shape == (n,)
    np.testing.assert_allclose(result.learning_rates, np.geomspace(1e-6, 10, n_steps)[:n])
    assert np.isfinite(result.losses).all() and np.isfinite(result.smoothed_losses).all()
    assert result.suggestion in result.learning_rates
    return True


def test_finds_where_the_loss_of_a_classifier_falls(documents):
    result = lr_find(classifier(), documents, banking()[1])
    assert is_a_curve(result)
    assert 1e-4 < result.suggestion < 0.1
    assert len(result.losses) < 100, "it ends when the loss diverges"
    assert result.smoothed_losses[-1] > 1.2 * result.smoothed_losses.min()


def test_language_model():
    assert is_a_curve(lr_find(language_model(direction="both"), banking()[0], n_steps=40), 40)


def test_estimator_and_global_state_are_left_as_they_are(documents, tmp_path):
    texts, labels = banking()
    for estimator, X, y in [
        (classifier(callbacks=[Recorder()]), documents, labels),
        (language_model(checkpoint_dir=tmp_path / "run", max_epochs=0), texts, None),
    ]:
        before, numpy_state, torch_state = (
            dict(estimator.get_params()),
            np.random.get_state()[1].copy(),
            torch.get_rng_state(),
        )
        lr_find(estimator, X, y, n_steps=12)
        assert estimator.get_params() == before
        assert not hasattr(estimator, "trained_")
        assert (np.random.get_state()[1] == numpy_state).all()
        assert torch.equal(torch.get_rng_state(), torch_state)
    assert not (tmp_path / "run").exists()


def test_equal_seeds_give_equal_curves(documents):
    labels = banking()[1]
    first, second, other = (
        lr_find(classifier(random_state=seed), documents, labels, n_steps=15) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.losses, second.losses)
    assert first.suggestion == second.suggestion
    assert not np.array_equal(first.losses, other.losses)


def test_fitted_estimator_begins_afresh(documents):
    labels = banking()[1]
    clf = classifier(warm_start=True, max_epochs=1)
    first = lr_find(clf, documents, labels, n_steps=12)
    trained = clf.fit(documents, labels).trained_
    second = lr_find(clf, documents, labels, n_steps=12)
    np.testing.assert_array_equal(first.losses, second.losses)
    assert clf.trained_ is trained


@pytest.mark.parametrize("unfreeze_schedule", ["gradual", (1, 2)])
def test_all_layers_are_trained_and_keep_their_ratios(documents, unfreeze_schedule):
    recorder = Recorder()
    clf = classifier(
        unfreeze_schedule=unfreeze_schedule, lr_decay=2.0, callbacks=[recorder], early_stopping=True
    )
    result = lr_find(clf, documents, banking()[1], n_steps=15)
    assert all(recorder.all_trained)
    expected = np.outer(result.learning_rates, discriminative_rates(1.0, 4, 2.0))
    np.testing.assert_allclose(recorder.rates, expected)


def test_language_model_is_not_fine_tuned_again(documents, fitted, monkeypatch):
    texts, labels = banking()
    raw = lr_find(classifier(language_model=language_model()), texts, labels, n_steps=10)
    assert len(raw.losses) == 10

    def refuse(self, X, y=None):
        raise AssertionError("fine-tuned again")

    monkeypatch.setattr(ULMFiTLanguageModel, "fit", refuse)
    encoded = lr_find(classifier(), documents, labels, n_steps=10)
    frozen = FrozenEstimator(fitted)
    as_it_is = lr_find(classifier(language_model=frozen), texts, labels, n_steps=10)
    assert len(encoded.losses) == len(as_it_is.losses) == 10


def test_multilabel(documents):
    labels = banking()[1]
    y = (labels[:, None] == np.unique(labels)).astype(int)
    assert len(lr_find(classifier(), documents, y, n_steps=10).losses) == 10


def test_loss_that_is_not_finite_ends_the_test(documents):
    class Overflow(Callback):
        n_steps = 0

        def on_batch_end(self, net, **kwargs):
            self.n_steps += 1
            if self.n_steps == 60:
                with torch.no_grad():
                    next(net.module_.parameters()).fill_(torch.inf)

    result = lr_find(classifier(callbacks=[Overflow()]), documents, banking()[1])
    assert len(result.losses) == 60
    assert is_a_curve(result)


def test_a_callback_that_ends_the_training_at_once_is_told_from_divergence(documents):
    class Enough(Callback):
        def on_batch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(ValueError, match="callback ended the training after 0 of 100 steps"):
        lr_find(classifier(callbacks=[Enough()]), documents, banking()[1])


def test_diverging_at_once():
    with pytest.raises(ValueError, match=r"diverged within .* steps, from min_lr=1e"):
        lr_find(language_model(), banking()[0], min_lr=1e25, max_lr=1e30)


def test_language_model_below_the_classifier_that_diverges():
    texts, labels = banking()
    with pytest.raises(FloatingPointError, match="Training diverged"):
        lr_find(classifier(language_model=language_model(lr=1e30)), texts, labels)


def test_ctrl_c_is_not_swallowed(documents):
    class CtrlC(Callback):
        def on_batch_end(self, net, **kwargs):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        lr_find(classifier(callbacks=[CtrlC()]), documents, banking()[1])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"min_lr": 1.0, "max_lr": 1.0}, "min_lr must be above 0 and below max_lr"),
        ({"min_lr": 0.0}, "min_lr=0.0"),
        ({"max_lr": float("nan")}, "max_lr=nan"),
        ({"min_lr": "tiny"}, "min_lr='tiny'"),
        ({"n_steps": 9}, "n_steps must be a whole number from 10 up, got 9"),
        ({"n_steps": 20.0}, r"got 20\.0"),
    ],
)
def test_refuses_numbers_that_make_no_test(params, message):
    with pytest.raises(ValueError, match=message):
        lr_find(language_model(), ["a text"], **params)


def test_refuses_other_estimators():
    with pytest.raises(TypeError, match=r"got Pipeline. Of a Pipeline hand over the step"):
        lr_find(make_pipeline(language_model(), classifier()), ["a text"], [1])
    with pytest.raises(ValueError, match="requires y to be passed"):
        lr_find(classifier(), ["a text"])


def test_suggests_the_steepest_fall_on_the_way_down():
    rates = np.geomspace(1e-6, 1.0, 61)
    exponent = np.log10(rates)
    valley = 4 - 2 / (1 + np.exp(-4 * (exponent + 3))) + np.exp(4 * (exponent + 0.8))
    assert range_test.suggest(rates, valley) == pytest.approx(1e-3)
    plateau = valley.copy()
    plateau[5:8] += [0.5, 1.0, 0.0]  # a fall after a hard batch is steeper, but nothing learned
    assert range_test.suggest(rates, plateau) == pytest.approx(1e-3)


def test_no_suggestion_where_the_loss_only_rises():
    with pytest.warns(RuntimeWarning, match="did not fall at any learning rate"):
        assert np.isnan(range_test.suggest(np.geomspace(1e-3, 1, 10), np.arange(10.0)))


def test_smoothing_does_not_shift_the_curve():
    losses = np.full(41, 3.0)
    np.testing.assert_allclose(range_test.smooth(losses, 4.5), losses)
    losses[20] = 1.0
    smoothed = range_test.smooth(losses, 4.5)
    assert smoothed.argmin() == 20
    np.testing.assert_allclose(smoothed, smoothed[::-1])


def test_result_is_frozen_and_draws_itself(documents):
    result = lr_find(classifier(), documents, banking()[1], n_steps=30)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.suggestion = 1.0
    ax = Figure().subplots()
    display = result.plot(ax)
    assert display.ax_ is ax and display.figure_ is ax.figure
    for name in ("learning_rates", "losses", "smoothed_losses", "suggestion"):
        assert getattr(display, name) is getattr(result, name)
    losses, smoothed = ax.lines[:2]
    np.testing.assert_array_equal(losses.get_xydata().T, [result.learning_rates, result.losses])
    np.testing.assert_array_equal(smoothed.get_ydata(), result.smoothed_losses)
    assert ax.get_xscale() == "log"
    marked = [line.get_xdata()[0] for line in ax.lines[2:]]
    assert marked == [result.suggestion] * 2


def test_docstring_example():
    failed, tried = doctest.testmod(range_test)
    assert failed == 0 and tried


def test_texts_that_are_held_out_for_calibration_are_not_part_of_the_curve(documents):
    plain, calibrated = (
        lr_find(classifier(calibrate=calibrate), documents, banking()[1], n_steps=30)
        for calibrate in (False, True)
    )
    assert np.array_equal(plain.losses, calibrated.losses)
