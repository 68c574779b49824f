"""Labels as they come from users, as numbers for the network; and which texts are set aside."""

from __future__ import annotations

import reprlib
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from ._warnings import warn
from .documents import EncodedDocuments, texts_or_documents
from .text.token_lists import TokenLists
from .text.validation import is_missing
from .training.classifier import Labelled
from .training.net import split_rows

_SEVERAL_LABELS = (
    "Make an indicator matrix of several labels a text: "
    "sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)."
)

# What to do about a label that is none of the classes.
_NEW_CLASS = (
    "What was trained cannot learn another class: fit anew on texts of all of them (without "
    "warm_start), or tell partial_fit of all in its first call, classes=[...]."
)
_UNKNOWN_CLASS = "No text of y has it: leave these texts out, or give some of them to y."

# As many classes as texts are no mistake in a toy example.
_FEW_TEXTS = 20

# Beyond it squares of gradients would leave float32.
_LARGEST_WEIGHT = 1e12

# What can be a class, by numpy's letter for the kind of an array, and what compares with what.
_COMPARABLE = {**dict.fromkeys("biuf", "number"), "U": "str", "M": "date"}


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


class Labels(NamedTuple):
    """Labels as users gave them, in one dtype.

    Attributes
    ----------
    values : ndarray of shape (n_labelled,) or (n, n_outputs)
        Of the rows that have a label. Of several columns every row has.
    labelled : ndarray of shape (n,), bool
    n_minus_one : int
        How many rows have none because they are -1.
    """

    values: np.ndarray
    labelled: np.ndarray
    n_minus_one: int


def encode_targets(
    y: Any, n_rows: int, classes: np.ndarray | None = None, name: str = "y"
) -> Targets:
    """Check and encode labels.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Labels; -1 (numbers) or what is missing (None, NaN, NA, masked) where there is none. Two
        dimensions: an indicator matrix.
    n_rows : int
        Number of texts.
    classes : ndarray, default=None
        The classes that are possible; those found in `y` if None.
    name : str, default="y"
        What error messages call the labels.

    Raises
    ------
    ValueError
        If labels are missing, inconsistent with the texts, or of a kind that cannot be classes.

    Warns
    -----
    UserWarning
        If -1 may have been meant as a class.
    """
    if y is None:
        raise ValueError(
            "ULMFiTClassifier requires y to be passed, but the target y is None. Texts without "
            "labels train a ULMFiTLanguageModel."
        )
    if n_rows == 0:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    labels = read_labels(y, n_rows, name)
    known, labelled = labels.values, labels.labelled
    if known.ndim == 2:
        return _indicator_targets(known, classes)
    if not labelled.any():
        raise ValueError(f"No text has a label: every {name} is -1 or missing.")
    if classes is None:
        classes, codes = np.unique(known, return_inverse=True)
        _check_minus_one(labels, classes)
        _check_repeated(known, classes)
        return Targets(labelled, codes.astype(np.int64), classes, multilabel=False)
    if _COMPARABLE[known.dtype.kind] == _COMPARABLE[classes.dtype.kind]:
        codes = np.searchsorted(classes, known).clip(max=len(classes) - 1)
        unknown = classes[codes] != known
    else:
        unknown = np.ones(len(known), bool)
    if unknown.any():
        raise ValueError(
            f"{name} has the label {known[unknown].tolist()[0]!r}, which is not among the classes "
            f"{reprlib.repr(classes.tolist())}. {_NEW_CLASS if name == 'y' else _UNKNOWN_CLASS}"
        )
    return Targets(labelled, codes.astype(np.int64), classes, multilabel=False)


def read_classes(classes: Any) -> np.ndarray:
    """Sort the classes that a user lists.

    Raises
    ------
    ValueError
        If there are none, or one is missing or -1, or they cannot be classes.
    """
    listed = list(classes) if isinstance(classes, Set) else classes
    values, labelled, n_minus_one = read_labels(listed, name="classes")
    if n_minus_one:
        raise ValueError("-1 cannot be one of the classes: y == -1 means 'not labelled'.")
    if values.ndim != 1 or not len(values) or not labelled.all():
        raise ValueError(f"classes must be a list of labels, of which none is missing: {classes!r}")
    return np.unique(values)


