"""What the words of a text say by themselves, beside what the network makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from ..text.bag_of_words import tfidf
from ..text.token_lists import TokenLists


@dataclass
class WordTerm:
    """Logits that the words of a text add to those of the network.

    They are linear in a row of length 1 that counts the words by TF-IDF: one plus the logarithm of
    how often a word occurs, times how rare it is among the texts of training. Words are ids of the
    vocabulary, and those that no text of training had count nothing.

    Parameters
    ----------
    ids : ndarray of shape (n_words,), int64
        The words, in rising order.
    idf : ndarray of shape (n_words,)
        Inverse document frequencies.
    coef : ndarray of shape (n_outputs, n_words)
    """

    ids: np.ndarray
    idf: np.ndarray
    coef: np.ndarray

    def check(self, n_vocabulary: int, n_outputs: int) -> None:
        """Refuse arrays, read from a file, that do not fit a classifier.

        Parameters
        ----------
        n_vocabulary, n_outputs : int

        Raises
        ------
        ValueError
        """
        n = len(self.ids)
        expected = {"ids": (n,), "idf": (n,), "coef": (n_outputs, n)}
        found = {name: array.shape for name, array in vars(self).items()}
        in_order = np.diff(self.ids, prepend=-1, append=n_vocabulary) > 0
        finite = all(np.isfinite(a).all() for a in (self.idf, self.coef))
        kinds = "".join(array.dtype.kind for array in vars(self).values())
        fits = found == expected and kinds == "iff" and in_order.all()
        if not fits or not finite or not (self.idf > 0).all():
            raise ValueError(f"The words do not fit the classifier: their shapes are {found}.")

    @classmethod
    def of_documents(cls, documents: TokenLists, without: np.ndarray) -> WordTerm:
        """Count the words of the texts of training.

        Parameters
        ----------
        documents : TokenLists
        without : ndarray of int
            Ids that are not words.

        Returns
        -------
        WordTerm
            Without coefficients.
        """
        ids = np.setdiff1d(documents.ids, without).astype(np.int64)
        term = cls(ids, np.ones(len(ids)), np.zeros((0, len(ids)), np.float32))
        n_with = np.bincount(term.rows(documents).indices, minlength=len(ids))
        idf = np.log((1 + len(documents)) / (1 + n_with)) + 1
        return cls(ids, idf.astype(np.float32), term.coef)

    def rows(self, documents: TokenLists) -> csr_array:
        """TF-IDF of documents, shape (n, n_words), rows of unit length or zero."""
        shape = (len(documents), len(self.ids))
        return csr_array(tuple(tfidf(documents, self.ids, self.idf)), shape)

    def logits(self, documents: TokenLists) -> np.ndarray:
        """What the words add to the logits, shape (n, n_outputs)."""
        return np.asarray(self.rows(documents) @ self.coef.T, np.float32)
