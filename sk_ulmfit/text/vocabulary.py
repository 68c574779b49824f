"""The tokens that a language model knows, and their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from .rules import BOS, SPECIAL_TOKENS, UNK


class Vocabulary:
    """Tokens in the order of their ids. It cannot be changed.

    Special tokens are entries like all others: they are found by name, wherever they stand.

    Parameters
    ----------
    tokens : iterable of str
        All different, with every one of `SPECIAL_TOKENS` among them.

    Attributes
    ----------
    tokens : tuple of str

    Raises
    ------
    TypeError
        If a token is not a str.
    ValueError
        If a token occurs twice, or a special token is missing.

    Examples
    --------
    >>> from sk_ulmfit.text.rules import SPECIAL_TOKENS
    >>> from sk_ulmfit.text.vocabulary import Vocabulary
    >>> old = Vocabulary([*SPECIAL_TOKENS, "card", "bank"])
    >>> new = Vocabulary([*SPECIAL_TOKENS, "bank", "loan"])
    >>> old.id("card"), new.id("card") == new.unk_id
    (9, True)
    >>> new.rows_in(old)
    array([ 0,  1,  2,  3,  4,  5,  6,  7,  8, 10, -1])
    """

    tokens: tuple[str, ...]

    def __init__(self, tokens: Iterable[str]):
        tokens = tuple(tokens)
        for token in tokens:
            if not isinstance(token, str):
                raise TypeError(f"Tokens are strings, got {token!r} among them.")
        if len(set(tokens)) < len(tokens):
            (twice, times), *_ = Counter(tokens).most_common(1)
            raise ValueError(f"The token {twice!r} is {times} times in the vocabulary.")
        if missing := [token for token in SPECIAL_TOKENS if token not in tokens]:
            raise ValueError(
                f"The vocabulary lacks {', '.join(missing)}. It needs all special tokens: "
                f"{', '.join(SPECIAL_TOKENS)}."
            )
        # Plain str: numpy's would pickle and hash differently.
        vars(self)["tokens"] = tuple(map(str, tokens))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def id(self, token: str) -> int:
        """Id of a token, that of ``xxunk`` if the token is not in the vocabulary."""
        return self._ids.get(token, self.unk_id)

    @property
    def unk_id(self) -> int:
        """Id of ``xxunk``."""
        return self._ids[UNK]

    @property
    def bos_id(self) -> int:
        """Id of ``xxbos``."""
        return self._ids[BOS]

    def lacking(self, words: Iterable[str]) -> tuple[str, ...]:
        """Words that are not in it, in their order."""
        ids = self._ids
        return tuple(word for word in words if word not in ids)

    def rows_in(self, other: Vocabulary) -> np.ndarray:
        """Find the tokens of this vocabulary in another one.

        This is how the rows of an embedding are carried over to a new vocabulary.

        Parameters
        ----------
        other : Vocabulary

        Returns
        -------
        ndarray of shape (len(self),), int64
            For every token its id in `other`, or -1.
        """
        rows = (other._ids.get(token, -1) for token in self.tokens)
        return np.fromiter(rows, dtype=np.int64, count=len(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.tokens == other.tokens

    def __hash__(self) -> int:
        return hash(self.tokens)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("A vocabulary cannot be changed: make a new one.")

    def __reduce__(self) -> tuple[Any, ...]:
        # The tokens are all there is. What is made of them would change hashes once it is made.
        return type(self), (self.tokens,)

    def __repr__(self) -> str:
        return f"<Vocabulary: {len(self)} tokens>"


def most_frequent(counts: Counter[str], limit: int, min_freq: int) -> list[str]:
    """Words that occur at least `min_freq` times, most frequent first, at most `limit`."""
    frequent = [(-n, word) for word, n in counts.items() if n >= min_freq]
    return [word for _, word in sorted(frequent)[:limit]]