def read_labels(y: Any, n_rows: int | None = None, name: str = "y") -> Labels:
    """Find out which rows have a label, and give the labels a common dtype.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
    n_rows : int, default=None
        How many there have to be.
    name : str, default="y"
        What error messages call them.
    """
    array = _as_array(y, name)
    if array.ndim == 0:
        raise ValueError(f"{name} has to be a list or an array of labels, got {type(y).__name__}.")
    if n_rows not in (None, len(array)):
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {n_rows} texts, "
            f"{len(array)} labels."
        )
    if array.ndim == 2 and array.shape[1] > 1:
        if array.dtype == object and not any(map(is_missing, array.flat)):
            array = np.asarray(array.tolist())  # of pandas' own booleans and integers, say
        return Labels(array, np.ones(len(array), bool), 0)
    array = column_or_1d(array, warn=True)
    kind = array.dtype.kind
    minus_one = missing = np.zeros(len(array), bool)
    if kind == "O":
        minus_one = np.array([isinstance(label, Real) and label == -1 for label in array], bool)
        missing = np.array([is_missing(label) for label in array], bool)
    elif kind in "if":
        minus_one, missing = array == -1, np.isnan(array)
    elif kind in "mM":
        missing = np.isnat(array)
    labelled = ~(minus_one | missing)
    return Labels(_of_one_kind(array[labelled], name), labelled, int(minus_one.sum()))


def _as_array(y: Any, name: str) -> np.ndarray:
    """Turn any container into an array in which labels are what they were, and missing ones too."""
    if hasattr(type(y), "toarray"):
        return np.asarray(y.toarray())
    if hasattr(type(y), "columns") and y.shape[1] == 1:
        y = y[y.columns[0]]
    if isinstance(y, np.ma.MaskedArray):
        array = np.array(y.data, dtype=None if y.dtype.kind in "mM" else object)
        array[np.ma.getmaskarray(y)] = "NaT" if y.dtype.kind in "mM" else None
        return array
    try:
        array = np.asarray(y)
    except ValueError as error:
        raise ValueError(f"{name} has rows of different lengths. {_SEVERAL_LABELS}") from error
    if array.dtype.kind == "T":  # numpy's strings of any length
        return array.astype(object)
    if array.ndim == 1 and array.dtype.kind in "fUO" and not isinstance(y, np.ndarray):
        # Where one label is missing numpy makes floats of whole numbers, where one is a str it
        # makes all of them so: as objects they stay what they are.
        ways = [name for name in ("tolist", "to_pylist") if hasattr(type(y), name)]
        items = getattr(y, ways[0])() if ways else [*y]
        array = np.fromiter(items, dtype=object, count=len(items))
    return array


def _of_one_kind(labels: np.ndarray, name: str) -> np.ndarray:
    """Give labels the dtype that they have in common, or refuse them."""
    if not len(labels):
        return labels
    plain = labels.tolist()
    types = sorted({type(label).__name__ for label in plain})
    if labels.dtype == object:
        # (numpy would cut members of an enumeration of str to their first letters)
        plain = [str.__str__(label) if isinstance(label, str) else label for label in plain]
        with suppress(ValueError):  # of collections of different lengths
            labels = np.asarray(plain)
    if labels.ndim != 1 or labels.dtype.kind not in _COMPARABLE:
        collections = {"tuple", "list", "set", "frozenset", "ndarray"}.intersection(types)
        hint = _SEVERAL_LABELS if collections else "Make a str of each."
        raise ValueError(
            f"{name} has labels of the type {types[0]}, which cannot be classes. {hint}"
        )
    if labels.dtype.kind == "U" and not all(isinstance(label, str) for label in plain):
        raise ValueError(
            f"{name} mixes labels of the types {' and '.join(types)}: convert them to one of these."
        )
    if labels.dtype == np.longdouble:
        labels = labels.astype(np.float64)
    # numpy drops "\0" at the end of a str, and makes floats of whole numbers beyond 64 bits.
    if labels.dtype.kind in "fU" and labels.tolist() != plain:
        raise ValueError(
            f"{name} has labels that an array of {labels.dtype.name} cannot hold as they are: it "
            "would take them for other ones. Name the classes otherwise."
        )
    if labels.dtype.kind == "f":
        check_classification_targets(labels)  # whole numbers only
    return labels


