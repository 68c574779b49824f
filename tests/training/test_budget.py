"""Trainings that end within a time, whole."""

from __future__ import annotations

import itertools
import logging
import signal
import time
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback

from sk_ulmfit.training import budget, rehearsal, solved_head
from sk_ulmfit.training.net import TrainingInterrupted
from tests.helpers import banking, classifier, language_model


@pytest.fixture(scope="module")
def data():
    return banking(2, 12)


@pytest.fixture(scope="module")
def documents(data):
    """In both directions."""
    return language_model(max_epochs=1, direction="both").fit_transform(data[0])


@pytest.fixture
def ticks(monkeypatch):
    """A clock that goes on by a second whenever it is read: every step of a training takes one."""
    seconds = itertools.count().__next__
    for module in (budget, rehearsal, solved_head):
        monkeypatch.setattr(module, "clock", lambda: float(seconds()))


class EpochCounter(Callback):
    """Count epochs that begin."""

    n_epochs = 0

    def on_epoch_begin(self, net, **kwargs):
        self.n_epochs += 1


def assert_equal_weights(one, other) -> None:
    one, other = one.trained_.weights, other.trained_.weights
    assert one.keys() == other.keys() and one
    for direction, weights in one.items():
        assert weights.keys() == other[direction].keys()
        for name, array in weights.items():
            assert np.array_equal(array, other[direction][name]), name


# A classifier.


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"frozen_dropout": False, "r_drop": 1.0},
        {"unfreeze_schedule": "chain-thaw", "early_stopping": True, "patience": 50},
        {"linear_share": 0.5},
        {"head_start": "solved", "linear_share": 0.0},
    ],
    ids=lambda params: "-".join(params) or "defaults",
)
def test_classifier_is_one_of_as_many_epochs(ticks, data, documents, params):
    """Both directions are trained for equally many, and nothing random is used up by planning."""
    params = {"max_epochs": 50, **params}
    clf = classifier(time_budget=60, **params).fit(documents, data[1])
    assert 1 <= clf.n_epochs_ < 50
    plain = classifier(**{**params, "max_epochs": clf.n_epochs_}).fit(documents, data[1])
    assert clf.n_epochs_ == plain.n_epochs_ == len(clf.history_) / 2
    assert_equal_weights(clf, plain)
    for mine, its in zip(clf.history_, plain.history_, strict=True):
        assert mine == its


def test_more_time_is_never_fewer_epochs(ticks, data, documents):
    found = [
        classifier(max_epochs=20, time_budget=seconds).fit(documents, data[1]).n_epochs_
        for seconds in (50, 80, 10_000)
    ]
    assert 1 <= found[0] < found[1] < found[2] == 20


@pytest.mark.parametrize(
    "params",
    # (with a hidden layer a head is not solved for, and trained however few the texts are)
    [{"max_epochs": "auto", "head_sizes": (8,)}, {"linear_share": 0.5}],
    ids=["auto", "given"],
)
def test_no_time_for_an_epoch_leaves_the_linear_model(ticks, data, documents, params):
    clf = classifier(time_budget=20, **params).fit(documents, data[1])
    assert (clf.n_epochs_, clf.linear_share_, clf.history_) == (0, 1.0, [])
    assert clf.score(documents, data[1]) > 0.9


def test_one_epoch_where_there_is_no_linear_model(ticks, data, documents):
    with pytest.warns(UserWarning, match="time_budget is too small: an epoch of the classifier"):
        clf = classifier(time_budget=1).fit(documents, data[1])
    assert clf.n_epochs_ == 1


@pytest.mark.parametrize(("seconds", "halves"), [(90, False), (3000, True)])
def test_halves_are_trained_on_only_where_there_is_time(
    ticks, data, documents, caplog, seconds, halves
):
    clf = classifier(max_epochs=12, head_start="solved", linear_share="auto", time_budget=seconds)
    with caplog.at_level(logging.INFO, "sk_ulmfit"):
        clf.fit(documents, data[1])
    assert ("share of the linear model" in caplog.text) == halves
    assert halves or (clf.linear_share_, clf.n_epochs_ > 0) == (0.5, True)


def test_log_tells_the_plan_in_a_line(ticks, data, documents, caplog):
    with caplog.at_level(logging.INFO, "sk_ulmfit"):
        clf = classifier(max_epochs=50, time_budget=60).fit(documents, data[1])
    [line] = caplog.messages
    assert line.startswith("classifier: 50 epochs would take about")
    assert line.endswith(f"left of the time_budget: {clf.n_epochs_}")


def test_classifier_ends_in_time(data, documents):
    began = time.process_time()
    clf = classifier(max_epochs=100_000, time_budget=1).fit(documents, data[1])
    assert time.process_time() - began < 3
    assert 0 < clf.n_epochs_ < 1000
    steps = [epoch["trained_groups"] for epoch in clf.history_ if epoch["direction"] == "forward"]
    assert len(steps[0]) < len(steps[-1]), "unfrozen to its end"


def test_a_callback_meets_the_training_alone(ticks, data, documents):
    counted = EpochCounter()
    clf = classifier(max_epochs=50, time_budget=60, callbacks=[counted])
    clf.fit(documents, data[1])
    assert counted.n_epochs == 2 * clf.n_epochs_


def test_a_fit_that_goes_on_has_a_budget_of_its_own(ticks, data, documents):
    clf = classifier(max_epochs=50, time_budget=60, warm_start=True).fit(documents, data[1])
    first = clf.n_epochs_
    assert first < clf.fit(documents, data[1]).n_epochs_ < 4 * first


