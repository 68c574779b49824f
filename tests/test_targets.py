"""Labels as users have them."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_ulmfit._targets import document_weights, encode_targets, read_classes, split_labelled
from tests.helpers import banking, classifier, language_model


@pytest.fixture(scope="module")
def documents():
    texts, _ = banking(per_class=8)
    return language_model(max_epochs=0).fit(texts).transform(texts)


def labels_of(y, **options) -> tuple[list, list]:
    """Which rows have a label, and the classes."""
    targets = encode_targets(y, len(y), **options)
    return targets.labelled.tolist(), targets.classes.tolist()


class Kind(str, Enum):  # noqa: UP042 - as most have it; a StrEnum prints otherwise
    SPAM = "spam"
    STAMP = "stamp"


class Level(IntEnum):
    LOW = 3
    HIGH = 7


DAY, LATER = np.datetime64("2024-02-29"), np.datetime64("2025-01-01")

# Two labels of every kind, and what is missing among them in an array of their dtype.
LABELS = {
    "str": (["spam", "ham"], None),
    "long str": (["spam" * 50, "ham"], None),
    "int": ([3, 7], None),
    "large int": ([2**53 + 1, 2**53], None),
    "bool": ([True, False], None),
    "whole floats": ([2.0, 5.0], np.nan),
    "date": ([DAY, LATER], np.datetime64("NaT")),
    "enumeration": ([Kind.SPAM, Kind.STAMP], None),
    "numbered enumeration": ([Level.LOW, Level.HIGH], None),
}


def masked(y: list) -> np.ma.MaskedArray:
    filler = next(label for label in y if not pd.isna(label))
    data = CONTAINERS["numpy"]([filler if pd.isna(label) else label for label in y])
    return np.ma.masked_array(data, mask=[pd.isna(label) for label in y])


def in_polars(y: list) -> pl.Series:
    plain = [label.tolist() if isinstance(label, np.datetime64) else label for label in y]
    return pl.Series([getattr(label, "value", label) for label in plain], nan_to_null=True)


class Chunked:
    """As pyarrow's chunked arrays: what they hold when they are iterated over are no labels."""

    def __init__(self, y: list):
        self.y = y

    def __len__(self):
        return len(self.y)

    def __iter__(self):
        return iter([object() for _ in self.y])

    def __array__(self, dtype=None, copy=None):
        return np.array([np.nan if pd.isna(label) else label for label in self.y])

    def to_pylist(self):
        return [None if pd.isna(label) else label for label in self.y]


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "numpy": lambda y: np.array([getattr(label, "value", label) for label in y]),
    "objects": lambda y: np.array(y, dtype=object),
    "a column": lambda y: np.array(y, dtype=object)[:, None],
    "masked": masked,
    "pandas": pd.Series,
    "pandas, NA": lambda y: pd.Series(y, dtype=object).convert_dtypes(),
    "pandas, categories": lambda y: pd.Series(y, dtype="category"),
    "pandas, a column": lambda y: pd.DataFrame({"y": y}).convert_dtypes(),
    "polars": in_polars,
    "pyarrow": Chunked,
}


def cases():
    for kind, container in product(LABELS, CONTAINERS):
        yield kind, container, [0, 1, 1]
        # numpy makes objects of what has gaps, pandas other numbers of large ones
        if container != "numpy" and not ("pandas" in container and kind == "large int"):
            yield kind, container, [0, None, 1, 1]
            yield kind, container, [None, None, 1, 0]


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize("kind, container, rows", [*cases()])
def test_labels_stay_what_they_are_in_any_container(kind, container, rows):
    labels, missing = LABELS[kind]
    y = [missing if row is None else labels[row] for row in rows]
    targets = encode_targets(CONTAINERS[container](y), len(y))
    assert targets.labelled.tolist() == [row is not None for row in rows]
    known = [getattr(labels[row], "value", labels[row]) for row in rows if row is not None]
    found = targets.classes[targets.codes]
    if kind == "date":
        assert (found == np.array(known)).all() and found.dtype.kind == "M"
        return
    assert found.tolist() == known
    # pandas makes floats of whole numbers where some are missing, and of these whole numbers again
    if "pandas" not in container or isinstance(known[0], (str, bool)):
        assert [*map(type, found.tolist())] == [*map(type, known)]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, np.float32("nan")])
