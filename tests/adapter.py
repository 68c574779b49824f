"""The estimators for rows of numbers, so that scikit-learn's common checks can be run on them.

Those checks pass matrices of numbers. Here every row becomes a text, in which each column with its
rounded value is a word, and the real estimators are trained on these texts. What a matrix must not
be (sparse, complex, one-dimensional, with NaN) is left to scikit-learn's own validation;
parameters, labels, weights, fitted state, set_output and all else are the estimators' own.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_array, validate_data

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel


def texts_from_rows(X: np.ndarray) -> list[str]:
    """Make a text of every row: [0.9, -2.1] becomes "c0p2 c1n4".

    Values are rounded to halves, so that words recur from row to row.
    """
    steps = np.rint(np.asarray(X, dtype=np.float64) * 2)
    return [
        " ".join(f"c{column}{'n' if v < 0 else 'p'}{abs(v):.0f}" for column, v in enumerate(row))
        for row in steps
    ]


class TakesRows:
    """What an estimator of texts needs to take rows of numbers instead."""

    def _fit_on_rows(self, fit, X, *args, **kwargs):
        texts = texts_from_rows(check_array(X, estimator=self))
        fit(texts, *args, **kwargs)
        # Only now: with an attribute set, the estimator would look fitted to its own `fit`.
        validate_data(self, X, skip_check_array=True)
        return self

    def _texts(self, X):
        if isinstance(X, list) and isinstance(next(iter(X), None), str):
            return X  # of a method that asks another one
        return texts_from_rows(validate_data(self, X, reset=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        assert tags.input_tags.string and not tags.input_tags.two_d_array
        tags.input_tags.string = False
        tags.input_tags.two_d_array = True
        return tags


class RowLanguageModel(TakesRows, ULMFiTLanguageModel):
    """`ULMFiTLanguageModel` for rows of numbers."""

    def fit(self, X, y=None):
        return self._fit_on_rows(super().fit, X, y)

    def partial_fit(self, X, y=None):
        if hasattr(self, "n_features_in_"):
            return super().partial_fit(self._texts(X), y)
        return self._fit_on_rows(super().partial_fit, X, y)

    def transform(self, X):
        # set_output wraps what a class defines, so this method too: once is enough.
        return ULMFiTLanguageModel.transform.__wrapped__(self, self._texts(X))

    def score(self, X, y=None):
        return super().score(self._texts(X), y)


class RowClassifier(TakesRows, ULMFiTClassifier):
    """`ULMFiTClassifier` for rows of numbers."""

    def fit(self, X, y, sample_weight=None):
        return self._fit_on_rows(super().fit, X, y, sample_weight=sample_weight)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        how = {"classes": classes, "sample_weight": sample_weight}
        if hasattr(self, "n_features_in_"):
            return super().partial_fit(self._texts(X), y, **how)
        return self._fit_on_rows(super().partial_fit, X, y, **how)

    def predict(self, X):
        return super().predict(self._texts(X))

    def predict_proba(self, X):
        return super().predict_proba(self._texts(X))

    def predict_log_proba(self, X):
        return super().predict_log_proba(self._texts(X))

    def decision_function(self, X):
        return super().decision_function(self._texts(X))

    def score(self, X, y, sample_weight=None):
        return super().score(self._texts(X), y, sample_weight)


class RowPipeline(ClassifierMixin, BaseEstimator):
    """A Pipeline of texts, whose last step is a classifier named "clf", for rows of numbers.

    The pipeline is cloned: `Pipeline.fit` puts fitted steps into its own parameter `steps`, which
    scikit-learn's checks count as a mistake of it.
    """

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def fit(self, X, y, sample_weight=None):
        texts = texts_from_rows(validate_data(self, X))
        weights = {} if sample_weight is None else {"clf__sample_weight": sample_weight}
        self.pipeline_ = clone(self.pipeline).fit(texts, y, **weights)
        return self

    @property
    def classes_(self):
        return self.pipeline_.classes_

    def _asked(self):
        # The real one says that it is not fitted, too.
        return getattr(self, "pipeline_", self.pipeline)

    def _texts(self, X):
        return texts_from_rows(validate_data(self, X, reset=False))

    def predict(self, X):
        return self._asked().predict(self._texts(X))

    def predict_proba(self, X):
        return self._asked().predict_proba(self._texts(X))

    def decision_function(self, X):
        return self._asked().decision_function(self._texts(X))

    def score(self, X, y, sample_weight=None):
        return self._asked().score(self._texts(X), y, sample_weight=sample_weight)

    def __sklearn_tags__(self):
        return get_tags(self.pipeline)
