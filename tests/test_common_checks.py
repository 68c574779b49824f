"""scikit-learn's common checks on the real estimators, behind the adapters of tests/adapter.py."""

from __future__ import annotations

from unittest import SkipTest

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from tests.adapter import RowClassifier, RowLanguageModel, RowPipeline
from tests.helpers import banking, classifier, language_model


def small(estimator) -> dict:
    """Parameters of one of the helpers' estimators."""
    return estimator.get_params(deep=False)


# The checks' rows make texts of two to ten words each: more epochs would only take longer.
LANGUAGE_MODEL = small(language_model(min_freq=1, max_epochs=1))
CLASSIFIER = small(classifier(unfreeze_schedule="full"))

ESTIMATORS = {
    "language model": RowLanguageModel(**{**LANGUAGE_MODEL, "output": "features"}),
    "classifier": RowClassifier(
        **{**CLASSIFIER, "language_model": ULMFiTLanguageModel(**LANGUAGE_MODEL)}
    ),
    "pipeline": RowPipeline(
        Pipeline(
            [
                ("lm", ULMFiTLanguageModel(**LANGUAGE_MODEL)),
                ("clf", ULMFiTClassifier(**CLASSIFIER)),
            ]
        )
    ),
    "vectorizer": RowPipeline(
        Pipeline(
            [
                ("lm", ULMFiTLanguageModel(**{**LANGUAGE_MODEL, "output": "features"})),
                ("scale", StandardScaler()),
                ("clf", LogisticRegression()),
            ]
        )
    ),
}

_WEIGHTS = (
    "A text of weight 2 is not the same as the text twice: mini-batches are cut differently, and "
    "the language model reads every text, whatever its weight in the classifier's loss."
)
_MINUS_ONE = (
    "Labels of -1 mark texts without a label, as in sklearn.semi_supervised, whose classifiers "
    "scikit-learn excepts from this part of the check. The other parts are tested below."
)
EXPECTED_FAILURES = {
    "language model": {},
    "classifier": {
        "check_sample_weight_equivalence_on_dense_data": _WEIGHTS,
        "check_classifiers_classes": _MINUS_ONE,
    },
    "pipeline": {
        "check_sample_weight_equivalence_on_dense_data": _WEIGHTS,
        "check_classifiers_classes": _MINUS_ONE,
    },
    "vectorizer": {"check_sample_weight_equivalence_on_dense_data": _WEIGHTS},
}

# What scikit-learn checks of its own estimators besides.
FURTHER_CHECKS = {
    "language model": [
        "check_get_feature_names_out_error",
        "check_global_output_transform_pandas",
        "check_global_set_output_transform_polars",
        "check_param_validation",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
    ],
    "classifier": ["check_param_validation"],
}

EXPECTED_SKIPS = {
    "check_array_api_input": "It asks for SCIPY_ARRAY_API=1. Its own test is in test_documents.py.",
}


def passes(check, *args) -> None:
    """Run a check. One that skips itself proves nothing, and fails unless it is known to."""
    try:
        check(*args)
    except SkipTest as skipped:
        name = getattr(check, "func", check).__name__
        if name not in EXPECTED_SKIPS:
            pytest.fail(f"{name} skipped itself: {skipped}")
        raise


def name_of(estimator) -> str:
    return next(name for name, known in ESTIMATORS.items() if known is estimator)


def expected_failures(estimator) -> dict[str, str]:
    return EXPECTED_FAILURES[name_of(estimator)]


@parametrize_with_checks(list(ESTIMATORS.values()), expected_failed_checks=expected_failures)
def test_common_check(estimator, check):
    passes(check, estimator)


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize(
    ("name", "check"), [(name, check) for name, some in FURTHER_CHECKS.items() for check in some]
)
def test_further_check(name, check):
    estimator = ESTIMATORS[name]
    passes(getattr(estimator_checks, check), type(estimator).__name__, estimator)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_there_are_enough_checks(name):
    estimator = ESTIMATORS[name]
    checks = [check.func for _, check in estimator_checks.estimator_checks_generator(estimator)]
    checks += [getattr(estimator_checks, check) for check in FURTHER_CHECKS.get(name, ())]
    excepted = {*EXPECTED_FAILURES[name], *EXPECTED_SKIPS}
    assert sum(check.__name__ not in excepted for check in checks) >= 50
    assert len(EXPECTED_FAILURES[name]) <= 2


@pytest.mark.parametrize("name", ["classifier", "pipeline"])
def test_classes_as_scikit_learn_checks_them_for_semi_supervised_classifiers(name):
    estimator_checks.check_classifiers_classes("LabelPropagation", ESTIMATORS[name])


@pytest.mark.parametrize("name", ["classifier", "pipeline"])
@pytest.mark.parametrize("dtype", [str, object])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classes_that_are_words(name, dtype, n_classes):
    X, y = make_blobs(n_samples=30, centers=n_classes, random_state=0, cluster_std=0.1)
    X = StandardScaler().fit_transform(X)
    words = np.array(["two", "one", "three"]).astype(dtype)[y]
    fitted = clone(ESTIMATORS[name]).fit(X, words)
    assert list(fitted.classes_) == sorted(set(words))
    assert set(fitted.predict(X)) <= set(words)


def test_texts_of_weight_zero_are_as_good_as_left_out():
    texts, y = banking(3, 20)
    documents = language_model(max_epochs=1).fit(texts).transform(texts)
    weights = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    some = weights > 0
    assert not some.all() and set(y[some]) == set(y)
    weighted = classifier().fit(documents, y, sample_weight=weights)
    left_out = classifier().fit(documents[some], y[some], sample_weight=weights[some])
    np.testing.assert_array_equal(
        weighted.predict_proba(documents), left_out.predict_proba(documents)
    )
