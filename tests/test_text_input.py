"""What texts and labels may come in, and what is said of those that may not."""

from __future__ import annotations

import re
from collections import deque
from itertools import chain

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(3, 10)
CODES = np.unique(LABELS, return_inverse=True)[1]


def small_language_model(**params):
    return language_model(max_epochs=1, **params)


def small_classifier(**params):
    return classifier(**{"language_model": small_language_model(), "max_epochs": 2, **params})


@pytest.fixture(scope="module")
def lm():
    return small_language_model().fit(TEXTS)


@pytest.fixture(scope="module")
def documents(lm):
    return lm.transform(TEXTS)


@pytest.fixture(scope="module")
def clf():
    return small_classifier().fit(TEXTS, LABELS)


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "generator": lambda texts: (text for text in texts),
    "dict values": lambda texts: dict(enumerate(texts)).values(),
    "numpy object": lambda texts: np.array(texts, dtype=object),
    "numpy str": np.array,
    "list of numpy str": lambda texts: list(np.array(texts)),
    "pandas": pd.Series,
    "pandas, other index": lambda texts: pd.Series(texts, index=range(len(texts), 0, -1)),
    "pandas object": lambda texts: pd.Series(texts, dtype=object),
    "pandas string": lambda texts: pd.Series(texts, dtype="string"),
    "pandas category": lambda texts: pd.Series(texts, dtype="category"),
    "pandas index": pd.Index,
    "polars": pl.Series,
    "polars category": lambda texts: pl.Series(texts, dtype=pl.Categorical),
}
if hasattr(np.dtypes, "StringDType"):  # numpy 2
    CONTAINERS["numpy variable str"] = lambda texts: np.array(texts, dtype=np.dtypes.StringDType())

every_container = pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)


@every_container
def test_language_model_takes_any_container(lm, documents, container):
    fitted = small_language_model().fit(container(TEXTS))
    assert fitted.trained_.fingerprint == lm.trained_.fingerprint
    encoded = lm.transform(container(TEXTS))
    assert np.array_equal(encoded.tokens.ids, documents.tokens.ids)
    assert np.array_equal(encoded.tokens.offsets, documents.tokens.offsets)
    assert lm.score(container(TEXTS)) == lm.score(TEXTS)
    assert lm.perplexity(container(TEXTS)) == lm.perplexity(TEXTS)
    on, expected = (
        small_language_model().partial_fit(part(TEXTS[:9])).partial_fit(part(TEXTS[9:]))
        for part in (container, list)
    )
    assert on.trained_.fingerprint == expected.trained_.fingerprint


@every_container
def test_language_model_fits_and_transforms_any_container_at_once(documents, container):
    # A generator can be read once only: Pipeline.fit calls fit_transform, as it does of TF-IDF.
    encoded = small_language_model().fit_transform(container(TEXTS))
    assert np.array_equal(encoded.tokens.ids, documents.tokens.ids)
    assert encoded.language_model.fingerprint == documents.language_model.fingerprint


@every_container
def test_classifier_takes_any_container(clf, container):
    fitted = small_classifier().fit(container(TEXTS), LABELS)
    expected = clf.predict_proba(TEXTS)
    np.testing.assert_array_equal(fitted.predict_proba(TEXTS), expected)
    np.testing.assert_array_equal(clf.predict_proba(container(TEXTS)), expected)
    np.testing.assert_array_equal(clf.predict(container(TEXTS)), clf.predict(TEXTS))
    assert clf.score(container(TEXTS), LABELS) == clf.score(TEXTS, LABELS)
    on, expected = (
        small_classifier().partial_fit(part(TEXTS), LABELS).partial_fit(part(TEXTS[:9]), LABELS[:9])
        for part in (container, list)
    )
    np.testing.assert_array_equal(on.predict_proba(TEXTS), expected.predict_proba(TEXTS))


LABEL_CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "numpy object": lambda y: np.array(y, dtype=object),
    "pandas": pd.Series,
    "pandas, other index": lambda y: pd.Series(y, index=range(len(y), 0, -1)),
    "pandas object": lambda y: pd.Series(y, dtype=object),
    "pandas category": lambda y: pd.Series(y, dtype="category"),
    "polars": lambda y: pl.Series(y.tolist()),
}


