"""Documents as bags of words, by numpy alone: what serves has no scipy."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .token_lists import TokenLists

# Values that are multiplied at once: a document of a million tokens takes no more memory.
_AT_ONCE = 4096

# What keeps a row of zeros from a division by its length.
_ABOVE_ZERO = np.float32(1e-9)


class SparseRows(NamedTuple):
    """A row of numbers for each document, as `scipy.sparse.csr_array` holds them.

    Parameters
    ----------
    values : ndarray of shape (n_values,), float32
    columns : ndarray of shape (n_values,), an integer type
        Where in its row every value is.
    offsets : ndarray of shape (n_documents + 1,), an integer type
        The values of document ``i`` are ``values[offsets[i]:offsets[i + 1]]``.
    """

    values: np.ndarray
    columns: np.ndarray
    offsets: np.ndarray

    @classmethod
    def in_order(
        cls, row: np.ndarray, columns: np.ndarray, values: np.ndarray, n_rows: int
    ) -> SparseRows:
        """Rows of values that are given in order of their rows."""
        offsets = np.searchsorted(row, np.arange(n_rows + 1))
        return cls(values.astype(np.float32), columns, offsets)

    def product(self, matrix: np.ndarray) -> np.ndarray:
        """Multiply by a matrix, shape (n_columns, n) to (n_documents, n), float32."""
        found = np.zeros((len(self.offsets) - 1, matrix.shape[1]), np.float32)
        for row, (begin, end) in enumerate(pairwise(self.offsets.tolist())):
            for start in range(begin, end, _AT_ONCE):
                part = slice(start, min(start + _AT_ONCE, end))
                factors = matrix[self.columns[part]].astype(np.float32, copy=False)
                found[row] += self.values[part] @ factors
        return found


def tfidf(documents: TokenLists, words: np.ndarray, idf: np.ndarray) -> SparseRows:
    """Count words of documents by TF-IDF: rare ones more, further ones of a kind less.

    Parameters
    ----------
    documents : TokenLists
    words : ndarray of shape (n_words,), int64
        Ids of the words, in rising order. Others are not counted.
    idf : ndarray of shape (n_words,)
        Inverse document frequencies.

    Returns
    -------
    SparseRows
        With a column for each word, of length 1 or zero.
    """
    row, ids, counts = _counted(documents, documents.ids)
    column = np.searchsorted(words, ids)
    known = np.append(words, -1)[column] == ids  # (behind the last word is none)
    row, column = row[known], column[known]
    values = (1 + np.log(counts[known])) * idf[column]
    values /= np.sqrt(np.bincount(row, values**2))[row]
    return SparseRows.in_order(row, column, values, len(documents))


def mean_vectors(
    documents: TokenLists,
    vectors: np.ndarray,
    weights: np.ndarray,
    steps: np.ndarray | None = None,
) -> np.ndarray:
    """Weighted means of the vectors of documents' tokens.

    Parameters
    ----------
    documents : TokenLists
        None of them empty.
    vectors : ndarray of shape (n_words, size)
        Of the vocabulary, and of the lexicon behind it.
    weights : ndarray of shape (n_words,)
    steps : ndarray of shape (n_words,), optional
        That rows of `vectors` count, if they are whole numbers.

    Returns
    -------
    ndarray of shape (n_documents, size), float32
    """
    row, ids, counts = _counted(documents, documents.words)
    shares = counts * weights[ids]
    shares /= np.bincount(row, shares)[row]
    if steps is not None:
        shares *= steps[ids]
    return SparseRows.in_order(row, ids, shares, len(documents)).product(vectors)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Bring rows to length 1; those of zeros stay what they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / (lengths + _ABOVE_ZERO))


def _counted(documents: TokenLists, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Document, id and count of every token that a document has, in this order."""
    document = np.repeat(np.arange(len(documents)), documents.lengths)
    n_ids = int(ids.max(initial=0)) + 1
    places, counts = np.unique(document * n_ids + ids, return_counts=True)
    return *np.divmod(places, n_ids), counts
