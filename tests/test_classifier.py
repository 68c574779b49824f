"""ULMFiTClassifier on real texts."""

from __future__ import annotations

import signal
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback

from sk_ulmfit import EncodedDocuments, ULMFiTClassifier
from sk_ulmfit.text.token_lists import TokenLists
from tests.helpers import ROUNDING, banking, classifier, language_model


@pytest.fixture(scope="module")
def data():
    return banking()


@pytest.fixture(scope="module")
def lm(data):
    return language_model(max_epochs=8).fit(data[0])


@pytest.fixture(scope="module")
def documents(data, lm):
    return lm.transform(data[0])


@pytest.fixture(scope="module")
def fitted(data, documents):
    # (smoothed labels would leave a loss that does not fall)
    return classifier(max_epochs=15, label_smoothing=0.0).fit(documents, data[1])


def test_learns_and_its_loss_falls(data, documents, fitted):
    assert fitted.score(documents, data[1]) > 0.8
    losses = [epoch["train_loss"] for epoch in fitted.history_]
    assert losses[-1] < 0.5 * losses[0] and fitted.n_epochs_ == 15
    assert list(fitted.classes_) == sorted(set(data[1]))
    p = fitted.predict_proba(documents)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert np.array_equal(fitted.classes_[p.argmax(1)], fitted.predict(documents))