def _check_minus_one(labels: Labels, classes: np.ndarray) -> None:
    """Say, before it is learned from, that -1 is not taken for a class."""
    if len(classes) == 1 and not labels.labelled.all():
        raise ValueError(
            f"Only one class ({classes.tolist()[0]!r}) is left among the texts with a label: "
            "y == -1 means 'not labelled'. If -1 is one of your classes, name it otherwise."
        )
    if not labels.n_minus_one or _COMPARABLE[classes.dtype.kind] != "number":
        return
    warn(
        f"{labels.n_minus_one} of {len(labels.labelled)} texts have y == -1, which means 'not "
        "labelled': no class is learned from them. If -1 is one of your classes, name it "
        "otherwise; if not, None in its place says so without this warning."
    )


def _check_repeated(known: np.ndarray, classes: np.ndarray) -> None:
    """Say that nothing can be learned of labels that all differ: they may be the texts."""
    if classes.dtype.kind == "U" and len(known) == len(classes) >= _FEW_TEXTS:
        warn(
            f"Every one of the {len(known)} texts has a class of its own, the first "
            f"{reprlib.repr(known.tolist()[0])}: fit(X, y) takes the texts first and their labels "
            "second."
        )


def _indicator_targets(y: np.ndarray, classes: np.ndarray | None) -> Targets:
    y = check_array(y, dtype=None, ensure_all_finite=False)
    values = list(y.flat) if y.dtype.kind in "ifO" else []
    if any(map(is_missing, values)) or {-1, 0} <= {value for value in values if value in (-1, 0)}:
        raise ValueError(
            "y has entries that are missing or -1, which a multilabel problem cannot have: every "
            "text needs all of its labels, 0 or 1. Otherwise leave these texts out, and let a "
            "ULMFiTLanguageModel learn from them."
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
            f"{reprlib.repr(classes.tolist())}: leave classes out."
        )
    return Targets(np.ones(len(y), bool), y.astype(np.float32), outputs, multilabel=True)


def document_weights(
    targets: Targets,
    class_weight: Any,
    sample_weight: np.ndarray | None,
    *,
    relative: bool = True,
) -> np.ndarray:
    """Weight of every labelled document in the loss.

    Parameters
    ----------
    targets : Targets
    class_weight : dict, "balanced" or None
    sample_weight : ndarray of shape (n_labelled,) or None
    relative : bool, default=True
        Whether only ratios of weights count: the mean of those above 0 is 1 then. Not so where
        the documents are some of many, of which other calls have the others.
    """
    n = len(targets.codes)
    weights = np.ones(n) if sample_weight is None else sample_weight.astype(np.float64)
    if class_weight is not None:
        if targets.multilabel:
            raise ValueError(
                "class_weight is for one label a text. Weigh the texts of a multilabel problem "
                "with sample_weight."
            )
        if class_weight == "balanced" and not relative:
            raise ValueError(
                'class_weight="balanced" cannot be told from the texts of one partial_fit: set '
                "class_weight to a dict, for example of sklearn.utils.class_weight."
                'compute_class_weight("balanced", classes=classes, y=y) of all labels.'
            )
        # A weight of zero means the same as leaving the text out: it does not count here either.
        counted = targets.codes[weights > 0]
        of_classes = _weights_of_classes(targets.classes, counted, class_weight)
        if relative and class_weight != "balanced":
            of_classes = _scaled(of_classes)
        with np.errstate(over="ignore"):
            weights = (_scaled(weights) if relative else weights) * of_classes[targets.codes]
    if not weights.any():
        raise ValueError("The weights of all texts are zero: there is nothing to learn from.")
    if relative:
        weights = _scaled(weights)
        return weights * (np.count_nonzero(weights) / weights.sum())
    if weights.max() > _LARGEST_WEIGHT:
        raise ValueError(
            f"Weights in partial_fit count as they are, and {weights.max():.3g} is too large: "
            "divide class_weight or sample_weight by a constant."
        )
    return weights


def _scaled(weights: np.ndarray) -> np.ndarray:
    """Only ratios of weights count: those of 1e308 must not overflow when they are summed."""
    with np.errstate(over="ignore"):  # numpy 1 warns of numbers that are not in the array
        return weights / (weights.max() or 1.0)