@pytest.mark.parametrize("labels", [["spam", "ham"], [3, 7], [False, True], [2.0, 5.0]])
def test_all_that_is_missing_is_no_class(labels, missing):
    y = [labels[0], missing, labels[1], labels[1]]
    expected = [True, False, True, True], sorted(labels)
    for container in (list, tuple, lambda y: pd.Series(y, dtype=object), CONTAINERS["objects"]):
        assert labels_of(container(y)) == expected


ANY_LABEL = st.one_of(
    st.text(),
    st.integers(),
    st.booleans(),
    st.floats(),
    st.sampled_from(
        [None, -1, pd.NA, np.nan, np.float32(1), np.int8(3), "a\0", 2**63, DAY, Kind.SPAM]
    ),
    st.tuples(st.text()),
)


@pytest.mark.filterwarnings("ignore:.*texts have y == -1")
@given(st.lists(ANY_LABEL, min_size=1) | st.lists(st.integers() | st.none(), min_size=1))
def test_labels_are_refused_or_stay_what_they_are(labels):
    y = np.fromiter(labels, dtype=object, count=len(labels)).tolist()
    try:
        targets = encode_targets(y, len(y))
    except ValueError:
        return
    known = [label for label, there in zip(y, targets.labelled, strict=True) if there]
    assert not any(label is None or label is pd.NA for label in known)
    assert targets.classes[targets.codes].tolist() == [getattr(k, "value", k) for k in known]


@pytest.mark.parametrize("y", [["spam", -1, "ham"], [None, "spam", "ham", -1.0, np.int8(-1)]])
def test_minus_one_among_strings_is_no_class(y):
    labelled, classes = labels_of(y)
    assert classes == ["ham", "spam"] and sum(labelled) == 2


@pytest.mark.parametrize("na_object", [{}, {"na_object": None}, {"na_object": np.nan}])
def test_numpys_strings_of_any_length(na_object):
    if not hasattr(np.dtypes, "StringDType"):
        pytest.skip("numpy before 2.0")
    y = ["spam", "ham", *na_object.values()]
    y = np.array(y, dtype=np.dtypes.StringDType(**na_object))
    assert labels_of(y) == ([True, True, False][: len(y)], ["ham", "spam"])


def test_longdouble_becomes_what_can_be_saved():
    y = np.array([0, 1, -1, np.nan], dtype=np.longdouble)
    with pytest.warns(UserWarning, match="1 of 4 texts have y == -1"):
        targets = encode_targets(y, 4)
    assert targets.classes.dtype == np.float64 and targets.labelled.tolist() == [1, 1, 0, 0]


