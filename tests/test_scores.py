"""What scorers ask a classifier for: probabilities, decisions, its own score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, get_scorer, log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from tests.helpers import banking, classifier, language_model

N_CLASSES = {"two classes": 2, "three classes": 3, "two labels": 2, "three labels": 3}
PROBLEMS = [*N_CLASSES]


@pytest.fixture(scope="module")
def documents():
    texts, _ = banking(per_class=8)
    return language_model(max_epochs=0, direction="both").fit(texts).transform(texts)


def target(problem: str) -> np.ndarray:
    """Labels of the texts, as `problem` says."""
    _, y = banking(per_class=8)
    codes = np.unique(y, return_inverse=True)[1]
    if "labels" in problem:
        return np.c_[codes == 0, codes != 1, codes < 2][:, : N_CLASSES[problem]].astype(int)
    return np.minimum(codes, N_CLASSES[problem] - 1)


@pytest.fixture(scope="module")
def fitted(documents):
    return {problem: classifier().fit(documents, target(problem)) for problem in PROBLEMS}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_decisions_order_texts_as_probabilities_do(documents, fitted, problem):
    clf = fitted[problem]
    p, decision = clf.predict_proba(documents), clf.decision_function(documents)
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(documents)), p)
    if problem == "two classes":
        np.testing.assert_allclose(decision, np.log(p[:, 1] / p[:, 0]))
        predicted = (decision > 0).astype(int)
    elif problem == "three classes":
        np.testing.assert_allclose(decision, np.log(p))
        predicted = decision.argmax(axis=1)
    else:
        np.testing.assert_allclose(decision, np.log(p / (1 - p)))
        predicted = (decision > 0).astype(int)
    assert np.array_equal(predicted, clf.predict(documents))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("problem", ["two classes", "three classes"])
def test_probabilities_sum_to_one_for_scikit_learn(documents, fitted, problem):
    p = fitted[problem].predict_proba(documents)
    assert p.dtype == np.float64 and np.abs(p.sum(axis=1) - 1).max() < 1e-14
    assert log_loss(target(problem), p.tolist()) == pytest.approx(log_loss(target(problem), p))


@pytest.mark.parametrize("problem", ["two labels", "three labels"])
@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_scorers_of_several_labels(documents, fitted, problem, name):
    by_hand = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}[name]
    Y, clf = target(problem), fitted[problem]
    expected = by_hand(Y, clf.predict_proba(documents))
    assert get_scorer(name)(clf, documents, Y) == pytest.approx(expected)
    scores = cross_val_score(classifier(max_epochs=1), documents, Y, cv=2, scoring=name)
    assert np.isfinite(scores).all()


def test_a_search_by_a_ranking_of_two_labels(documents):
    grid = {"lr": [1e-6, 0.02]}
    search = GridSearchCV(classifier(max_epochs=2), grid, scoring="roc_auc", cv=2)
    search.fit(documents, target("two labels"))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


NOT_LABELLED = {
    "None": lambda y, some: np.where(some, y.astype(object), None),
    "-1": lambda y, some: np.where(some, y, -1),
    "NaN": lambda y, some: np.where(some, y, np.nan),
    "pandas": lambda y, some: pd.Series(y, dtype="Int64").where(some),
    "masked": lambda y, some: np.ma.masked_array(y, mask=~some),
    "list": lambda y, some: [
        label if known else None for label, known in zip(y, some, strict=True)
    ],
}


@pytest.mark.parametrize("missing", NOT_LABELLED)
def test_own_score_counts_texts_with_a_label(documents, fitted, missing):
    y, clf = target("three classes"), fitted["three classes"]
    some = np.arange(len(y)) % 3 > 0
    right = clf.predict(documents) == y
    marked = NOT_LABELLED[missing](y, some)
    assert clf.score(documents, marked) == right[some].mean()
    weights = np.arange(len(y))
    assert clf.score(documents, marked, weights) == pytest.approx(
        np.average(right[some], weights=weights[some])
    )
    with pytest.raises(ValueError, match="No text has a label"):
        clf.score(documents, NOT_LABELLED[missing](y, np.zeros(len(y), bool)))


def test_own_score_of_several_labels_and_of_raw_texts(documents, fitted):
    Y, clf = target("two labels"), fitted["two labels"]
    texts, _ = banking(per_class=8)
    expected = (clf.predict(documents) == Y).all(axis=1).mean()
    assert clf.score(documents, Y) == clf.score((text for text in texts), Y) == expected


@pytest.mark.parametrize("dtype", ["boolean", "Int8", object, "category"])
def test_own_score_of_several_labels_in_any_columns(documents, fitted, dtype):
    Y, clf = target("two labels"), fitted["two labels"]
    columns = pd.DataFrame(Y.astype(bool) if dtype == "boolean" else Y).astype(dtype)
    assert clf.score(documents, columns) == clf.score(documents, Y)


def test_partial_fit_does_not_undo_weights(documents):
    y = np.array(["rare"] * 4)
    options = {"classes": {"rare", "common"}}
    plain = classifier().partial_fit(documents[:4], y, **options)
    weighty = classifier(class_weight={"rare": 20}).partial_fit(documents[:4], y, **options)
    light = classifier().partial_fit(documents[:4], y, sample_weight=[0.1] * 4, **options)
    loss = plain.history_[0]["train_loss"]
    assert weighty.history_[0]["train_loss"] == pytest.approx(20 * loss)
    assert light.history_[0]["train_loss"] == pytest.approx(0.1 * loss)
    assert plain.classes_.tolist() == ["common", "rare"]


@pytest.mark.parametrize(
    "class_weight, message", [("balanced", "one partial_fit"), ({0: 1e300}, "too large")]
)
def test_weights_that_partial_fit_refuses(documents, class_weight, message):
    y = target("three classes")
    with pytest.raises(ValueError, match=message):
        classifier(class_weight=class_weight).partial_fit(documents, y)
