"""Probabilities to trust: temperature scaling, and how far probabilities are off."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.utils.validation import check_consistent_length

from .models.classifier import log_probabilities
from .text.validation import is_missing

__all__ = ["expected_calibration_error"]

# How far from 1 probabilities may sum up to: those of half precision do not get nearer.
_ROUNDING = 1e-2

_MOST_BINS = 1_000_000

# Between them a temperature makes anything from certainty to nearly equal chances.
_LOWEST, _HIGHEST = 0.05, 20.0

# How far a temperature is expected to be from 1, as a standard deviation of its logarithm. A few
# held-out texts that all happen to be right would otherwise ask for certainty.
_EXPECTED_SPREAD = 0.5


def fit_temperature(
    logits: Sequence[np.ndarray], targets: np.ndarray, weights: np.ndarray, multilabel: bool
) -> float:
    """Find the temperature at which held-out labels are most probable [1]_.

    It is one number, so a few dozen texts are enough to find it, and it changes no prediction of a
    single network (the average over two directions may change where they disagree). It is held near
    1 by a prior that only few texts feel.

    Parameters
    ----------
    logits : sequence of ndarray of shape (n, n_outputs)
        Of each network, whose probabilities are averaged.
    targets : ndarray of shape (n,) or (n, n_outputs)
        Class numbers, or 0/1 rows for multilabel problems.
    weights : ndarray of shape (n,)
    multilabel : bool

    Returns
    -------
    float
        Above 1 where the networks were too sure.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
       Networks", ICML 2017.
    """

    def loss(log_temperature: float) -> float:
        mean = held_out_loss(logits, np.exp(log_temperature), targets, weights, multilabel)
        return len(targets) * mean + (log_temperature / _EXPECTED_SPREAD) ** 2 / 2

    bounds = (np.log(_LOWEST), np.log(_HIGHEST))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def held_out_loss(
    logits: Sequence[np.ndarray],
    temperature: float,
    targets: np.ndarray,
    weights: np.ndarray,
    multilabel: bool,
) -> float:
    """Weighted mean of the cross entropy of averaged probabilities.

    Parameters
    ----------
    logits, targets, weights, multilabel
        As for `fit_temperature`.
    temperature : float
    """
    # The probability that a label is not there is that of its negative logit.
    of_truth = [np.where(targets, one, -one) for one in logits] if multilabel else logits
    log_p = log_probabilities(of_truth, temperature, multilabel)
    if not multilabel:
        log_p = log_p[np.arange(len(targets)), targets, None]
    return -float(np.average(log_p.mean(axis=1), weights=weights))


def expected_calibration_error(
    y_true: Any, y_proba: Any, *, classes: Any = None, n_bins: int = 15
) -> float:
    """Mean distance between how sure predictions are and how often they are right.

    Predictions are put into bins by their probability; in each, the mean probability is compared
    with the share of right ones [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_texts,)
        True labels.
    y_proba : array-like of shape (n_texts, n_classes)
        Probabilities, as `predict_proba` gives them.
    classes : array-like of shape (n_classes,), default=None
        Labels of the columns (`classes_` of a classifier); the sorted labels of `y_true` if None.
    n_bins : int, default=15
        Predictions are put into so many bins of equal width by the probability of the predicted
        class.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If the shapes do not fit together, `y_proba` are no probabilities, a label is none of the
        classes or missing, or `n_bins` is no whole number from 1 to 1,000,000.

    References
    ----------
    .. [1] M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining Well Calibrated Probabilities
       Using Bayesian Binning", AAAI 2015.

    Examples
    --------
    >>> from sk_ulmfit.calibration import expected_calibration_error
    >>> round(expected_calibration_error(["a", "b"], [[0.9, 0.1], [0.6, 0.4]]), 2)
    0.35
    """
    if not isinstance(n_bins, Integral) or not 1 <= n_bins <= _MOST_BINS:
        raise ValueError(
            f"n_bins must be a whole number from 1 to {_MOST_BINS}, got {n_bins!r:.80}."
        )
    n_bins = int(n_bins)
    confidence, right = top_predictions(y_true, y_proba, classes)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    off = np.bincount(bins, weights=confidence - right, minlength=n_bins)
    # |mean confidence - accuracy| of every bin, weighted by its share of the predictions
    return float(np.abs(off).sum() / counts.sum())


def top_predictions(y_true: Any, y_proba: Any, classes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Probability of each predicted class, and whether it is the right one.

    Parameters
    ----------
    y_true : array-like of shape (n_texts,)
    y_proba : array-like of shape (n_texts, n_classes)
    classes : array-like of shape (n_classes,) or None

    Returns
    -------
    confidence : ndarray of shape (n_texts,)
    right : ndarray of bool of shape (n_texts,)

    Raises
    ------
    ValueError
    """
    y_true, y_proba = np.asarray(y_true), np.asarray(y_proba, dtype=float)
    check_consistent_length(y_true, y_proba)
    if y_true.dtype == object and any(map(is_missing, y_true.flat)):
        raise ValueError("y_true has texts without a label: leave them out.")
    classes = np.unique(y_true) if classes is None else np.asarray(classes)
    if y_true.ndim != 1 or y_proba.ndim != 2 or y_proba.shape[1] != len(classes):
        raise ValueError(
            f"y_proba of shape {y_proba.shape} needs a column for each of {len(classes)} classes, "
            f"and y_true of shape {y_true.shape} one label a row. Pass classes=clf.classes_ if not "
            "all of them are in y_true."
        )
    if not len(y_true):
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    possible = (y_proba >= 0).all() and np.isfinite(y_proba).all()
    if not possible or not np.allclose(y_proba.sum(axis=1), 1, rtol=0, atol=_ROUNDING):
        raise ValueError(
            "y_proba has to hold probabilities, whose rows are from 0 up and sum to 1, as "
            "predict_proba gives them."
        )
    if not (known := np.isin(y_true, classes)).all():
        raise ValueError(
            f"y_true has the label {y_true[~known].tolist()[0]!r}, which is none of the classes."
        )
    return y_proba.max(axis=1), classes[y_proba.argmax(axis=1)] == y_true
