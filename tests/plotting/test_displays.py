"""The displays: what they draw is what happened."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from sk_ulmfit import load
from sk_ulmfit.plotting import (
    LowShotDisplay,
    LRFinderDisplay,
    TrainingHistoryDisplay,
    TrainingScheduleDisplay,
)
from tests.helpers import banking, classifier, language_model

matplotlib.use("agg")  # also where there is a display

NAMES = ("embedding", "layer 1", "layer 2", "head")


class Recorder(Callback):
    """Writes down the rates of every step, and which layer groups are trained."""

    def __init__(self):
        self.rates, self.trained = [], []

    def __deepcopy__(self, memo):
        return self  # training copies its callbacks

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            groups = net.optimizer_.param_groups
            self.rates.append([group["lr"] for group in groups])
            self.trained.append([group["params"][0].requires_grad for group in groups])


@pytest.fixture
def ax():
    """Axes of a figure that pyplot knows nothing of."""
    yield Figure(layout="constrained").subplots()
    assert pyplot.get_fignums() == []


@pytest.fixture(scope="module")
def fitted():
    """Language model of both directions."""
    lm = language_model(direction="both", early_stopping=True)
    return lm.fit(banking()[0])


@pytest.fixture(scope="module")
def documents(fitted):
    return fitted.transform(banking()[0])


@pytest.fixture(scope="module")
def trained(documents):
    """Classifier of both directions, one of which was stopped early."""
    clf = classifier(early_stopping=True, max_epochs=6, patience=1)
    clf.fit(documents, banking()[1])
    assert len({epoch["direction"] for epoch in clf.history_}) == 2
    return clf


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"unfreeze_schedule": "chain-thaw", "schedule": "one_cycle", "max_epochs": 5},
        {"unfreeze_schedule": (1, 0, 2), "schedule": "cosine", "lr_decay": 1.5},
        {"unfreeze_schedule": "last", "schedule": "constant", "frozen_dropout": False},
        {"cut_frac": 0.3, "lr_ratio": 10, "early_stopping": True, "patience": 1, "lr": 0.1},
    ],
)
def test_schedule_is_that_of_the_steps_of_a_classifier(ax, params):
    texts, labels = banking()
    recorder = Recorder()
    frozen = FrozenEstimator(language_model(max_epochs=1).fit(texts))
    clf = classifier(language_model=frozen, callbacks=[recorder], **params).fit(texts, labels)
    display = TrainingScheduleDisplay.from_estimator(clf, ax=ax)
    np.testing.assert_allclose(display.learning_rates, recorder.rates, rtol=1e-9)
    np.testing.assert_array_equal(display.trained, recorder.trained)
    assert display.steps_per_epoch * clf.n_epochs_ == len(recorder.rates)
    assert display.group_names == NAMES


def test_schedule_is_that_of_the_steps_of_a_language_model(ax):
    texts = banking()[0]
    recorder = Recorder()
    scratch = language_model(callbacks=[recorder]).fit(texts)
    display = TrainingScheduleDisplay.from_estimator(scratch, ax=ax)
    np.testing.assert_allclose(display.learning_rates, recorder.rates, rtol=1e-9)
    assert np.ptp(display.learning_rates, axis=1).max() == 0, "all layers learn at lr"
    assert ax.get_legend_handles_labels()[1] == ["all layers"]

    recorder = Recorder()
    tuned = language_model(
        pretrained=FrozenEstimator(scratch), callbacks=[recorder], schedule="one_cycle"
    )
    display = TrainingScheduleDisplay.from_estimator(tuned.fit(texts), ax=ax)
    np.testing.assert_allclose(display.learning_rates, recorder.rates, rtol=1e-9)
    assert display.trained.all() and display.trained.shape == display.learning_rates.shape
    assert display.group_names == ("layer 1", "layer 2", "embedding and softmax")


def test_schedule_draws_frozen_stretches_faint(ax, documents):
    clf = classifier(unfreeze_schedule="chain-thaw").fit(documents, banking()[1])
    display = TrainingScheduleDisplay.from_estimator(clf, ax=ax)
    labels = ax.get_legend_handles_labels()[1]
    assert labels == [*reversed(NAMES)], "as they lie on one another"
    lines = {line.get_label(): line for line in ax.lines if line.get_label() in NAMES}
    for group, name in enumerate(NAMES):
        drawn = ~np.isnan(lines[name].get_ydata())
        assert drawn[display.trained[:, group]].all()
        assert drawn.sum() <= display.trained[:, group].sum() + 1  # to where the next step begins
    faint = [line for line in ax.lines if line.get_alpha()]
    assert len(faint) == 4 and not any(np.isnan(line.get_ydata()).any() for line in faint)
    assert ax.get_yscale() == "log"
    assert display.plot(Figure().subplots(), log_scale=False).ax_.get_yscale() == "linear"


def test_schedule_of_directions_that_ended_at_different_epochs(ax, trained):
    display = TrainingScheduleDisplay.from_estimator(trained, ax=ax)
    assert len(display.learning_rates) == trained.n_epochs_ * display.steps_per_epoch


def test_schedule_before_the_training(ax, documents):
    planned = TrainingScheduleDisplay.from_parameters(
        classifier(max_epochs=3), n_layers=2, steps_per_epoch=12, ax=ax
    )
    clf = classifier(max_epochs=3).fit(documents, banking()[1])
    done = TrainingScheduleDisplay.from_estimator(clf, ax=ax)
    np.testing.assert_allclose(planned.learning_rates, done.learning_rates)
    np.testing.assert_array_equal(planned.trained, done.trained)
    assert planned.group_names == done.group_names
    for pretrained, decays in [(None, False), ("en-small", True)]:
        lm = language_model(pretrained=pretrained)
        display = TrainingScheduleDisplay.from_parameters(lm, n_layers=3, steps_per_epoch=5, ax=ax)
        assert display.learning_rates.shape == (10, 4)
        assert (np.ptp(display.learning_rates, axis=1).max() > 0) == decays
    with pytest.raises(ValueError, match="must be 1 at least, got 0, 5 and 4"):
        TrainingScheduleDisplay.from_parameters(classifier(), n_layers=0, steps_per_epoch=5)


def test_a_single_step_is_seen(ax):
    TrainingScheduleDisplay.from_parameters(
        language_model(max_epochs=1), n_layers=1, steps_per_epoch=1, ax=ax
    )
    assert ax.lines[-1].get_marker() == "o"


def test_schedule_over_as_many_epochs_as_a_time_budget_allows(ax, documents):
    clf = classifier(max_epochs=100_000, time_budget=1).fit(documents, banking()[1])
    display = TrainingScheduleDisplay.from_estimator(clf, ax=ax)
    assert len(display.learning_rates) == clf.n_epochs_ * display.steps_per_epoch
    assert display.learning_rates[-1].max() < 0.1 * display.learning_rates.max()


def test_schedule_that_is_not_of_one_fit_is_refused(documents):
    labels = banking()[1]
    clf = classifier(max_epochs=1).fit(documents, labels)
    with pytest.raises(ValueError, match="parameters were changed"):
        TrainingScheduleDisplay.from_estimator(clf.set_params(lr=0.5, schedule="cosine"))
    clf.set_params(lr=0.02, schedule="slanted_triangular").partial_fit(documents, labels)
    with pytest.raises(ValueError, match="fit went on"):
        TrainingScheduleDisplay.from_estimator(clf)
    clf.set_params(max_epochs=2)
    with pytest.raises(ValueError, match="fit went on"):
        TrainingScheduleDisplay.from_estimator(clf)


def test_history_is_that_of_the_estimator(ax, trained):
    display = TrainingHistoryDisplay.from_estimator(trained, ax=ax)
    for direction in ("forward", "backward"):
        epochs = [epoch for epoch in trained.history_ if epoch["direction"] == direction]
        for losses, name in [
            (display.train_losses, "train_loss"),
            (display.valid_losses, "valid_loss"),
        ]:
            np.testing.assert_array_equal(losses[direction], [epoch[name] for epoch in epochs])
    labels = ax.get_legend_handles_labels()[1]
    assert labels == [
        f"{kind}, {direction}"
        for direction in ("forward", "backward")
        for kind in ("training", "validation")
    ]
    for line, label in zip(ax.lines, labels, strict=False):
        kind, direction = label.split(", ")
        losses = display.train_losses if kind == "training" else display.valid_losses
        np.testing.assert_array_equal(line.get_ydata(), losses[direction])
        assert line.get_xdata()[0] == 1


@pytest.mark.parametrize(
    ("schedule", "unfrozen"),
    [
        ("gradual", [(1, "head"), (2, "+ layer 2"), (3, "+ layer 1"), (4, "+ embedding")]),
        ("chain-thaw", [(1, "head"), (2, "embedding"), (3, "layer 1"), (4, "layer 2")]),
        ((2, 1, 1), [(1, "head"), (3, "+ layer 2"), (4, "all layers")]),
        ("full", []),
    ],
)
def test_history_marks_where_layers_are_unfrozen(ax, documents, schedule, unfrozen):
    clf = classifier(unfreeze_schedule=schedule).fit(documents, banking()[1])
    display = TrainingHistoryDisplay.from_estimator(clf, ax=ax)
    assert display.unfrozen == unfrozen and not display.valid_losses
    assert [text.get_text() for text in ax.texts] == [what for _, what in unfrozen]
    assert [text.xy[0] for text in ax.texts] == [epoch - 0.5 for epoch, _ in unfrozen]


def test_history_of_a_language_model_and_of_later_fits(ax, fitted):
    display = TrainingHistoryDisplay.from_estimator(fitted, ax=ax)
    assert list(display.valid_losses) == ["forward", "backward"] and not display.unfrozen
    assert ax.get_ylabel() == "Loss (nats per token)"
    more = language_model(early_stopping=True).fit(banking()[0]).partial_fit(banking()[0])
    display = TrainingHistoryDisplay.from_estimator(more, ax=ax)
    assert len(display.train_losses["forward"]) == 3
    np.testing.assert_array_equal(np.isnan(display.valid_losses["forward"]), [False, False, True])


def test_loaded_estimators_draw_the_same(ax, trained, fitted, tmp_path):
    for name, estimator in [("clf", trained), ("lm", fitted)]:
        estimator.save(tmp_path / name)
        loaded = load(tmp_path / name)
        for kind, attribute in [
            (TrainingScheduleDisplay, "learning_rates"),
            (TrainingHistoryDisplay, "train_losses"),
        ]:
            before, after = (
                getattr(kind.from_estimator(each, ax=ax), attribute) for each in (estimator, loaded)
            )
            np.testing.assert_equal(after, before)


@pytest.mark.parametrize("kind", [TrainingScheduleDisplay, TrainingHistoryDisplay])
def test_what_was_not_trained_is_refused(kind, fitted):
    with pytest.raises(NotFittedError):
        kind.from_estimator(classifier())
    with pytest.raises(TypeError, match=r"got Pipeline. Of a Pipeline hand over the step"):
        kind.from_estimator(make_pipeline(fitted, classifier()))
    as_it_is = language_model(
        pretrained=FrozenEstimator(fitted), max_epochs=0, direction="both"
    ).fit(["a text"])
    with pytest.raises(ValueError, match="has no history: it was not trained"):
        kind.from_estimator(as_it_is)


def tfidf():
    return make_pipeline(TfidfVectorizer(), LogisticRegression())


def test_low_shot_errors_are_those_of_the_draws(ax, fitted):
    texts, labels = banking()
    seen = []

    class Spy(DummyClassifier):
        def fit(self, X, y):
            seen.append((list(X), list(y)))
            return super().fit(X, y)

    ours = classifier(language_model=FrozenEstimator(fitted), max_epochs=1)
    display = LowShotDisplay.from_estimators(
        {"ULMFiT": ours, "TF-IDF": tfidf(), "none": Spy()},
        texts[:60],
        labels[:60],
        n_labels=[20, 6, 40],
        X_test=texts[60:],
        y_test=labels[60:],
        n_draws=2,
        random_state=0,
        ax=ax,
    )
    np.testing.assert_array_equal(display.n_labels, [6, 20, 40])
    assert list(display.values) == ["ULMFiT", "TF-IDF", "none"]
    assert not hasattr(ours, "trained_")
    for name, make in [("TF-IDF", tfidf), ("ULMFiT", ours.__sklearn_clone__)]:
        errors = [1 - make().fit(*drawn).score(texts[60:], labels[60:]) for drawn in seen]
        np.testing.assert_allclose(display.values[name].ravel(), errors)
    for line, values in zip(ax.lines, display.values.values(), strict=True):
        np.testing.assert_allclose(line.get_xydata().T, [[6, 20, 40], 100 * values.mean(axis=1)])
    # A larger draw contains the smaller, and each class has its share.
    for draw in range(2):
        small, middle, large = (seen[size * 2 + draw][0] for size in range(3))
        assert small == middle[:6] and middle == large[:20]
    for size, (drawn, their_labels) in zip(np.repeat([6, 20, 40], 2), seen, strict=True):
        assert len(set(drawn)) == len(drawn) == size
        counts = np.unique(their_labels, return_counts=True)[1]
        shares = np.unique(labels[:60], return_counts=True)[1] * size / 60
        assert len(counts) == 3 and np.abs(counts - shares).max() <= 2
    assert ax.get_xscale() == "log" and ax.get_ylabel() == "Test error (%)"


def test_low_shot_repeats_and_takes_any_scoring(ax, documents):
    texts, labels = banking()
    common = {"n_labels": [10, 20], "X_test": texts, "y_test": labels, "n_draws": 2, "ax": ax}

    def curve(seed, **params):
        np.random.seed(0)
        display = LowShotDisplay.from_estimators(
            {"a": tfidf()}, texts, labels, random_state=seed, **{**common, **params}
        )
        assert np.random.get_state()[2] == 624, "numpy's global state was used"
        return display

    np.testing.assert_array_equal(curve(1).values["a"], curve(1).values["a"])
    assert not np.array_equal(curve(1).values["a"], curve(2).values["a"])
    curve(None)
    scored = curve(1, scoring="f1_macro", n_jobs=2)
    assert scored.ax_.get_ylabel() == "Test f1_macro" and (scored.values["a"] <= 1).all()
    assert curve(1, scoring=lambda estimator, X, y: 7.0).values["a"].tolist() == [[7.0] * 2] * 2


def test_low_shot_with_encoded_documents_and_multilabel(ax, documents):
    labels = banking()[1]
    y = (labels[:, None] == np.unique(labels)).astype(int)
    display = LowShotDisplay.from_estimators(
        {"ULMFiT": classifier(max_epochs=1)},
        documents[:60],
        y[:60],
        n_labels=[20],
        X_test=documents[60:],
        y_test=y[60:],
        n_draws=1,
        random_state=0,
        ax=ax,
    )
    assert display.values["ULMFiT"].shape == (1, 1)
    assert not ax.collections, "one draw has no spread"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_labels": [5, 91]}, r"from 2 to the number of texts, 90, got \[5, 91\]"),
        ({"n_labels": [1]}, r"got \[1\]"),
        ({"n_labels": [0.5]}, r"got \[0.5\]"),
        ({"n_labels": []}, r"got \[\]"),
        ({"n_draws": 0}, "n_draws must be a whole number from 1 up, got 0"),
        ({"estimators": {}}, "estimators must hold a classifier at least"),
    ],
)
def test_low_shot_refuses(params, message):
    texts, labels = banking()
    estimators = {"a": tfidf()}
    given = {"estimators": estimators, "n_labels": [10], "X_test": texts, "y_test": labels}
    with pytest.raises(ValueError, match=message):
        LowShotDisplay.from_estimators(X=texts, y=labels, **{**given, **params})


def curve_display():
    rates = np.geomspace(1e-6, 1, 20)
    losses = np.r_[np.linspace(3, 1, 15), np.linspace(2, 50, 5)]
    return LRFinderDisplay(
        learning_rates=rates, losses=losses, smoothed_losses=losses, suggestion=1e-3
    )


def low_shot_display():
    n_labels = np.array([10, 100])
    return LowShotDisplay(n_labels=n_labels, values={"a": np.ones((2, 3))})


def test_new_figures_have_room_for_their_legends(trained):
    displays = [
        TrainingScheduleDisplay.from_estimator(trained),
        TrainingHistoryDisplay.from_estimator(trained),
        curve_display().plot(),
        low_shot_display().plot(),
    ]
    for display in displays:
        figure, ax = display.figure_, display.ax_
        figure.canvas.draw()
        legend, page = ax.get_legend().get_window_extent(), figure.bbox
        assert legend.x0 >= ax.get_window_extent().x1, "it covers no data"
        assert legend.x1 <= page.x1 and legend.y0 >= page.y0
        assert all(text.get_window_extent().y1 <= page.y1 for text in ax.texts)
        assert ax.get_xlabel() and ax.get_ylabel()
        pyplot.close(figure)
    assert pyplot.get_fignums() == []


def test_legend_stays_inside_where_nothing_makes_room():
    ax = Figure().subplots()
    curve_display().plot(ax)
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x1 <= ax.get_window_extent().x1


def test_curve_without_a_suggestion(ax):
    display = curve_display()
    display.suggestion = float("nan")
    assert len(display.plot(ax).ax_.lines) == 2


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for display in (curve_display(), low_shot_display()):
        with pytest.raises(ImportError, match=r"pip install sk-ulmfit\[plot\]"):
            display.plot()


def test_without_matplotlib_nothing_is_trained_first(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    texts, labels = banking()
    fits = []

    class Counted(DummyClassifier):
        def fit(self, *args, **kwargs):
            fits.append(args)
            return super().fit(*args, **kwargs)

    with pytest.raises(ImportError, match=r"pip install sk-ulmfit\[plot\]"):
        LowShotDisplay.from_estimators(
            {"a": Counted()}, texts, labels, n_labels=[10], X_test=texts, y_test=labels
        )
    assert not fits


def test_importing_the_displays_imports_neither_matplotlib_nor_torch():
    code = (
        "import sys; sys.modules['matplotlib'] = None; import sk_ulmfit.plotting; "
        "assert not {'torch', 'skorch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
