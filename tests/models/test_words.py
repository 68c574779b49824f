"""The linear term over the words of a text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from sk_ulmfit.models.words import WordTerm
from sk_ulmfit.text.token_lists import TokenLists

DOCUMENTS = [[1, 5, 5, 9], [1, 7], [1], [1, 9, 5, 7, 7, 7]]
NO_WORDS = np.array([0, 1])


def token_lists(documents):
    return TokenLists.from_lists([np.array(document) for document in documents])


@pytest.fixture(scope="module")
def term():
    counted = WordTerm.of_documents(token_lists(DOCUMENTS), NO_WORDS)
    return replace(counted, coef=np.random.default_rng(3).normal(size=(2, 3)).astype("f4"))


def test_rows_are_those_of_scikit_learn(term):
    other = [[1, 7, 12, 9, 9], [1], [1, 30]]
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, analyzer=lambda document: [i for i in document if i > 1]
    ).fit(DOCUMENTS)
    for documents in (DOCUMENTS, other):
        rows = term.rows(token_lists(documents)).toarray()
        np.testing.assert_allclose(rows, vectorizer.transform(documents).toarray(), rtol=1e-6)


def test_a_document_says_the_same_in_any_company(term):
    together = term.logits(token_lists(DOCUMENTS))
    for document, row in zip(DOCUMENTS, together, strict=True):
        alone = term.logits(token_lists([document]))
        np.testing.assert_allclose(alone, [row], rtol=1e-6)


def test_texts_without_words():
    term = WordTerm.of_documents(token_lists([[1], [1, 0]]), NO_WORDS)
    assert term.rows(token_lists([[1, 4]])).shape == (1, 0)
    term = replace(term, coef=np.zeros((3, 0), np.float32))
    assert not term.logits(token_lists([[1, 4]])).any()


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
    ],
)
def test_arrays_that_do_not_fit_are_refused(term, damaged):
    term.check(10, 2)
    with pytest.raises(ValueError, match="do not fit"):
        WordTerm(**{**vars(term), **damaged}).check(10, 2)