def test_history_tells_what_was_trained_and_how_fast(fitted):
    groups = [epoch["trained_groups"] for epoch in fitted.history_]
    assert groups[:5] == [[3], [2, 3], [1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    rates = fitted.history_[-1]["lr"]
    assert rates[:-1] == pytest.approx([rates[-1] / 2.6**k for k in (3, 2, 1)])


@pytest.mark.parametrize(
    ("schedule", "n_epochs"), [("full", 2), ("last", 2), ("chain-thaw", 2), ((1, 0, 2), 3)]
)
def test_unfreeze_schedules(data, documents, lm, schedule, n_epochs):
    clf = classifier(unfreeze_schedule=schedule, max_epochs=2).fit(documents, data[1])
    assert clf.n_epochs_ == n_epochs
    same = np.array_equal(
        clf.trained_.weights["forward"]["encoder.embedding"],
        lm.trained_.weights["forward"]["encoder.embedding"],
    )
    assert same == (schedule == "last")


def test_raw_texts_in_one_estimator(data):
    texts, y = data
    unfitted = language_model()
    clf = classifier(language_model=unfitted).fit(texts, y)
    assert clf.score(texts, y) > 0.4
    assert not hasattr(unfitted, "trained_"), "the parameter is cloned, not fitted"
    assert clf.language_model_.perplexity(texts) < len(clf.language_model_.vocab_)


def test_frozen_language_model_is_used_as_it_is(data, lm):
    clf = classifier(language_model=FrozenEstimator(lm), max_epochs=1).fit(*data)
    assert clf.language_model_.trained_ is lm.trained_


def test_a_fitted_classifier_stays_as_it_is_whatever_becomes_of_the_language_model(data):
    texts, y = data
    own = language_model(max_epochs=1).fit(texts)
    clf = classifier(language_model=FrozenEstimator(own), max_epochs=1).fit(texts, y)
    expected = clf.predict_proba(texts)
    own.fit(["Something else entirely, with other words."] * 5)
    np.testing.assert_array_equal(clf.predict_proba(texts), expected)
    clf.set_params(pooling="last", head_sizes=(7,))
    np.testing.assert_array_equal(clf.predict_proba(texts), expected)


@pytest.mark.parametrize(("n_classes", "width"), [(3, 50), (40, 80), (300, 500)])
def test_the_head_is_no_narrower_than_twice_the_classes(n_classes, width, data, lm):
    clf = classifier(language_model=FrozenEstimator(lm), max_epochs=1)
    assert clf.head_sizes == "auto"
    texts = data[0] * 4
    y = np.arange(len(texts)) % n_classes
    assert clf.fit(texts, y).trained_.head_sizes == (width,)
    clf.set_params(head_sizes=(7, 5))
    assert clf.fit(texts, y).trained_.head_sizes == (7, 5)


def test_trained_language_model_keeps_its_direction(data, tmp_path):
    texts, y = data
    language_model(direction="backward", max_epochs=1).fit(texts).save(tmp_path / "lm")
    clf = classifier(language_model=tmp_path / "lm", max_epochs=1).fit(texts[:20], y[:20])
    assert clf.language_model_.direction == "backward"
    assert list(clf.trained_.weights) == ["backward"]


def test_what_a_language_model_is_for_has_to_be_said(data, lm, tmp_path):
    """Whether it was fitted before changes no meaning: a search would clone it, and unfit it."""
    texts, y = data[0][:30], data[1][:30]
    message = r"FrozenEstimator\(language_model\).*as it is.*save\(\).*weights.*clone\(\)"
    with pytest.raises(ValueError, match=message):
        classifier(language_model=lm, max_epochs=1).fit(texts, y)
    with pytest.raises(ValueError, match=message):
        classifier(language_model=lm, max_epochs=1).partial_fit(texts, y)
    # The three ways out.
    lm.save(tmp_path / "lm")
    recipe = language_model(pretrained=FrozenEstimator(lm), max_epochs=1)
    for given in (FrozenEstimator(lm), tmp_path / "lm", clone(lm), recipe):
        search = GridSearchCV(classifier(language_model=given, max_epochs=1), {"lr": [0.01]}, cv=2)
        found = search.fit(texts, y).best_estimator_.language_model_
        assert found.trained_.n_layers == lm.n_layers


def test_nested_parameters_mean_what_they_say(data):
    texts, y = data[0][:30], data[1][:30]
    clf = classifier(language_model=language_model(), max_epochs=1)
    grid = {"language_model__max_epochs": [3]}
    search = GridSearchCV(clf, grid, cv=2, error_score="raise").fit(texts, y)
    assert search.best_estimator_.language_model_.n_epochs_ == 3
    for given in ("en-small", None):
        with pytest.raises(ValueError, match=r"language_model=ULMFiTLanguageModel\(\)"):
            classifier(language_model=given).set_params(language_model__max_epochs=1)
    nested = {"language_model": language_model(), "language_model__max_epochs": 7}
    assert classifier().set_params(**nested).language_model.max_epochs == 7
    with pytest.raises(ValueError, match="Invalid parameter"):
        classifier().set_params(langauge_model__max_epochs=1)


def test_pipeline_gives_what_the_single_estimator_gives(data):
    texts, y = data
    pipe = Pipeline([("lm", language_model()), ("clf", classifier())]).fit(texts, y)
    lm = language_model().fit(texts)
    alone = classifier(language_model=FrozenEstimator(lm)).fit(texts, y)
    np.testing.assert_array_equal(pipe.predict_proba(texts), alone.predict_proba(texts))
    documents = lm.transform(texts)
    np.testing.assert_array_equal(
        pipe.predict_proba(texts), classifier().fit(documents, y).predict_proba(documents)
    )


def test_one_document_one_answer():
    """Alone, or among 1,000 documents of 1 to 2,000 tokens in any order: the same to rounding."""
    words = " ".join(banking(5, 40)[0]).split()
    random = np.random.default_rng(0)
    lengths = np.r_[1, 2, 2000, random.integers(1, 2000, 997)]
    texts = [" ".join(random.choice(words, n - 1)) for n in lengths]
    lm = language_model().fit(texts[3:60])
    y = random.integers(0, 3, 1000)
    clf = classifier(max_epochs=2, max_length=40).fit(lm.transform(texts[:200]), y[:200])
    clf.set_params(max_length=None)
    together = clf.predict_proba(lm.transform(texts))
    assert np.ptp(together, axis=0).min() > 1e-3, "the documents must differ for this to mean much"
    order = random.permutation(1000)
    np.testing.assert_allclose(
        clf.predict_proba(lm.transform([texts[i] for i in order])), together[order], atol=ROUNDING
    )
    some = np.r_[0, 1, 2, random.choice(1000, 60, replace=False)]
    alone = np.vstack([clf.predict_proba(lm.transform([texts[i]])) for i in some])
    np.testing.assert_allclose(alone, together[some], rtol=0, atol=ROUNDING)
    clf.bptt = 33
    np.testing.assert_allclose(
        clf.predict_proba(lm.transform(texts[:50])), together[:50], atol=ROUNDING
    )


def test_the_order_of_documents_changes_no_bit(lm, fitted):
    texts = banking(5, 40)[0]
    texts = [*texts, *texts[:20]]  # some of them twice
    p = fitted.predict_proba(lm.transform(texts))
    order = np.random.default_rng(0).permutation(len(texts))
    turned = lm.transform([texts[i] for i in order])
    np.testing.assert_array_equal(fitted.predict_proba(turned), p[order])
    np.testing.assert_array_equal(p[-20:], p[:20])


def test_directions_are_averaged(data):
    texts, y = data
    lm = language_model(direction="both").fit(texts)
    documents = lm.transform(texts)
    clf = classifier(max_epochs=3).fit(documents, y)
    both = clf.predict_proba(documents)
    kept, parts = clf.trained_.weights, []
    for direction in ("forward", "backward"):
        clf.trained_ = replace(clf.trained_, weights={direction: kept[direction]})
        parts.append(clf.predict_proba(documents))
    assert not np.allclose(parts[0], parts[1], atol=1e-3)
    np.testing.assert_allclose(both, (parts[0] + parts[1]) / 2, atol=1e-7)
    assert {epoch["direction"] for epoch in clf.history_} == {"forward", "backward"}


def test_long_documents_are_read_to_their_end(data):
    filler = " ".join(banking()[0])[:2500]
    texts = [f"{filler} {word}" for word in ["yes", "no"] * 10]
    y = [word for word in ["yes", "no"] * 10]
    lm = language_model(max_epochs=0).fit(texts)
    clf = classifier(
        max_epochs=15,
        pooling="last",
        unfreeze_schedule="full",
        dropout_mult=0,
        label_smoothing=0,
        batch_size=5,
    )
    documents = lm.transform(texts)
    assert clf.fit(documents, y).score(documents, y) == 1.0
    cut = clf.set_params(max_length=200).fit(documents, y)
    assert len(np.unique(cut.predict(documents))) == 1, "without their end they are all the same"


@pytest.mark.parametrize("y", [[0, 1, 2], [1.0, 2.0, 3.0], ["a", "b", "c"], [True, False, True]])
def test_labels_of_any_kind(y):
    texts = ["one fish", "two fish", "red fish"]
    clf = classifier(language_model=language_model(), max_epochs=1).fit(texts, y)
    assert (
        set(clf.predict(texts)) <= set(np.unique(y))
        and clf.predict(texts).dtype == np.array(y).dtype
    )


def test_texts_without_a_label_train_the_language_model_only(data):
    texts, y = data
    some = np.where(np.arange(len(y)) < 60, y.astype(object), None)
    clf = classifier(language_model=language_model()).fit(texts, some)
    assert list(clf.classes_) == sorted(set(y))
    lm = language_model().fit(texts)
    assert clf.language_model_.trained_.fingerprint == lm.trained_.fingerprint
    numbers = np.where(np.arange(len(y)) < 60, np.unique(y, return_inverse=True)[1], -1)
    documents = lm.transform(texts)
    with pytest.warns(UserWarning, match="texts have y == -1") as told:
        unlabelled = classifier().fit(documents, numbers)
    assert [warning.filename for warning in told] == [__file__]
    labelled = classifier().fit(documents[:60], numbers[:60])
    np.testing.assert_array_equal(
        unlabelled.predict_proba(documents), labelled.predict_proba(documents)
    )


def test_multilabel(data, documents):
    y = np.c_[data[1] == "age", data[1] != "activate"].astype(int)
    clf = classifier(max_epochs=10).fit(documents, y)
    p = clf.predict_proba(documents)
    assert p.shape == y.shape and np.array_equal(clf.predict(documents), (p > 0.5).astype(int))
    assert (clf.predict(documents) == y).mean() > 0.85


def test_weights_move_predictions(data, documents):
    y = data[1]
    plain = classifier().fit(documents, y).predict_proba(documents).mean(0)
    heavy = (
        classifier(class_weight={"age": 20.0}).fit(documents, y).predict_proba(documents).mean(0)
    )
    column = list(np.unique(y)).index("age")
    assert heavy[column] > plain[column] + 0.1
    zero = classifier().fit(documents, y, sample_weight=(y != "age").astype(float))
    without = classifier().fit(documents[y != "age"], y[y != "age"])
    assert zero.predict_proba(documents)[:, column].mean() < plain[column]
    assert list(without.classes_) == [c for c in np.unique(y) if c != "age"]


class HeldOut(Callback):
    """Writes down the texts that are held out."""

    seen: ClassVar[list[set[tuple[int, ...]]]] = []

    def on_train_begin(self, net, X=None, **kwargs):
        held_out = net.train_split(X)[1].documents
        self.seen.append({tuple(held_out.document(i)) for i in range(len(held_out))})


@pytest.mark.parametrize("random_state", [0, None])
def test_a_fit_that_goes_on_holds_out_the_same_texts(documents, data, random_state):
    HeldOut.seen.clear()
    options = {"warm_start": True, "max_epochs": 1, "early_stopping": True}
    clf = classifier(**options, callbacks=[HeldOut()], random_state=random_state)
    for _ in range(2):
        clf.fit(documents, data[1])
    first, second = HeldOut.seen
    assert first == second and len(first) > 1


def test_what_cannot_work_is_told_before_the_language_model_is_trained(data):
    class Never(Callback):
        def on_train_begin(self, net, **kwargs):
            raise AssertionError("training began")

    lm = language_model(callbacks=[Never()])
    for wrong, named in (
        ({"unfreeze_schedule": (1,) * 5}, "5 steps, but there are only 4"),
        ({"device": "cuda:99"}, "cuda:99"),
    ):
        with pytest.raises((ValueError, RuntimeError), match=named):
            classifier(language_model=lm, **wrong).fit(*data)
    with pytest.raises(ValueError, match="5 steps, but there are only 4"):
        classifier(language_model="en-small", unfreeze_schedule=(1,) * 5).fit(*data)


def test_partial_fit_and_warm_start(data, documents):
    y = data[1]
    clf = classifier()
    losses = [
        clf.partial_fit(documents, y, classes=np.unique(y)).history_[-1]["train_loss"]
        for _ in range(4)
    ]
    assert losses[-1] < losses[0]
    with pytest.raises(ValueError, match="not the same as in the first call"):
        clf.partial_fit(documents, y, classes=["x"])
    with pytest.raises(ValueError, match="not among the classes"):
        clf.partial_fit(documents[:1], ["new"])
    some = np.flatnonzero(y == y[0])[:5]  # a batch that lacks classes
    clf.set_params(class_weight={"age": 2.0}).partial_fit(documents[some], y[some])
    clf.partial_fit(documents[some], y[some])
    assert clf.n_epochs_ == 6 == len(clf.history_)
    warm = classifier(warm_start=True, max_epochs=6, unfreeze_schedule="full").fit(documents, y)
    first = warm.history_[-1]["train_loss"]
    assert warm.fit(documents, y).history_[-1]["train_loss"] < first


def test_an_error_in_stage_3_does_not_take_the_language_model(data):
    clf = classifier(language_model=language_model(max_epochs=1), lr=1e30)
    with pytest.raises(FloatingPointError, match="diverged") as raised:
        clf.fit(*data)
    assert "FrozenEstimator(estimator.language_model_)" in raised.value.__notes__[0]
    with pytest.raises(NotFittedError):
        clf.predict(data[0])
    frozen = FrozenEstimator(clf.language_model_)
    assert clf.set_params(language_model=frozen, lr=0.02).fit(*data).language_model_.history_


@pytest.mark.parametrize("changed", [{"pooling": "mean"}, {"head_sizes": (7,)}])
def test_a_fit_that_goes_on_refuses_another_head(data, documents, changed):
    clf = classifier(warm_start=True, max_epochs=1).fit(documents, data[1])
    before = clf.predict_proba(documents)
    clf.set_params(**changed)
    for method in (clf.fit, clf.partial_fit):
        with pytest.raises(ValueError, match=f"{next(iter(changed))}.*cannot change"):
            method(documents, data[1])
    np.testing.assert_array_equal(clf.predict_proba(documents), before)
    clf.set_params(warm_start=False).fit(documents, data[1])


def test_early_stopping(data, documents):
    params = {"early_stopping": True, "lr": 0.02, "schedule": "constant"}
    clf = classifier(max_epochs=40, patience=2, **params).fit(documents, data[1])
    valid = [epoch["valid_loss"] for epoch in clf.history_]
    best = int(np.argmin(valid)) + 1
    assert len(valid) < 40 and len(valid) == best + 2
    stopped_there = classifier(max_epochs=best, patience=40, **params).fit(documents, data[1])
    np.testing.assert_array_equal(
        clf.predict_proba(documents), stopped_there.predict_proba(documents)
    )


def test_documents_of_another_language_model_are_refused(data, fitted):
    other = language_model(random_state=5).fit(data[0])
    with pytest.raises(ValueError, match="another language model"):
        fitted.predict(other.transform(data[0]))


def test_bad_labels_are_refused_in_words(data, documents):
    y = data[1]
    for wrong, message in [
        (None, "requires y"),
        (y[:-1], "inconsistent numbers of samples"),
        (np.linspace(0, 1, len(y)), "Unknown label type"),
        (np.full(len(y), -1), "No text has a label"),
        (np.where(y == "age", 1, -1), "not labelled"),
        (np.where(y == "age", np.nan, 1.0), "Only one class"),
        (np.c_[np.arange(len(y)), np.arange(len(y))], "indicator"),
        (np.where(y == "age", 1, y.astype(object)), "mixes labels of the types int and str"),
    ]:
        with pytest.raises(ValueError, match=message):
            classifier().fit(documents, wrong)
    with pytest.raises(ValueError, match="weights"):
        classifier().fit(documents, y, sample_weight=np.zeros(len(y)))
    with pytest.raises(ValueError, match="unfreeze_schedule"):
        classifier(unfreeze_schedule=(1, 1, 1, 1, 1, 1)).fit(documents, y)
    with pytest.raises(NotFittedError):
        ULMFiTClassifier().predict(data[0])
    with pytest.raises(ValueError, match="-1 cannot be one of the classes"):
        classifier().partial_fit(documents, [1, -1] * 45, classes=[-1, 1])
    for weights, message in [
        ({"ag": 2}, "not in"),
        *(({"age": wrong}, "finite numbers that are not negative") for wrong in WRONG_WEIGHTS),
    ]:
        with pytest.raises(ValueError, match=message):
            classifier(class_weight=weights).fit(documents, y)
    for wrong in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="sample_weight"):
            classifier().fit(documents, y, sample_weight=np.where(y == "age", wrong, 1.0))
    for wrong in (10**400, 1j):
        with pytest.raises(ValueError, match="sample_weight has to hold finite numbers"):
            classifier().fit(documents, y, sample_weight=[wrong] * len(y))


WRONG_WEIGHTS = [-1.0, np.nan, np.inf, "2", None, [1.0], 10**400, 10**5000, Decimal("-1")]


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e300, 1.7e308])
def test_only_ratios_of_weights_count(data, documents, size):
    """However large or small they are, nothing overflows."""
    y = data[1]
    plain = classifier(max_epochs=1).fit(documents, y).predict_proba(documents)
    sized = classifier(max_epochs=1).fit(documents, y, sample_weight=np.full(len(y), size))
    np.testing.assert_array_equal(sized.predict_proba(documents), plain)
    all_classes = dict.fromkeys(np.unique(y).tolist(), size)
    weighted = classifier(max_epochs=1, class_weight=all_classes)
    weighted.fit(documents, y, sample_weight=np.full(len(y), size))
    np.testing.assert_array_equal(weighted.predict_proba(documents), plain)
    one = classifier(max_epochs=1, class_weight={"age": size}).fit(documents, y)
    assert np.isfinite(one.predict_proba(documents)).all()