def _weights_of_classes(classes: np.ndarray, codes: np.ndarray, class_weight: Any) -> np.ndarray:
    if class_weight == "balanced":
        weights = np.ones(len(classes))
        # Weights of classes that a fit which goes on lacks do not matter.
        if len(present := np.unique(codes)):
            weights[present] = compute_class_weight("balanced", classes=present, y=codes)
        return weights
    if classes.dtype.kind == "M":
        class_weight = {_date(key, classes.dtype): w for key, w in class_weight.items()}
    known = dict.fromkeys(classes.tolist())
    unknown = [label for label in class_weight if label not in known]
    # Some more are no matter, as in scikit-learn: a fold may lack a class. But a misspelt one
    # leaves another without a weight.
    if unknown and not class_weight.keys() >= known.keys():
        raise ValueError(
            f"class_weight has the class {unknown[0]!r}, which is not in {reprlib.repr([*known])}."
        )
    for label, weight in class_weight.items():
        if not _is_weight(weight):
            raise ValueError(
                "class_weight must hold finite numbers that are not negative: that of "
                f"{label!r} is none."
            )
    return np.array([float(class_weight.get(label, 1.0)) for label in known])


def _date(label: Any, dtype: np.dtype) -> Any:
    """A date of numpy, pandas or Python as an array's `tolist` gives it."""
    try:
        return np.datetime64(label).astype(dtype).item()
    except ValueError:
        return label  # none, and none of the classes


def _is_weight(value: Any) -> bool:
    try:
        return isinstance(value, (Real, Decimal)) and 0 <= float(value) < np.inf
    except (ValueError, OverflowError):  # of 10**400
        return False


def check_validation_set(
    X_val: Any, y_val: Any, targets: Targets
) -> tuple[list[str] | EncodedDocuments, Targets] | None:
    """Check a validation set of the user's own; None if there is none.

    Parameters
    ----------
    X_val : iterable of str, EncodedDocuments or None
    y_val : array-like or None
    targets : Targets
        Labels of the training texts.
    """
    if X_val is None and y_val is None:
        return None
    if X_val is None or y_val is None:
        raise ValueError("X_val and y_val go together: texts and their labels.")
    texts = texts_or_documents(X_val, "X_val")
    return texts, encode_targets(y_val, len(texts), targets.classes, name="y_val")


def set_aside(
    documents: TokenLists,
    targets: Targets,
    weights: np.ndarray,
    fraction: float | None,
    seed: int,
) -> tuple[Labelled, Labelled | None]:
    """Texts to train on, and texts set aside.

    Parameters
    ----------
    documents : TokenLists
        All texts, also those without a label, which are in neither part.
    targets : Targets
    weights : ndarray of shape (n_labelled,)
        Weight of every labelled text. One of zero means the same as leaving the text out.
    fraction : float or None
        How much is set aside; None: nothing.
    seed : int
    """
    documents = documents.take(np.flatnonzero(targets.labelled))
    rows = np.flatnonzero(weights)
    parts = [rows]
    if fraction is not None and len(rows) > 1:
        parts = [*split_labelled(targets, rows, fraction, seed)]
    labelled = [(documents.take(part), targets.codes[part], weights[part]) for part in parts]
    return labelled[0], labelled[1] if len(parts) > 1 and len(parts[1]) else None


def split_labelled(
    targets: Targets, rows: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split `rows` into those to train on and those that are set aside.

    Classes keep their shares where that can be done. Of every class at least one
    row stays, so that it is learned: of a class with one member, that.
    """
    if targets.multilabel:
        return split_rows(rows, fraction, seed)
    codes = targets.codes[rows]
    counts = np.bincount(codes)
    # A class with one member cannot be shared out: it goes with the largest.
    strata = np.where(counts[codes] == 1, counts.argmax(), codes)
    try:
        kept, held_out = split_rows(rows, fraction, seed, strata)
    except ValueError:  # fewer rows on one side than classes
        kept, held_out = split_rows(rows, fraction, seed)
    found, first = np.unique(targets.codes[held_out], return_index=True)
    back = first[~np.isin(found, targets.codes[kept])]
    return np.r_[kept, held_out[back]], np.delete(held_out, back)