REFUSED = {
    "timedelta": np.array([1, 2], "m8[s]"),
    "timedelta of pandas": pd.Series([1, 2], dtype="m8[ns]"),
    "bytes": np.array([b"spam", b"ham"]),
    "structured": np.array([(1,), (2,)], dtype=[("label", int)]),
    "tuples": np.fromiter([("a", "b"), ("c", "d")], object),
    "tuples of pandas": pd.Series([("a", "b"), ("c", "d")]),
    "lists": np.fromiter([["a"], ["b", "c"]], object),
    "sets": [{"a"}, {"b", "c"}],
    "Fraction": [Fraction(1, 2), Fraction(1, 3)],
    "Decimal": [Decimal("0.1"), Decimal("0.2")],
    "date of Python": [date(2024, 2, 29), date(2025, 1, 1)],
    "time zones": pd.Series(["2024-02-29", "2025-01-01"], dtype="datetime64[ns, UTC]"),
    "objects": [object(), object()],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_classes_is_refused_in_words(kind):
    with pytest.raises(ValueError, match="which cannot be classes"):
        encode_targets(REFUSED[kind], 2)
    if kind in ("sets", "lists", "tuples", "tuples of pandas"):
        with pytest.raises(ValueError, match="MultiLabelBinarizer"):
            encode_targets(REFUSED[kind], 2)


@pytest.mark.parametrize(
    "y", [["a\0", "a"], ["a\0", "b"], [2**64 + 1, 0.5], [-1, 2**63 + 1, 0], [2**53 + 1, 2.0]]
)
@pytest.mark.filterwarnings("error")
def test_labels_that_numpy_would_mistake_for_others_are_refused(y):
    with pytest.raises(ValueError, match=r"cannot hold as they are|cannot be classes"):
        encode_targets(y, len(y))


@pytest.mark.parametrize("y", [[0.5, 1.0], [0.1, None], np.array([0.1, 0.2])])
def test_numbers_that_are_not_whole_are_no_classes(y):
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        encode_targets(y, 2)


OTHERS = {
    "str": ["a", "b"],
    "number": [0, 1],
    "date": np.array([DAY, LATER]),
    "bool": [False, True],
}


@pytest.mark.parametrize("of_classes", OTHERS)
@pytest.mark.parametrize("of_y", OTHERS)
def test_labels_of_another_kind_than_the_classes(of_y, of_classes):
    classes, y = read_classes(OTHERS[of_classes]), OTHERS[of_y]
    if {of_y, of_classes} <= {"number", "bool"} or of_y == of_classes:
        assert encode_targets(y, 2, classes).codes.tolist() == [0, 1]
    else:
        with pytest.raises(ValueError, match="is not among the classes"):
            encode_targets(y, 2, classes)


@pytest.mark.parametrize("unit", ["D", "ns"])
@pytest.mark.parametrize(
    "day", [np.datetime64("2020-01-01"), date(2020, 1, 1), pd.Timestamp("2020-01-01")], ids=repr
)
def test_class_weight_of_dates(day, unit):
    y = np.array(["2020-01-01", "2021-01-01"] * 2, dtype=f"M8[{unit}]")
    targets = encode_targets(y, 4)
    np.testing.assert_allclose(document_weights(targets, {day: 3.0}, None), [1.5, 0.5] * 2)
    with pytest.raises(ValueError, match="which is not in"):
        document_weights(targets, {"some day": 3.0}, None)


def keys(classes):
    return dict.fromkeys(classes).keys()


@pytest.mark.parametrize(
    "container", [list, tuple, set, frozenset, keys, np.array, pd.Series, pd.Index, pl.Series]
)
def test_classes_in_any_container(container):
    assert read_classes(container(["b", "a", "a"])).tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "classes, message",
    [
        ([], "list of labels"),
        ("ab", "has to be a list or an array of labels, got str"),
        ((c for c in "ab"), "has to be a list or an array of labels, got generator"),
        (["a", None], "none is missing"),
        ({"a", 1}, "classes mixes labels of the types int and str"),
        ([-1, 0, 1], "-1 cannot be one of the classes"),
        (pd.Series([-1.0, 0.0]), "-1 cannot be one of the classes"),
    ],
)
def test_classes_that_cannot_be(classes, message):
    with pytest.raises(ValueError, match=message):
        read_classes(classes)


@pytest.mark.parametrize("y", [[-1, 0, 1], [-2, -1, 0, 1], np.array([-1.0, 0.0, 1.0])])
def test_minus_one_that_may_have_been_a_class_is_told_of(y):
    with pytest.warns(UserWarning, match="1 of . texts have y == -1"):
        encode_targets(y, len(y))


@pytest.mark.filterwarnings("error")
def test_no_warning_where_minus_one_cannot_be_a_class():
    encode_targets([None, 0, 1], 3)
    encode_targets([-1, "a", "b"], 3)
    encode_targets([-1, 0, 1], 3, np.array([0, 1]))


@pytest.mark.filterwarnings("error")
def test_thousands_of_classes_take_no_time():
    y = [f"class {i}" for i in range(20_000)] * 2
    start = time.perf_counter()
    targets = encode_targets(y, len(y))
    weights = dict.fromkeys(targets.classes.tolist(), 2)
    assert (document_weights(targets, weights, None) == 1).all()
    assert len(targets.classes) == 20_000
    assert time.perf_counter() - start < 5  # 0.2 s; what is quadratic takes minutes
    with pytest.raises(ValueError) as refused:
        encode_targets(["class x"], 1, targets.classes)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("container", [list, lambda y: np.array(y, dtype=object)])
def test_labels_of_mixed_types_are_refused(container):
    with pytest.raises(ValueError, match="mixes labels of the types int and str"):
        encode_targets(container(["spam", 1, "ham"]), 3)


