"""Tokenised documents of different lengths in two flat arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# Tokens that are counted at once: the ids may be a memory map larger than memory.
_AT_ONCE = 10_000_000


class TokenLists:
    """Token ids of documents, one after another in one array.

    A list of small arrays would cost 100 bytes a document and be slow to pickle and to hash.

    Parameters
    ----------
    ids : ndarray of shape (n_tokens,), an integer type
        May be a memory map.
    offsets : ndarray of shape (n_documents + 1,), int64
        Document ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.
    words : ndarray of shape (n_tokens,), an integer type, or None, default=None
        Ids of the tokens where words beyond the vocabulary are told apart too, which are all
        unknown in `ids`. None: there are none.
    """

    def __init__(self, ids: np.ndarray, offsets: np.ndarray, words: np.ndarray | None = None):
        self.ids = ids
        self.offsets = offsets
        self._words = words

    @classmethod
    def from_lists(cls, documents: Sequence[np.ndarray]) -> TokenLists:
        """Join documents given as arrays of ids."""
        lengths = np.fromiter((len(document) for document in documents), np.int64, len(documents))
        ids = np.concatenate(documents) if len(documents) else np.empty(0)
        return cls(ids.astype(np.int32, copy=False), np.r_[0, np.cumsum(lengths)].astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def words(self) -> np.ndarray:
        """Ids of the tokens, those of words beyond the vocabulary too."""
        return self.ids if self._words is None else self._words

    @property
    def starts(self) -> np.ndarray:
        """Where every document begins in `ids`."""
        return self.offsets[:-1]

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of every document."""
        return np.diff(self.offsets)

    def document(self, i: int) -> np.ndarray:
        """Ids of document `i`."""
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    def take(self, indices: Iterable[int]) -> TokenLists:
        """Documents in the order of `indices`."""
        return self.picked([self._places(i) for i in indices])

    def picked(self, places: Sequence[np.ndarray | slice]) -> TokenLists:
        """Documents of the tokens that are at these places in `ids`."""
        taken = TokenLists.from_lists([self.ids[some] for some in places])
        if self._words is not None:
            taken._words = TokenLists.from_lists([self._words[some] for some in places]).ids
        return taken

    def _places(self, i: int) -> slice:
        return slice(self.offsets[i], self.offsets[i + 1])

    def head(self, max_length: int) -> TokenLists:
        """Cut every document to its first `max_length` tokens."""
        if not len(self) or int(self.lengths.max()) <= max_length:
            return self
        ends = np.minimum(self.offsets[1:], self.starts + max_length)
        return self.picked([slice(*ends) for ends in zip(self.starts, ends, strict=True)])

    def reversed(self) -> TokenLists:
        """Every document backward, as a backward language model reads it."""
        # Turning the whole array round reverses the order of the documents too: put it back.
        n = len(self)
        words = None if self._words is None else self._words[::-1]
        turned = TokenLists(self.ids[::-1], (self.offsets[-1] - self.offsets)[::-1], words)
        return turned.take(range(n - 1, -1, -1))

    def renumbered(self, table: np.ndarray) -> TokenLists:
        """The same documents with ``table[id]`` for every id, and no words beyond these."""
        return TokenLists(table[self.ids], self.offsets)

    def counts(self, n_tokens: int) -> np.ndarray:
        """How often every id occurs, shape (n_tokens,)."""
        counts = np.zeros(n_tokens, dtype=np.int64)
        for start in range(0, len(self.ids), _AT_ONCE):
            counts += np.bincount(self.ids[start : start + _AT_ONCE], minlength=n_tokens)
        return counts

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """Find documents that are equal, and an order that depends on what documents say alone.

        Returns
        -------
        indices : ndarray of shape (n_distinct,)
            One document of every kind, by falling length, then by content.
        inverse : ndarray of shape (n_documents,)
            Where in `indices` every document's kind is.
        """
        # (`words` tell all that `ids` do, and are these where there are no others)
        of_words = TokenLists(self.words, self.offsets)
        contents = [of_words.document(i).tobytes() for i in range(len(self))]
        some = {content: i for i, content in enumerate(contents)}
        ordered = sorted(some, key=lambda content: (-len(content), content))
        place = {content: row for row, content in enumerate(ordered)}
        indices = np.array([some[content] for content in ordered], dtype=np.intp)
        return indices, np.array([place[content] for content in contents], dtype=np.intp)

    def padded(self, indices: np.ndarray) -> np.ndarray:
        """Documents as rows of one array, filled up at the right by zeros, shape (n, longest)."""
        lengths = self.lengths[indices]
        # zeros, not full: beside one giant document, what is not written to takes no memory.
        rows = np.zeros((len(indices), int(lengths.max())), dtype=np.int64)
        for row, i in enumerate(indices):
            rows[row, : lengths[row]] = self.document(i)
        return rows

    def __getstate__(self) -> dict[str, Any]:
        # Views (of a slice, of a memory map) would drag their whole base along.
        words = None if self._words is None else np.ascontiguousarray(self._words)
        ids, offsets = np.ascontiguousarray(self.ids), np.asarray(self.offsets)
        return {"ids": ids, "offsets": offsets, "_words": words}


class Selection:
    """Some of the documents, without a copy of them: what a stream of text is read from.

    Parameters
    ----------
    documents : TokenLists
    indices : ndarray of int
    """

    def __init__(self, documents: TokenLists, indices: np.ndarray):
        self.ids = documents.ids
        self.starts = documents.starts[indices]
        self.lengths = documents.lengths[indices]

    def __len__(self) -> int:
        return len(self.starts)
