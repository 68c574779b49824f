"""The linear term over the words of a text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from sk_ulmfit.models.sentences import SentenceVectors
from sk_ulmfit.models.words import WordTerm
from sk_ulmfit.text.token_lists import TokenLists

DOCUMENTS = [[1, 5, 5, 9], [1, 7], [1], [1, 9, 5, 7, 7, 7]]
NO_WORDS = np.array([0, 1])


def token_lists(documents):
    return TokenLists.from_lists([np.array(document) for document in documents])


@pytest.fixture(scope="module")
def term():
    counted = WordTerm.of_documents(token_lists(DOCUMENTS), NO_WORDS)
    coef, meaning = (np.random.default_rng(n).normal(size=(2, n)).astype("f4") for n in (3, 4))
    return replace(counted, coef=coef, meaning=meaning)


@pytest.fixture(scope="module")
def sentences():
    rng = np.random.default_rng(0)
    shapes = {"words": (10, 4), "weights": (10,), "offset": (4,)}
    return SentenceVectors({name: rng.random(size).astype("f4") for name, size in shapes.items()})


def test_rows_are_those_of_scikit_learn(term):
    other = [[1, 7, 12, 9, 9], [1], [1, 30]]
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, analyzer=lambda document: [i for i in document if i > 1]
    ).fit(DOCUMENTS)
    for documents in (DOCUMENTS, other):
        rows = term.rows(token_lists(documents)).toarray()
        np.testing.assert_allclose(rows, vectorizer.transform(documents).toarray(), rtol=1e-6)


def test_a_document_says_the_same_in_any_company(term, sentences):
    together = term.logits(token_lists(DOCUMENTS), sentences)
    for document, row in zip(DOCUMENTS, together, strict=True):
        alone = term.logits(token_lists([document]), sentences)
        np.testing.assert_allclose(alone, [row], rtol=1e-6)


def test_meaning_is_the_direction_of_the_mean_of_the_words_vectors(term, sentences):
    counted = replace(term, meaning=term.meaning[:, :0])
    arrays = sentences.arrays
    mean = np.average(arrays["words"][[1, 7]], axis=0, weights=arrays["weights"][[1, 7]])
    mean += arrays["offset"]
    added = term.logits(token_lists([[1, 7]]), sentences)
    added -= counted.logits(token_lists([[1, 7]]), None)
    np.testing.assert_allclose(added[0], term.meaning @ mean / np.linalg.norm(mean), rtol=1e-5)


def test_texts_without_words():
    term = WordTerm.of_documents(token_lists([[1], [1, 0]]), NO_WORDS)
    assert term.rows(token_lists([[1, 4]])).shape == (1, 0)
    term = replace(term, coef=np.zeros((3, 0), np.float32))
    assert not term.logits(token_lists([[1, 4]]), None).any()


@pytest.mark.parametrize(
    "damaged",
    [
        {"ids": np.array([5, 9, 7])},
        {"ids": np.array([-1, 7, 9])},
        {"ids": np.array([5, 7, 10])},
        {"ids": np.array([5, 7])},
        {"idf": np.array([1.0, 0.0, 2.0])},
        {"idf": np.array([1.0, np.nan, 2.0])},
        {"coef": np.zeros((3, 3))},
        {"coef": np.full((2, 3), np.inf)},
        {"ids": np.array([5.0, 7.0, 9.0])},
        {"meaning": np.zeros((3, 4))},
        {"meaning": np.zeros((2, 5))},
        {"meaning": np.full((2, 4), np.nan)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(term, damaged):
    term.check(10, 2, 4)
    with pytest.raises(ValueError, match="do not fit"):
        WordTerm(**{**vars(term), **damaged}).check(10, 2, 4)