@pytest.mark.parametrize("low, high", [(-1, 1), (1, 2), (0, 2), (0.0, 0.5), ("no", "yes")])
def test_a_matrix_that_is_not_zeros_and_ones_is_refused(low, high):
    y = np.where(np.random.default_rng(0).random((6, 3)) < 0.5, low, high)
    with pytest.raises(ValueError, match="indicator matrix of zeros and ones"):
        encode_targets(y, 6)


def test_a_matrix_of_zeros_and_ones_may_be_of_any_type():
    y = np.random.default_rng(0).integers(0, 2, (6, 3))
    for dtype in (bool, np.int8, float, object):
        targets = encode_targets(y.astype(dtype), 6)
        assert targets.multilabel and np.array_equal(targets.codes, y)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_matrix_with_rows_that_have_no_labels_is_refused(missing):
    with pytest.raises(ValueError, match="leave these texts out"):
        encode_targets([[0, 1], [missing, missing], [1, 0]], 3)


def test_lists_of_several_labels_are_told_how_to_become_a_matrix():
    with pytest.raises(ValueError, match="MultiLabelBinarizer"):
        encode_targets([["a", "b"], ["b"], []], 3)


def test_names_of_outputs_are_refused_at_once(documents):
    y = np.tile([[0, 1], [1, 0]], (12, 1))
    with pytest.raises(ValueError, match="leave classes out"):
        classifier().partial_fit(documents, y, classes=["age", "activate"])
    clf = classifier().partial_fit(documents, y, classes=[0, 1])
    assert clf.partial_fit(documents, y, classes=[0, 1]).classes_.tolist() == [0, 1]


def test_class_weight_may_name_a_class_that_a_fold_lacks(documents):
    _, y = banking(per_class=8)
    weights = dict.fromkeys(np.unique(y), 1.0)
    clf = classifier(max_epochs=1, class_weight={**weights, "lost_card": 5.0}).fit(documents, y)
    same = classifier(max_epochs=1, class_weight=weights).fit(documents, y)
    assert np.array_equal(clf.predict_proba(documents), same.predict_proba(documents))
    misspelt = {("Age" if name == "age" else name): 1.0 for name in weights}
    with pytest.raises(ValueError, match="'Age', which is not in"):
        classifier(class_weight=misspelt).fit(documents, y)


def test_balanced_weights_do_not_count_texts_of_weight_zero(documents):
    _, y = banking(per_class=8)
    weights = np.ones(len(y))
    weights[np.flatnonzero(y == "age")[:6]] = 0
    options = {"max_epochs": 2, "class_weight": "balanced"}
    weighed = classifier(**options).fit(documents, y, sample_weight=weights)
    rows = np.flatnonzero(weights)
    left_out = classifier(**options).fit(documents[rows], y[rows])
    np.testing.assert_allclose(
        weighed.predict_proba(documents), left_out.predict_proba(documents), atol=1e-5
    )


def split(codes: list[int], fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes of what is kept and of what is held out."""
    y = np.array(codes)
    kept, held_out = split_labelled(encode_targets(y, len(y)), np.arange(len(y)), fraction, seed)
    assert sorted([*kept, *held_out]) == list(range(len(y)))
    return y[kept], y[held_out]


@pytest.mark.parametrize(
    "codes", [[0] * 13 + [1] * 13 + [2] * 13 + [3], [*range(77)] * 2, [0, 1, 2], [0, 1], [0, 0]]
)
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_every_class_stays_in_training(codes, fraction):
    for seed in range(20):
        kept, _ = split(codes, fraction, seed)
        assert set(kept) == set(codes)


def test_a_class_with_one_text_leaves_the_others_their_shares():
    for seed in range(20):
        _, held_out = split([0] * 500 + [1] * 30 + [2], 0.1, seed)
        assert np.bincount(held_out).tolist() in ([50, 3], [51, 3])


def test_labels_that_all_differ_may_be_the_texts():
    texts = [f"question {i}" for i in range(30)]
    with pytest.warns(UserWarning, match="a class of its own.*labels second"):
        classifier(max_epochs=0).fit(["card", "app"] * 15, texts)


def test_minus_one_among_several_labels_is_told():
    y = np.array([[1, 0], [0, -1]] * 10)
    with pytest.raises(ValueError, match="missing or -1, which a multilabel problem cannot have"):
        classifier().fit(["card", "app"] * 10, y)
