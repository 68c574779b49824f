"""What teams do with TfidfVectorizer and LogisticRegression, done with the two estimators."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sk_ulmfit import EncodedDocuments, ULMFiTClassifier, ULMFiTLanguageModel
from tests.helpers import banking, classifier, language_model, needs_sklearn

ROOT = Path(__file__).resolve().parent.parent
TEXTS, LABELS = banking(3, 20)
FOLDS = StratifiedKFold(3)


def small_language_model(**params) -> ULMFiTLanguageModel:
    return language_model(**{"max_epochs": 1, **params})


def vectorizer(**params) -> ULMFiTLanguageModel:
    return small_language_model(output="features", **params)


def small_classifier(**params) -> ULMFiTClassifier:
    return classifier(**{"max_epochs": 2, "unfreeze_schedule": "full", **params})


def alone(**params) -> ULMFiTClassifier:
    """Both stages in one estimator."""
    return small_classifier(language_model=small_language_model(), **params)


def pipeline(**params) -> Pipeline:
    """Both stages in two steps."""
    steps = [("lm", small_language_model()), ("clf", small_classifier())]
    return Pipeline(steps).set_params(**params)


def tfidf() -> Pipeline:
    return make_pipeline(TfidfVectorizer(), LogisticRegression())


both_ways = pytest.mark.parametrize("make", [pipeline, alone])


@pytest.fixture(scope="module")
def lm():
    return small_language_model().fit(TEXTS)


@pytest.fixture(scope="module")
def documents(lm):
    return lm.transform(TEXTS)


@pytest.fixture(scope="module")
def features(documents):
    return documents.features()


@pytest.fixture
def language_model_fits(monkeypatch):
    """Texts that language models were fitted on, one list for each fit."""
    fits = []
    fit = ULMFiTLanguageModel.fit

    def counted(self, X, y=None):
        fits.append(list(X))
        return fit(self, X, y)

    monkeypatch.setattr(ULMFiTLanguageModel, "fit", counted)
    return fits


# Search


def test_pipeline_memory_fits_the_language_model_once_a_fold(tmp_path, language_model_fits):
    grid = {"clf__lr": [0.01, 0.02], "clf__lr_decay": [1.0, 2.6]}

    def search(memory):
        language_model_fits.clear()
        found = GridSearchCV(pipeline(memory=memory), grid, cv=FOLDS, error_score="raise")
        return found.fit(TEXTS, LABELS), len(language_model_fits)

    plain, n_plain = search(None)
    cached, n_cached = search(str(tmp_path))
    assert (n_plain, n_cached) == (4 * 3 + 1, 3 + 1), "candidates x folds + refit; folds + refit"
    for name in ("mean_test_score", "rank_test_score"):
        np.testing.assert_array_equal(cached.cv_results_[name], plain.cv_results_[name])
    np.testing.assert_array_equal(cached.predict_proba(TEXTS), plain.predict_proba(TEXTS))
    assert search(str(tmp_path))[1] == 0, "the next search finds them all"
    grid["clf__dropout_mult"] = [0.1]
    assert search(str(tmp_path))[1] == 0, "so does one over other classifiers"
    grid["lm__dropout_mult"] = [0.5]
    assert search(str(tmp_path))[1] == 4, "another language model is none of them"


def test_pipeline_memory_may_map_its_files(tmp_path):
    memory = joblib.Memory(tmp_path, mmap_mode="r", verbose=0)
    expected = pipeline().fit(TEXTS, LABELS).predict_proba(TEXTS)
    for _ in range(2):
        cached = pipeline(memory=memory).fit(TEXTS, LABELS)
        np.testing.assert_array_equal(cached.predict_proba(TEXTS), expected)


@both_ways
def test_randomized_search(make):
    prefix = "clf__" if make is pipeline else ""
    space = {f"{prefix}lr": loguniform(1e-3, 1e-1), f"{prefix}max_epochs": [1, 2]}
    searches = [
        RandomizedSearchCV(make(), space, n_iter=3, cv=2, random_state=0, error_score="raise").fit(
            TEXTS, LABELS
        )
        for _ in range(2)
    ]
    assert searches[0].best_params_ == searches[1].best_params_
    for search in searches:
        assert len(search.cv_results_["params"]) == 3
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert (
            search.best_estimator_.get_params()[f"{prefix}lr"] == search.best_params_[f"{prefix}lr"]
        )


def test_halving_search_gives_epochs_to_the_better_half():
    search = HalvingGridSearchCV(
        pipeline(),
        {"clf__lr": [1e-6, 0.01, 0.02, 0.04]},
        resource="clf__max_epochs",
        min_resources=2,
        max_resources=8,
        factor=2,
        cv=2,
        random_state=0,
        error_score="raise",
    ).fit(TEXTS, LABELS)
    assert search.n_resources_ == [2, 4, 8] and search.n_candidates_ == [4, 2, 1]
    epochs = [params["clf__max_epochs"] for params in search.cv_results_["params"]]
    assert epochs == [2] * 4 + [4] * 2 + [8]
    assert search.best_estimator_["clf"].n_epochs_ == 8
    assert search.best_params_["clf__lr"] > 1e-6


@both_ways
def test_cross_val_predict(make):
    predicted = cross_val_predict(make(), TEXTS, LABELS, cv=FOLDS, method="predict_proba")
    for train, test in FOLDS.split(TEXTS, LABELS):
        fitted = make().fit([TEXTS[i] for i in train], LABELS[train])
        np.testing.assert_array_equal(
            predicted[test], fitted.predict_proba([TEXTS[i] for i in test])
        )


def test_search_reaches_into_the_language_model_of_a_classifier():
    search = GridSearchCV(alone(), {"language_model__emb_size": [8, 16]}, cv=2, error_score="raise")
    search.fit(TEXTS, LABELS)
    best = search.best_params_["language_model__emb_size"]
    assert search.best_estimator_.language_model_.trained_.emb_size == best


# Ensembles


@pytest.mark.parametrize("make", [pipeline, alone])
@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration(make, ensemble):
    calibrated = CalibratedClassifierCV(make(), cv=2, ensemble=ensemble).fit(TEXTS, LABELS)
    p = calibrated.predict_proba(TEXTS)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert len(calibrated.calibrated_classifiers_) == (2 if ensemble else 1)
    assert set(calibrated.predict(TEXTS)) <= set(LABELS)


def test_calibration_of_a_fitted_pipeline_leaves_it_as_it_is(language_model_fits):
    fitted = pipeline().fit(TEXTS, LABELS)
    before = fitted.predict_proba(TEXTS)
    language_model_fits.clear()
    calibrated = CalibratedClassifierCV(FrozenEstimator(fitted)).fit(TEXTS, LABELS)
    assert not language_model_fits
    np.testing.assert_array_equal(fitted.predict_proba(TEXTS), before)
    assert not np.allclose(calibrated.predict_proba(TEXTS), before)


def test_stacking():
    members = [("ulmfit", pipeline()), ("alone", alone()), ("tfidf", tfidf())]
    stack = StackingClassifier(members, cv=2, stack_method="predict_proba").fit(TEXTS, LABELS)
    columns = stack.transform(TEXTS)
    assert columns.shape == (60, 9)
    np.testing.assert_array_equal(
        columns[:, :3], pipeline().fit(TEXTS, LABELS).predict_proba(TEXTS)
    )
    assert stack.score(TEXTS, LABELS) > 0.8


def test_voting_averages_probabilities():
    members = [("ulmfit", pipeline()), ("alone", alone()), ("tfidf", tfidf())]
    vote = VotingClassifier(members, voting="soft", weights=[2, 1, 1]).fit(TEXTS, LABELS)
    # Voting numbers the labels first: that must make no difference.
    parts = [made.fit(TEXTS, LABELS).predict_proba(TEXTS) for _, made in members]
    np.testing.assert_allclose(
        vote.predict_proba(TEXTS), np.average(parts, axis=0, weights=[2, 1, 1]), rtol=1e-6
    )


def test_one_language_model_for_several_classifiers(language_model_fits):
    """Documents go to the ULMFiTClassifier of an ensemble, and as features to the others."""
    members = [("ulmfit", small_classifier()), ("linear", LogisticRegression())]
    vote = make_pipeline(small_language_model(), VotingClassifier(members, voting="soft"))
    assert vote.fit(TEXTS, LABELS).predict_proba(TEXTS).shape == (60, 3)
    assert len(language_model_fits) == 1


# Columns, unions, steps


COLUMNS = {"text": TEXTS, "amount": np.arange(60.0), "age": np.arange(60.0) % 7}


def table(index=None) -> pd.DataFrame:
    return pd.DataFrame(COLUMNS, index=index)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(pd.DataFrame, id="pandas"),
        pytest.param(
            pl.DataFrame,
            id="polars",
            marks=needs_sklearn("1.9", "no column of today's polars can be named"),
        ),
    ],
)
def test_column_transformer_takes_a_text_column(frame, features):
    X, y = frame(COLUMNS), LABELS
    columns = ColumnTransformer([("text", vectorizer(), "text")], remainder="passthrough")
    np.testing.assert_array_equal(
        columns.fit_transform(X), np.c_[features, COLUMNS["amount"], COLUMNS["age"]]
    )
    names = columns.get_feature_names_out()
    assert list(names[[0, -2, -1]]) == [
        "text__forward_last_0",
        "remainder__amount",
        "remainder__age",
    ]
    pipe = make_pipeline(columns, StandardScaler(), LogisticRegression())
    assert pipe.fit(X, y).score(X, y) > 0.6
    assert cross_val_score(pipe, X, y, cv=2, error_score="raise").shape == (2,)


@needs_sklearn("1.8", "the index of a column is lost")
def test_column_transformer_keeps_the_index_of_a_frame(features):
    index = [f"row {i}" for i in range(60)]
    columns = ColumnTransformer([("text", vectorizer(), "text")], remainder="passthrough")
    X = columns.set_output(transform="pandas").fit_transform(table(index))
    assert list(X.index) == index and list(X["remainder__amount"]) == list(range(60))
    np.testing.assert_array_equal(X.filter(like="text__"), features)


def test_column_transformer_that_selects_a_frame_is_told_to_select_the_column():
    with pytest.raises(TypeError, match="select the column"):
        ColumnTransformer([("text", vectorizer(), ["text"])]).fit(table())


def test_feature_union_with_tfidf(features):
    union = FeatureUnion([("tfidf", TfidfVectorizer()), ("lm", vectorizer())])
    X = union.fit_transform(TEXTS).toarray()
    words = TfidfVectorizer().fit_transform(TEXTS).toarray()
    np.testing.assert_array_equal(X, np.hstack([words, features]))
    assert union.get_feature_names_out()[-1] == "lm__forward_mean_23"
    pipe = make_pipeline(union, LogisticRegression())
    assert pipe.fit(TEXTS, LABELS).score(TEXTS, LABELS) > 0.9
    assert cross_val_score(pipe, TEXTS, LABELS, cv=2, n_jobs=1, error_score="raise").shape == (2,)


def test_documents_are_features_wherever_an_array_is_needed(features):
    union = FeatureUnion([("tfidf", TfidfVectorizer()), ("lm", small_language_model())])
    np.testing.assert_array_equal(union.fit_transform(TEXTS).toarray()[:, -72:], features)
    columns = ColumnTransformer([("text", small_language_model(), "text")])
    np.testing.assert_array_equal(columns.fit_transform(table()), features)
    pipes = [
        make_pipeline(step, StandardScaler(), LogisticRegression()).fit(TEXTS, LABELS)
        for step in (small_language_model(), vectorizer())
    ]
    # scikit-learn takes the documents' features as float64, those of "features" as float32: its
    # solver ends a little elsewhere.
    np.testing.assert_allclose(*(pipe.predict_proba(TEXTS) for pipe in pipes), atol=1e-2)
    straight = make_pipeline(small_language_model(), LogisticRegression()).fit(TEXTS, LABELS)
    assert straight.score(TEXTS, LABELS) > 0.3


@pytest.mark.parametrize(
    "step",
    [
        vectorizer(),
        FeatureUnion([("one", small_language_model()), ("two", small_language_model())]),
        TfidfVectorizer(),
    ],
    ids=["features", "union", "tfidf"],
)
def test_classifier_says_what_it_takes_instead_of_features(step):
    with pytest.raises((TypeError, ValueError)) as refusal:
        make_pipeline(step, small_classifier()).fit(TEXTS, LABELS)
    assert re.search("the texts themselves|output=.documents", str(refusal.value))


def lower(texts):
    return [text.lower() for text in texts]


def text_column(frame):
    return frame["text"]


def test_function_transformer_before_the_language_model():
    first = Pipeline([("lower", FunctionTransformer(lower)), *pipeline().steps])
    expected = pipeline().fit(lower(TEXTS), LABELS).predict_proba(lower(TEXTS))
    np.testing.assert_array_equal(first.fit(TEXTS, LABELS).predict_proba(TEXTS), expected)
    copied = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(copied.predict_proba(TEXTS), expected)
    column = Pipeline([("column", FunctionTransformer(text_column)), *pipeline().steps])
    np.testing.assert_array_equal(
        column.fit(table(), LABELS).predict_proba(table()),
        pipeline().fit(TEXTS, LABELS).predict_proba(TEXTS),
    )


@pytest.mark.parametrize("as_step", [True, False])
def test_frozen_language_model_is_never_fitted(lm, language_model_fits, as_step):
    frozen = FrozenEstimator(lm)
    if as_step:
        estimator = Pipeline([("lm", frozen), ("clf", small_classifier())])
        grid = {"clf__lr": [0.01, 0.02]}
    else:
        estimator, grid = small_classifier(language_model=frozen), {"lr": [0.01, 0.02]}
    search = GridSearchCV(estimator, grid, cv=2, error_score="raise").fit(TEXTS, LABELS)
    assert not language_model_fits
    clf = search.best_estimator_["clf"] if as_step else search.best_estimator_
    assert clf.language_model_.trained_.fingerprint == lm.trained_.fingerprint


# Output, routing, repr


@needs_sklearn("1.9", "the index of a Series is lost, and names of today's polars")
def test_set_output_gives_frames_with_names_and_index(features):
    names = [f"forward_{pool}_{i}" for pool in ("last", "max", "mean") for i in range(24)]
    texts = pd.Series(TEXTS, index=range(100, 160))
    for transformed in (
        vectorizer().set_output(transform="pandas").fit(TEXTS).transform(texts),
        vectorizer().set_output(transform="pandas").fit_transform(texts),
    ):
        assert isinstance(transformed, pd.DataFrame)
        assert list(transformed.columns) == names and list(transformed.index) == list(texts.index)
        np.testing.assert_array_equal(transformed, features)
    pipe = make_pipeline(vectorizer(), StandardScaler()).set_output(transform="polars")
    assert pipe.fit_transform(TEXTS).columns == names
    with sklearn.config_context(transform_output="pandas"):
        assert list(vectorizer().fit_transform(TEXTS).columns) == names


def test_set_output_is_for_features_and_does_nothing_to_documents():
    assert hasattr(vectorizer(), "set_output") and not hasattr(small_language_model(), "set_output")
    expected = pipeline().fit(TEXTS, LABELS).predict_proba(TEXTS)
    with sklearn.config_context(transform_output="pandas"):
        fitted = pipeline().fit(TEXTS, LABELS)
        assert isinstance(fitted["lm"].transform(TEXTS), EncodedDocuments)
        np.testing.assert_array_equal(fitted.predict_proba(TEXTS), expected)


WEIGHTS = np.where(LABELS == "age", 10.0, 0.1)


def weighted_pipeline() -> Pipeline:
    """With requests for sample_weight: to be made while metadata routing is enabled."""
    clf = small_classifier().set_fit_request(sample_weight=True)
    return Pipeline([("lm", small_language_model()), ("clf", clf)])


def test_sample_weights_are_routed_through_a_pipeline():
    expected = pipeline().fit(TEXTS, LABELS, clf__sample_weight=WEIGHTS).predict_proba(TEXTS)
    assert not np.allclose(expected, pipeline().fit(TEXTS, LABELS).predict_proba(TEXTS), atol=0.05)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = weighted_pipeline().fit(TEXTS, LABELS, sample_weight=WEIGHTS)
        np.testing.assert_array_equal(routed.predict_proba(TEXTS), expected)
        with pytest.raises(UnsetMetadataPassedError, match="set_fit_request"):
            pipeline().fit(TEXTS, LABELS, sample_weight=WEIGHTS)
        ignoring = weighted_pipeline()
        ignoring["clf"].set_fit_request(sample_weight=False)
        np.testing.assert_array_equal(
            ignoring.fit(TEXTS, LABELS).predict_proba(TEXTS),
            pipeline().fit(TEXTS, LABELS).predict_proba(TEXTS),
        )


@needs_sklearn("1.8", "a pipeline's score does not route weights")
def test_sample_weights_are_routed_through_a_search():
    expected = pipeline().fit(TEXTS, LABELS, clf__sample_weight=WEIGHTS).predict_proba(TEXTS)
    grid = {"clf__max_epochs": [2]}
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = weighted_pipeline()
        pipe["clf"].set_score_request(sample_weight=True)
        search = GridSearchCV(pipe, grid, cv=FOLDS, error_score="raise")
        search.fit(TEXTS, LABELS, sample_weight=WEIGHTS)
        results = cross_validate(
            pipe, TEXTS, LABELS, cv=FOLDS, params={"sample_weight": WEIGHTS}, error_score="raise"
        )
    np.testing.assert_array_equal(search.predict_proba(TEXTS), expected)
    scores = []
    for train, test in FOLDS.split(TEXTS, LABELS):
        fitted = pipeline().fit(
            [TEXTS[i] for i in train], LABELS[train], clf__sample_weight=WEIGHTS[train]
        )
        score = fitted.score([TEXTS[i] for i in test], LABELS[test], sample_weight=WEIGHTS[test])
        scores.append(score)
    np.testing.assert_array_equal(results["test_score"], scores)
    assert search.cv_results_["mean_test_score"] == pytest.approx(np.mean(scores))


def test_partial_fit_may_request_weights_and_classes():
    with sklearn.config_context(enable_metadata_routing=True):
        clf = small_classifier().set_partial_fit_request(sample_weight=True, classes=True)
        requests = clf.get_metadata_routing().partial_fit.requests
    assert requests == {"sample_weight": True, "classes": True}


@both_ways
@pytest.mark.parametrize("fitted", [False, True])
def test_html_and_text_representations(make, fitted):
    estimator = make().fit(TEXTS[:9], LABELS[:9]) if fitted else make()
    html = estimator._repr_html_()
    assert "ULMFiTLanguageModel" in html and "ULMFiTClassifier" in html
    assert ("<span>Fitted</span>" in html) == fitted
    text = repr(estimator)
    assert "ULMFiTClassifier(" in text and "emb_size=24" in text
    assert len(text) < 1000, "a fitted estimator shows its parameters, not its weights"
    assert len(html) < 200_000


# Parameters


@both_ways
def test_parameters_go_out_and_in_again(make):
    estimator = make()
    params = estimator.get_params()
    assert clone(estimator).get_params().keys() == params.keys()
    again = clone(estimator).set_params(
        **{name: value for name, value in params.items() if not hasattr(value, "get_params")}
    )
    assert repr(again) == repr(estimator)
    assert joblib.hash(again) == joblib.hash(estimator) == joblib.hash(clone(estimator))
    name = "lm__dropout_mult" if make is pipeline else "language_model__dropout_mult"
    assert params[name] == 1.0
    changed = clone(estimator).set_params(**{name: 0.25})
    assert changed.get_params()[name] == 0.25 and estimator.get_params()[name] == 1.0
    fitted = changed.fit(TEXTS[:9], LABELS[:9])
    assert fitted.get_params()[name] == 0.25
    with pytest.raises(ValueError, match="Invalid parameter 'dropout'"):
        estimator.set_params(**{name.replace("dropout_mult", "dropout"): 1})


@both_ways
def test_clone_of_a_fitted_estimator_is_unfitted_and_fits_the_same(make):
    fitted = make().fit(TEXTS, LABELS)
    again = clone(fitted)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        again.predict(TEXTS)
    np.testing.assert_array_equal(
        again.fit(TEXTS, LABELS).predict_proba(TEXTS), fitted.predict_proba(TEXTS)
    )
    copied = copy.deepcopy(fitted)
    np.testing.assert_array_equal(copied.predict_proba(TEXTS), fitted.predict_proba(TEXTS))


@pytest.mark.parametrize("params", [{"lr_decay": 0.5}, {"batch_size": 0}, {"dropout_mult": "much"}])
def test_parameters_of_a_nested_language_model_are_validated(params):
    (name,) = params
    for fit in (
        small_classifier(language_model=small_language_model(**params)).fit,
        small_classifier(language_model=small_language_model(**params)).partial_fit,
        Pipeline([("lm", small_language_model(**params)), ("clf", small_classifier())]).fit,
    ):
        with pytest.raises(ValueError, match=f"The '{name}' parameter of ULMFiTLanguageModel"):
            fit(TEXTS, LABELS)


# Equal results


def results(seed: int = 0) -> dict[str, str]:
    """Hashes of what a fit gives."""
    pipe = pipeline(lm__random_state=seed, clf__random_state=seed).fit(TEXTS, LABELS)
    documents = pipe["lm"].transform(TEXTS)
    return {
        "language model": pipe["lm"].trained_.fingerprint,
        "documents": joblib.hash(documents),
        "features": joblib.hash(documents.features()),
        "probabilities": joblib.hash(pipe.predict_proba(TEXTS)),
        "alone": joblib.hash(alone(random_state=seed).fit(TEXTS, LABELS).predict_proba(TEXTS)),
    }


def test_equal_results_twice_in_one_process():
    first = results()
    assert results() == first
    other = results(1)
    assert all(other[name] != first[name] for name in first)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_equal_results_in_parallel(backend):
    jobs = [joblib.delayed(results)(seed) for seed in (0, 1, 0, 1)]
    found = joblib.Parallel(n_jobs=2, backend=backend)(jobs)
    assert found == [results(0), results(1)] * 2


# torch gives it once a process only.
NO_COPY_WARNING = "error:The given NumPy array is not writable:UserWarning"
IN_ANOTHER_PROCESS = """
import json, sys
import joblib
from tests.test_citizenship import TEXTS, results
mapped = joblib.load(sys.argv[1], mmap_mode="r")
print(json.dumps([results(), joblib.hash(mapped.predict_proba(TEXTS))]))
"""


def test_equal_results_in_another_process(tmp_path):
    """Also with weights mapped from a file that cannot be written to, and without a warning."""
    fitted, path = pipeline().fit(TEXTS, LABELS), tmp_path / "fitted.joblib"
    joblib.dump(fitted, path)
    child = subprocess.run(
        [sys.executable, "-W", NO_COPY_WARNING, "-c", IN_ANOTHER_PROCESS, str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    found, mapped = json.loads(child.stdout)
    assert found == results()
    assert mapped == joblib.hash(fitted.predict_proba(TEXTS))


HASHED = {
    "language model": lambda: small_language_model().fit(TEXTS),
    "classifier": lambda: alone().fit(TEXTS, LABELS),
    "pipeline": lambda: pipeline().fit(TEXTS, LABELS),
    "documents": lambda: small_language_model().fit(TEXTS).transform(TEXTS),
}


@pytest.mark.parametrize("make", HASHED.values(), ids=HASHED)
def test_equal_fits_hash_equal(make):
    assert joblib.hash(make()) == joblib.hash(make())


@pytest.mark.parametrize("make", HASHED.values(), ids=HASHED)
def test_use_and_pickling_do_not_change_hash_or_size(make):
    fitted = make()
    before = joblib.hash(fitted), len(pickle.dumps(fitted))
    for method in ("predict", "transform", "perplexity", "features"):
        if hasattr(fitted, method):
            getattr(fitted, method)(*([] if method == "features" else [TEXTS]))
    if isinstance(fitted, Pipeline):
        fitted["lm"].perplexity(TEXTS)
    assert (joblib.hash(fitted), len(pickle.dumps(fitted))) == before
    again = pickle.loads(pickle.dumps(fitted))
    assert joblib.hash(again) == before[0]
    assert len(pickle.dumps(again)) == pytest.approx(before[1], rel=0.01)