@pytest.mark.parametrize("container", LABEL_CONTAINERS.values(), ids=LABEL_CONTAINERS)
@pytest.mark.parametrize("y", [LABELS, CODES], ids=["words", "numbers"])
def test_classifier_takes_labels_in_any_container(documents, container, y):
    expected = classifier(max_epochs=2).fit(documents, y)
    fitted = classifier(max_epochs=2).fit(documents, container(y))
    assert fitted.classes_.tolist() == expected.classes_.tolist()
    assert fitted.classes_.dtype.kind == expected.classes_.dtype.kind
    np.testing.assert_array_equal(
        fitted.predict_proba(documents), expected.predict_proba(documents)
    )


def test_nullable_numbers_of_pandas_are_labels(documents):
    fitted = classifier(max_epochs=1).fit(documents, pd.Series(CODES, dtype="Int64"))
    assert fitted.predict(documents).dtype.kind == "i"


SOME = np.arange(len(TEXTS)) < 20
MISSING_LABELS = {
    "None": np.where(SOME, LABELS.astype(object), None),
    "list with None": np.where(SOME, LABELS.astype(object), None).tolist(),
    # pandas makes NaN of None where it knows that the others are str.
    "pandas": pd.Series(np.where(SOME, LABELS.astype(object), None)),
    "pandas string": pd.Series(LABELS, dtype="string").where(SOME),
    "pandas category": pd.Series(LABELS, dtype="category").where(SOME),
    "polars": pl.Series(np.where(SOME, LABELS.astype(object), None).tolist()),
    "numbers": np.where(SOME, CODES, -1),
    "pandas, whole numbers": pd.Series(CODES).where(SOME),
    "pandas Int64": pd.Series(CODES, dtype="Int64").where(SOME),
    "polars, whole numbers": pl.Series(np.where(SOME, CODES.astype(object), None).tolist()),
    "masked": np.ma.masked_array(CODES, mask=~SOME),
}


@pytest.mark.filterwarnings("ignore:10 of 30 texts have y == -1")
@pytest.mark.parametrize("y", MISSING_LABELS.values(), ids=MISSING_LABELS)
def test_labels_that_are_missing_make_no_class(documents, y):
    expected = classifier(max_epochs=1).fit(documents[:20], LABELS[:20])
    fitted = classifier(max_epochs=1).fit(documents, y)
    assert len(fitted.classes_) == 3
    np.testing.assert_array_equal(
        fitted.predict_proba(documents), expected.predict_proba(documents)
    )


class Thing:
    """Nothing that could be taken for a text."""


def one_wrong(value) -> list:
    return [*TEXTS[:-1], value]


COLUMN = np.array(TEXTS)[:, None]
NUMBERS = np.arange(len(TEXTS))
# What, the kind of error, and what of its message tells people how to go on.
REFUSED = {
    "one str": ("Where is my card?", ValueError, r"single str: put it into a list, \[text\]"),
    "one numpy str": (np.str_("Where is my card?"), ValueError, "put it into a list"),
    "one text in an array": (np.array("Where is my card?"), ValueError, r"pass \[X.item\(\)\]"),
    "bytes": (b"Where is my card?", TypeError, "collection of texts, got bytes"),
    "None": (None, TypeError, "collection of texts, got NoneType"),
    "a number": (7, TypeError, "collection of texts, got int"),
    "pandas frame": (pd.DataFrame({"text": TEXTS}), TypeError, r'select the column.* df\["text"\]'),
    "polars frame": (pl.DataFrame({"text": TEXTS}), TypeError, r'select the column.* df\["text"\]'),
    "dict": (dict(enumerate(TEXTS)), TypeError, r"list\(mapping.values\(\)\)"),
    "set": (set(TEXTS), TypeError, r"pass sorted\(X\)"),
    "sparse": (sparse.csr_array(np.eye(len(TEXTS))), TypeError, "pass the texts themselves"),
    "column": (COLUMN, ValueError, r"shape \(30, 1\): pass X.ravel\(\)"),
    "row": (COLUMN.T, ValueError, r"shape \(1, 30\): pass X.ravel\(\)"),
    "two columns": (np.hstack([COLUMN, COLUMN]), ValueError, r"shape \(30, 2\): pass X\[:, 0\]"),
    "numbers in rows": (np.eye(len(TEXTS)), ValueError, "pass the texts themselves"),
    "nothing": ([], ValueError, r"0 sample\(s\).* X has no texts"),
    "empty array": (np.array([], dtype=str), ValueError, r"0 sample\(s\).* X has no texts"),
    "nothing generated": (chain(), ValueError, r"0 sample\(s\).* X has no texts"),
    "numbers": (NUMBERS, TypeError, r"X\[0\] is no text but int: .* convert it with str"),
    "list of numbers": (list(NUMBERS), TypeError, r"X\[0\] is no text .* convert it with str"),
    "one number": (one_wrong(1.5), TypeError, r"X\[29\] is no text but float: .* with str"),
    "one bytes": (one_wrong(b"card"), TypeError, r'X\[29\] .* bytes: decode it, text.decode\("utf'),
    "numpy bytes": (np.array(TEXTS).astype("S"), TypeError, r"X\[0\] .* bytes: decode it"),
    "one None": (one_wrong(None), ValueError, r'X\[29\] is missing \(None\): fill it.* with ""'),
    "one NaN": (one_wrong(np.nan), ValueError, r"X\[29\] is missing \(nan\): fill it"),
    "one NA": (one_wrong(pd.NA), ValueError, r"X\[29\] is missing \(<NA>\): fill it"),
    "pandas NaN": (pd.Series(one_wrong(None)), ValueError, r"X\[29\] is missing .* fill it"),
    "pandas NA": (
        pd.Series(one_wrong(None), dtype="string"),
        ValueError,
        r"X\[29\] is missing \(<NA>\): fill it",
    ),
    "polars null": (pl.Series(one_wrong(None)), ValueError, r"X\[29\] is missing .* fill it"),
    "tokens": ([text.split() for text in TEXTS], TypeError, r'X\[0\] .* list: .*" ".join\(tokens'),
    "one tuple": (one_wrong(("a", "b")), TypeError, r"X\[29\] is no text but tuple"),
    "one thing": (one_wrong(Thing()), TypeError, r"X\[29\] is no text but Thing: convert it"),
}


