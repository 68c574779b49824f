"""Documents as bags of words: products, whatever the documents hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from sk_ulmfit.text.bag_of_words import mean_vectors, tfidf, unit_rows
from sk_ulmfit.text.token_lists import TokenLists

RNG = np.random.default_rng(0)
N_IDS = 20_000


def token_lists(*lengths):
    return TokenLists.from_lists([RNG.integers(0, N_IDS, length) for length in lengths])


@pytest.mark.parametrize("lengths", [(1,), (3, 1, 12, 7), (9_000, 2, 30_000)], ids=str)
def test_products_are_those_of_scipy(lengths):
    documents = token_lists(*lengths)
    words = np.unique(RNG.integers(0, N_IDS, 15_000))
    rows = tfidf(documents, words, RNG.uniform(1, 5, len(words)).astype("f4"))
    sparse = csr_array(tuple(rows), (len(lengths), len(words)))
    matrix = RNG.normal(size=(len(words), 3)).astype("f4")
    found = rows.product(matrix)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, sparse @ matrix, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_means_are_weighted_by_the_tokens(dtype):
    documents = token_lists(5, 1, 10_000)
    vectors = (20 * RNG.normal(size=(N_IDS, 4))).astype(dtype)
    weights = RNG.uniform(0.1, 1, N_IDS).astype("f4")
    parts = [documents.document(row) for row in range(len(documents))]
    expected = [np.average(vectors[ids], axis=0, weights=weights[ids]) for ids in parts]
    found = mean_vectors(documents, vectors, weights)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("words", [[], [3], [3, N_IDS + 1]], ids=str)
def test_documents_without_words_are_rows_of_zeros(words):
    documents = TokenLists.from_lists([np.array([2, 5]), np.array([4])])
    rows = tfidf(documents, np.array(words, np.int64), np.ones(len(words), np.float32))
    found = rows.product(np.ones((len(words), 2), np.float32))
    assert found.shape == (2, 2) and not found.any()


def test_directions_have_length_1_where_there_is_one():
    found = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
