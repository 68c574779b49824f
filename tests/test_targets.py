"""Labels as users have them."""

from __future__ import annotations

from enum import Enum

import numpy as np
import pandas as pd
import pytest

from sk_ulmfit._targets import encode_targets, split_rows
from tests.helpers import banking, classifier, language_model


@pytest.fixture(scope="module")
def documents():
    texts, _ = banking(per_class=8)
    return language_model(max_epochs=0).fit(texts).transform(texts)


def labels_of(y, **options) -> tuple[list, list]:
    """Which rows have a label, and the classes."""
    targets = encode_targets(y, len(y), **options)
    return targets.labelled.tolist(), targets.classes.tolist()


@pytest.mark.parametrize("missing", [float("nan"), None, pd.NA, -1])
@pytest.mark.parametrize("container", [list, tuple, pd.Series])
def test_what_is_missing_among_strings_is_no_class(container, missing):
    y = container(["spam", missing, "ham", "ham"])
    assert labels_of(y) == ([True, False, True, True], ["ham", "spam"])


@pytest.mark.parametrize("container", [list, lambda y: np.array(y, dtype=object)])
def test_labels_of_mixed_types_are_refused(container):
    with pytest.raises(ValueError, match="mixes labels of the types int and str"):
        encode_targets(container(["spam", 1, "ham"]), 3)


def test_members_of_an_enumeration_stay_what_they_are():
    class Kind(str, Enum):  # noqa: UP042 - as most have it; a StrEnum prints otherwise
        SPAM = "spam"
        STAMP = "stamp"

    assert labels_of([Kind.SPAM, Kind.STAMP, "spam"])[1] == ["spam", "stamp"]
    assert labels_of(pd.Series([Kind.SPAM, Kind.STAMP]))[1] == ["spam", "stamp"]


def test_minus_one_means_not_labelled_for_floats_too():
    y = pd.Series([0.0, 1.0, np.nan, 1.0])
    with pytest.raises(ValueError, match="by -1 or None"):
        encode_targets(y, 4)
    assert labels_of(y.fillna(-1)) == ([True, True, False, True], [0.0, 1.0])
    assert labels_of(y.fillna(-1).astype(object)) == ([True, True, False, True], [0.0, 1.0])
    with pytest.raises(ValueError, match="-1 cannot be one of the classes"):
        encode_targets(y.fillna(-1), 4, classes=np.array([-1.0, 0.0, 1.0]))


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
    kept, held_out = split_rows(encode_targets(y, len(y)), np.arange(len(y)), fraction, seed)
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