def test_bad_parameters_are_refused_before_the_language_model_is_trained(data):
    class NoTraining(Callback):
        def on_train_begin(self, net, **kwargs):
            raise AssertionError("training began")

    lm = language_model(callbacks=[NoTraining()])
    for params in (
        {"unfreeze_schedule": (1, -1)},
        {"head_sizes": (0,)},
        {"head_sizes": ("a",)},
        {"head_sizes": "wide"},
    ):
        with pytest.raises(ValueError, match=next(iter(params))):
            classifier(language_model=lm, **params).fit(*data)


class PressCtrlC(Callback):
    """Interrupts the second epoch."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            signal.raise_signal(signal.SIGINT)


def test_interrupt_in_the_first_direction_leaves_the_other_out(data):
    texts, y = data
    documents = language_model(direction="both", max_epochs=1).fit(texts).transform(texts)
    clf = classifier(callbacks=[PressCtrlC()], max_epochs=5)
    with pytest.raises(KeyboardInterrupt, match="fitted with what it had learned"):
        clf.fit(documents, y)
    assert list(clf.trained_.weights) == ["forward"] and clf.n_epochs_ == 1
    assert np.isfinite(clf.predict_proba(documents)).all()


def test_interrupt_in_the_language_model_says_what_is_kept(data):
    clf = classifier(language_model=language_model(callbacks=[PressCtrlC()], max_epochs=5))
    with pytest.raises(KeyboardInterrupt, match="the classifier is not trained"):
        clf.fit(*data)
    assert clf.language_model_.n_epochs_ == 1
    with pytest.raises(NotFittedError):
        clf.predict(data[0])


def test_one_class_and_one_member(documents, data):
    assert (classifier(max_epochs=1).fit(documents[:5], ["x"] * 5).predict(documents) == "x").all()
    lonely = np.where(np.arange(len(documents)) == 0, "rare", "common")
    clf = classifier(max_epochs=2, early_stopping=True).fit(documents, lonely)
    assert set(clf.classes_) == {"rare", "common"}


def test_texts_that_are_empty_or_strange():
    texts = ["", " ", "\x00", "日本語", "🙂", "a" * 500, "word"]
    clf = classifier(language_model=language_model(), max_epochs=2).fit(texts, [0, 1] * 3 + [0])
    assert np.isfinite(clf.predict_proba([*texts, "x " * 5000])).all()


@pytest.mark.slow
def test_a_document_of_a_million_tokens(data, lm):
    """Training on it and predicting it take bounded memory: chunks come and go."""
    import resource

    texts, y = data
    giant = " ".join(" ".join(texts).split()[:500]) + " "
    documents = lm.transform([giant * 2000, *texts])
    assert documents.tokens.lengths[0] > 1e6
    clf = classifier(max_epochs=1, unfreeze_schedule="full").fit(documents, [y[0], *y])
    assert np.isfinite(clf.predict_proba(documents[0])).all()
    assert np.isfinite(lm.perplexity([giant * 2000]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4e6, "kilobytes"


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_decision_function_and_logarithms_agree_with_probabilities(data, direction):
    texts, y = data[0][:30], data[1][:30]
    lm = language_model(direction=direction, max_epochs=1).fit(texts)
    documents = lm.transform(texts)
    three = classifier(max_epochs=2).fit(documents, y)
    two = classifier(max_epochs=2).fit(documents, y == "age")
    targets = np.c_[y == "age", y != "activate"].astype(int)
    several = classifier(max_epochs=2).fit(documents, targets)
    for clf in (three, two, several):
        p, scores = clf.predict_proba(documents), clf.decision_function(documents)
        np.testing.assert_allclose(np.exp(clf.predict_log_proba(documents)), p, rtol=1e-12)
        assert p.dtype == scores.dtype == np.float64
    np.testing.assert_allclose(three.predict_proba(documents).sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(
        softmax(three.decision_function(documents), axis=1), three.predict_proba(documents)
    )
    np.testing.assert_allclose(
        expit(two.decision_function(documents)), two.predict_proba(documents)[:, 1]
    )
    np.testing.assert_allclose(
        expit(several.decision_function(documents)), several.predict_proba(documents)
    )
    for scoring in ("roc_auc", "average_precision"):
        assert 0 <= get_scorer(scoring)(several, documents, targets) <= 1


def test_an_answer_is_of_one_state(data):
    """Whatever another thread makes of the estimator between two directions."""
    texts, y = data[0][:20], data[1][:20]
    documents = language_model(direction="both", max_epochs=1).fit(texts).transform(texts)
    clf = classifier(max_epochs=2).fit(documents, y)
    before = clf.predict_proba(documents)
    reading = documents.tokens.reversed

    class Meanwhile(TokenLists):
        def reversed(self):
            clf.partial_fit(documents, y)
            return reading()

    changing = EncodedDocuments(
        Meanwhile(documents.tokens.ids, documents.tokens.offsets), documents.language_model
    )
    np.testing.assert_array_equal(clf.predict_proba(changing), before)
    assert not np.array_equal(clf.predict_proba(documents), before)
