"""Labels as they come from users, as numbers for the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from .text.validation import is_missing


@dataclass(frozen=True)
class Targets:
    """Encoded labels of a data set.

    Attributes
    ----------
    labelled : ndarray of shape (n,), bool
        Which rows have a label.
    codes : ndarray of shape (n_labelled,) or (n_labelled, n_outputs)
        Class numbers (int64), or 0/1 rows (float32) of a multilabel problem.
    classes : ndarray
        The classes; for multilabel problems the numbers of the outputs.
    multilabel : bool
    """

    labelled: np.ndarray
    codes: np.ndarray
    classes: np.ndarray
    multilabel: bool


def encode_targets(y: Any, n_rows: int, classes: np.ndarray | None = None) -> Targets:
    """Check and encode labels.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Labels; -1 (numbers) or None (objects) where there is none. Two dimensions: an indicator
        matrix.
    n_rows : int
        Number of texts.
    classes : ndarray, default=None
        The classes that are possible; those found in `y` if None.

    Raises
    ------
    ValueError
        If labels are missing, inconsistent with the texts, or of a kind that cannot be classes.
    """
    if y is None:
        raise ValueError(
            "ULMFiTClassifier requires y to be passed, but the target y is None. Texts without "
            "labels train a ULMFiTLanguageModel."
        )
    if n_rows == 0:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    y = _as_array(y)
    if y.ndim == 0 or len(y) != n_rows:
        found = "a single value" if y.ndim == 0 else f"{len(y)} labels"
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {n_rows} texts, {found}."
        )
    if y.ndim == 2 and y.shape[1] > 1:
        return _indicator_targets(y, classes)
    y = column_or_1d(y, warn=True)
    if classes is not None and classes.dtype.kind in "if" and -1 in classes:
        raise ValueError("-1 cannot be one of the classes: y == -1 means 'not labelled'.")
    labelled = _labelled(y)
    if not labelled.any():
        raise ValueError("No text has a label: every y is -1 or None.")
    known = y[labelled]
    if known.dtype == object:
        known = _of_one_kind(known)
    check_classification_targets(known)
    if classes is None:
        classes = np.unique(known)
        if len(classes) == 1 and not labelled.all():
            raise ValueError(
                f"Only one class ({classes.tolist()[0]!r}) is left among the texts with a label: "
                "y == -1 means 'not labelled'. If -1 is one of your classes, name it otherwise."
            )
    codes = np.searchsorted(classes, known).clip(max=len(classes) - 1)
    unknown = classes[codes] != known
    if unknown.any():
        raise ValueError(
            f"y has the label {known[unknown].tolist()[0]!r}, which is not among the classes "
            f"{classes.tolist()}."
        )
    return Targets(labelled, codes.astype(np.int64), classes, multilabel=False)


def _as_array(y: Any) -> np.ndarray:
    if hasattr(y, "toarray"):
        return np.asarray(y.toarray())
    try:
        array = np.asarray(y)
    except ValueError as error:
        raise ValueError(
            "y has rows of different lengths. Make an indicator matrix of several labels a text: "
            "sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)."
        ) from error
    if array.dtype.kind == "U" and array.ndim == 1 and not isinstance(y, np.ndarray):
        # As soon as one label is a str numpy makes all of them so: NaN would become a class.
        return np.array([*y], dtype=object)
    return array


def _labelled(y: np.ndarray) -> np.ndarray:
    if y.dtype == object:
        return np.array([not (is_missing(value) or _is_minus_one(value)) for value in y], bool)
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise ValueError("Input y contains NaN. Mark texts without a label by -1 or None.")
    return y != -1 if y.dtype.kind in "if" else np.ones(len(y), bool)


def _of_one_kind(labels: np.ndarray) -> np.ndarray:
    """Give labels that came as objects the dtype that they have in common."""
    # (numpy would cut members of an enumeration of str to their first letters)
    plain = [str.__str__(label) if isinstance(label, str) else label for label in labels.tolist()]
    converted = np.asarray(plain)
    if converted.dtype.kind == "U" and not all(isinstance(label, str) for label in labels):
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"y mixes labels of the types {' and '.join(kinds)}: convert them to one of these."
        )
    return converted


def _is_minus_one(value: Any) -> bool:
    return isinstance(value, Real) and value == -1


def _indicator_targets(y: np.ndarray, classes: np.ndarray | None) -> Targets:
    y = check_array(y, dtype=None, ensure_all_finite=False)
    if y.dtype.kind in "fO" and any(is_missing(value) for value in y.flat):
        raise ValueError(
            "y has rows without labels, which a multilabel problem cannot have: leave these texts "
            "out, and let a ULMFiTLanguageModel learn from them."
        )
    if y.dtype.kind not in "biufO" or not np.isin(y, (0, 1)).all():
        raise ValueError(
            "y with two columns or more must be an indicator matrix of zeros and ones (multilabel)."
            " Multi-output problems are not supported: wrap the classifier in "
            "sklearn.multioutput.MultiOutputClassifier."
        )
    outputs = np.arange(y.shape[1])
    if classes is not None and len(classes) != len(outputs):
        raise ValueError(f"y has {len(outputs)} columns, but there are {len(classes)} classes.")
    if classes is not None and not np.array_equal(classes, outputs):
        raise ValueError(
            "The classes of a multilabel problem are the numbers of y's columns, got "
            f"{classes.tolist()}: leave classes out."
        )
    return Targets(np.ones(len(y), bool), y.astype(np.float32), outputs, multilabel=True)


def document_weights(
    targets: Targets, class_weight: Any, sample_weight: np.ndarray | None
) -> np.ndarray:
    """Weight of every labelled document in the loss, of mean 1 where any is above 0.

    Parameters
    ----------
    targets : Targets
    class_weight : dict, "balanced" or None
    sample_weight : ndarray of shape (n_labelled,) or None
    """
    n = len(targets.codes)
    weights = np.ones(n) if sample_weight is None else sample_weight.astype(np.float64)
    if class_weight is not None:
        if targets.multilabel:
            raise ValueError(
                "class_weight is for one label a text. Weigh the texts of a multilabel problem "
                "with sample_weight."
            )
        # A weight of zero means the same as leaving the text out: it does not count here either.
        counted = targets.codes[weights > 0]
        weights = (
            _scaled(weights)
            * _weights_of_classes(targets.classes, counted, class_weight)[targets.codes]
        )
    weights = _scaled(weights)
    if not weights.any():
        raise ValueError("The weights of all texts are zero: there is nothing to learn from.")
    return weights * (np.count_nonzero(weights) / weights.sum())


def _scaled(weights: np.ndarray) -> np.ndarray:
    """Only ratios of weights count: those of 1e308 must not overflow when they are summed."""
    with np.errstate(over="ignore"):  # numpy 1 warns of numbers that are not in the array
        return weights / (weights.max() or 1.0)


def _weights_of_classes(classes: np.ndarray, codes: np.ndarray, class_weight: Any) -> np.ndarray:
    if class_weight == "balanced":
        weights = np.ones(len(classes))
        # Weights of classes that a batch of partial_fit lacks do not matter.
        if len(present := np.unique(codes)):
            weights[present] = compute_class_weight("balanced", classes=present, y=codes)
        return weights
    known = classes.tolist()
    unknown = [label for label in class_weight if label not in known]
    # Some more are no matter, as in scikit-learn: a fold may lack a class. But a misspelt one
    # leaves another without a weight.
    if unknown and not class_weight.keys() >= set(known):
        raise ValueError(f"class_weight has the class {unknown[0]!r}, which is not in {known}.")
    for label, weight in class_weight.items():
        if not isinstance(weight, Real) or not 0 <= float(weight) < np.inf:
            raise ValueError(
                "class_weight must hold finite numbers that are not negative, got "
                f"{weight!r} for {label!r}."
            )
    weights = np.array([class_weight.get(label, 1.0) for label in known], dtype=np.float64)
    return _scaled(weights)


def split_rows(
    targets: Targets, rows: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split `rows` for validation, keeping the classes' shares where that can be done.

    Of every class at least one row stays, so that it is learned: of a class with one member, that.
    """
    n_held_out = min(math.ceil(fraction * len(rows)), len(rows) - 1)
    options = {"test_size": n_held_out, "random_state": seed}
    if targets.multilabel:
        return train_test_split(rows, **options)
    codes = targets.codes[rows]
    counts = np.bincount(codes)
    # A class with one member cannot be shared out: it goes with the largest.
    strata = np.where(counts[codes] == 1, counts.argmax(), codes)
    try:
        kept, held_out = train_test_split(rows, stratify=strata, **options)
    except ValueError:  # fewer rows on one side than classes
        kept, held_out = train_test_split(rows, **options)
    found, first = np.unique(targets.codes[held_out], return_index=True)
    back = first[~np.isin(found, targets.codes[kept])]
    return np.r_[kept, held_out[back]], np.delete(held_out, back)