@pytest.mark.parametrize("params", [{}, {"linear_share": 0.5}], ids=["network", "beside"])
def test_ctrl_c_while_steps_are_tried(monkeypatch, data, documents, params):
    """It is no step of the training: there is what there was before it."""
    clf = classifier(time_budget=60, **params)

    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(rehearsal.Stopwatch, "on_batch_end", interrupted)
    with pytest.raises(TrainingInterrupted, match="what it had learned so far"):
        clf.fit(documents, data[1])
    assert (clf.n_epochs_, clf.linear_share_) == (0, float("linear_share" in params))
    assert clf.predict(documents).shape == data[1].shape
    with pytest.raises(KeyboardInterrupt):
        language_model(time_budget=60).fit(data[0])


# A language model.


@pytest.mark.parametrize(
    "params", [{"direction": "both"}, {"early_stopping": True, "patience": 50}]
)
def test_language_model_is_one_of_as_many_epochs(ticks, data, params):
    lm = language_model(max_epochs=40, time_budget=80, **params).fit(data[0])
    assert 1 <= lm.n_epochs_ < 40
    plain = language_model(max_epochs=lm.n_epochs_, **params).fit(data[0])
    assert_equal_weights(lm, plain)
    assert lm.history_ == plain.history_


def test_no_time_for_an_epoch_leaves_a_pretrained_model(ticks, data, tmp_path):
    language_model(max_epochs=0).fit(data[0]).save(tmp_path / "model")
    texts = [*data[0], "zebras zebras"]
    lm = language_model(pretrained=tmp_path / "model", time_budget=5).fit(texts)
    plain = language_model(pretrained=tmp_path / "model", max_epochs=0).fit(texts)
    assert (lm.n_epochs_, lm.vocab_) == (0, plain.vocab_)
    assert_equal_weights(lm, plain)


def test_no_time_for_an_epoch_on_texts_that_are_read_once(ticks, data, tmp_path):
    language_model(max_epochs=0).fit(data[0]).save(tmp_path / "model")
    params = {"output": "features", "pooling": "sentences", "time_budget": 5}
    lm = language_model(pretrained=tmp_path / "model", **params)
    assert lm.fit(text for text in [*data[0], "zebras zebras"]).n_epochs_ == 0
    assert np.isfinite(lm.transform(data[0])).all()


def test_from_a_random_start_there_is_an_epoch(ticks, data):
    with pytest.warns(UserWarning, match="time_budget is too small: an epoch of the language"):
        assert language_model(time_budget=5).fit(data[0]).n_epochs_ == 1


def test_language_model_ends_in_time(data):
    began = time.process_time()
    lm = language_model(max_epochs=100_000, time_budget=1).fit(data[0])
    assert time.process_time() - began < 3
    assert 0 < lm.n_epochs_ < 5000


def test_a_foreign_language_is_told_of_once(data):
    lm = language_model(min_freq=3, max_epochs=1, time_budget=60)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lm.fit([f"w{n} v{n}" for n in range(200)])
    assert len(caught) == 1


# Both.


def test_a_classifier_of_raw_texts_ends_in_time(data):
    """A third of the budget is the language model's, unless it has one."""
    recipe = language_model(max_epochs=100_000)
    clf = classifier(language_model=recipe, max_epochs=100_000, time_budget=2.4)
    began = time.process_time()
    clf.fit(*data)
    assert time.process_time() - began < 5
    assert clf.language_model_.n_epochs_ > 0 < clf.n_epochs_
    assert clf.language_model_.time_budget == pytest.approx(0.8)
    assert recipe.time_budget is None, "the user's stays as it is"
    own = clone(clf).set_params(
        max_epochs=1, language_model__time_budget=500.0, language_model__max_epochs=1
    )
    assert own.fit(*data).language_model_.time_budget == 500


def test_budgets_in_pipelines_and_searches(ticks, data, documents, tmp_path):
    steps = [
        ("lm", language_model(max_epochs=40, time_budget=80)),
        ("clf", classifier(max_epochs=50, time_budget=60)),
    ]
    pipe = clone(Pipeline(steps)).fit(*data)
    assert 1 <= pipe["lm"].n_epochs_ < 40
    assert 1 <= pipe["clf"].n_epochs_ < 50
    search = GridSearchCV(classifier(max_epochs=6), {"time_budget": [45.0, 10_000.0]}, cv=2)
    search.fit(documents, data[1])
    assert search.best_estimator_.time_budget == search.best_params_["time_budget"]


def test_partial_fit_ignores_it(ticks, data, documents):
    clf, plain = classifier(time_budget=0.1), classifier()
    assert_equal_weights(clf.partial_fit(documents, data[1]), plain.partial_fit(documents, data[1]))
    assert language_model(time_budget=0.1).partial_fit(data[0]).n_epochs_ == 1


@pytest.mark.parametrize("given", [0, -1.0, "10", float("inf"), float("nan")])
def test_what_is_no_time_is_refused(data, given):
    for estimator in (classifier(time_budget=given), language_model(time_budget=given)):
        with pytest.raises(ValueError, match="'time_budget' parameter"):
            estimator.fit(*data)


def test_numbers_of_epochs_that_are_fixed_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match=r"unfreeze_schedule=\(1, 2\) gives them"):
        classifier(time_budget=9, unfreeze_schedule=(1, 2)).fit(*data)
    kept = language_model(checkpoint_dir=tmp_path / "run")
    with pytest.raises(ValueError, match="checkpoint_dir"):
        classifier(language_model=kept, time_budget=9).fit(*data)
    with pytest.raises(ValueError, match="checkpoint_dir"):
        kept.set_params(time_budget=9).fit(data[0])
    assert not (tmp_path / "run").exists()