@pytest.mark.parametrize(("wrong", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_collection_of_texts_is_refused_with_what_to_do(lm, clf, wrong, error, message):
    calls = [
        lambda: small_language_model().fit(wrong),
        lambda: small_language_model().partial_fit(wrong),
        lambda: lm.transform(wrong),
        lambda: lm.score(wrong),
        lambda: lm.perplexity(wrong),
        lambda: small_classifier().fit(wrong, LABELS),
        lambda: small_classifier().partial_fit(wrong, LABELS),
        lambda: clf.predict(wrong),
        lambda: clf.predict_proba(wrong),
        lambda: clf.score(wrong, LABELS),
    ]
    for call in calls:
        with pytest.raises(error) as refusal:
            call()
        assert re.search(message, str(refusal.value)), str(refusal.value)


def test_documents_are_not_texts(documents):
    for call in (small_language_model().fit, small_language_model().fit(TEXTS).transform):
        with pytest.raises((TypeError, ValueError), match=r"encoded|the texts themselves"):
            call(documents)


def test_no_documents_are_refused(documents):
    fitted = classifier(max_epochs=1).fit(documents, LABELS)
    for call in (fitted.predict, fitted.predict_proba):
        with pytest.raises(ValueError, match=r"0 sample\(s\)"):
            call(documents[:0])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        classifier().fit(documents[:0], [])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        documents[:0].features()


def test_lengths_that_do_not_match_are_refused(documents):
    n = "inconsistent numbers of samples: 30 texts, 29 labels"
    for X in (TEXTS, documents):
        with pytest.raises(ValueError, match=n):
            small_classifier().fit(X, LABELS[:-1])
        with pytest.raises(ValueError, match=n):
            small_classifier().partial_fit(X, LABELS[:-1])
        with pytest.raises(ValueError, match=n):
            small_classifier().fit(X, np.eye(30, 4, dtype=int)[:-1])
        with pytest.raises(ValueError, match=r"sample_weight.* expected \(30,\)"):
            small_classifier().fit(X, LABELS, sample_weight=np.ones(29))
    with pytest.raises(ValueError, match="y has to be a list or an array of labels, got str"):
        small_classifier().fit(TEXTS, "card")
    fitted = small_classifier().fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.score(TEXTS, LABELS[:-1])


def test_texts_are_checked_once(tmp_path):
    """What is checked by a classifier is not by the language model that it trains."""
    names = []
    for i, text in enumerate(TEXTS):
        (tmp_path / f"{i}.txt").write_text(text, encoding="utf-8")
        names.append(str(tmp_path / f"{i}.txt"))
    with pytest.warns(UserWarning, match="names of files") as caught:
        small_classifier().fit(names, LABELS)
    assert len([w for w in caught if "names of files" in str(w.message)]) == 1
