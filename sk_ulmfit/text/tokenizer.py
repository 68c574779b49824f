"""What all tokenizers do: learn a vocabulary, turn texts into ids and ids into texts."""

from __future__ import annotations

import copy
import re
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, final

import numpy as np

from .alignment import Span, aligned_rules, found_in_order, spans_of
from .rules import SPECIAL_TOKENS, apply_rules, undo_rules
from .token_lists import TokenLists
from .vocabulary import Vocabulary, most_frequent

if TYPE_CHECKING:
    import tokenizers
    from tokenizers.models import Model
    from tokenizers.pre_tokenizers import PreTokenizer

# A long text is cut between words into pieces of this many characters, and the pieces of texts
# long and short are encoded together up to that many: this bounds the memory that it takes.
_PIECE, _BATCH = 50_000, 1_000_000
_IN_PIECES = re.compile(rf"(?s).{{1,{_PIECE}}}(?=[ \n\t]|\Z)|[^ \n\t]+")

T = TypeVar("T")


class Tokenizer(ABC):
    """Splits texts into tokens and numbers them.

    A tokenizer never changes: `fit` and `grow` return a new one. What it holds is plain Python,
    so it pickles anywhere and equal ones hash equal.

    Parameters
    ----------
    vocab : Vocabulary, default=None
        None before `fit`.

    Attributes
    ----------
    lexicon : tuple of str
        Words beyond the vocabulary that something is known of all the same, at first none.
    """

    kind: ClassVar[str]
    """Name of the class in `to_dict`."""

    def __init__(self, vocab: Vocabulary | None = None):
        self._vocab = vocab
        self.lexicon: tuple[str, ...] = ()

    @property
    def vocab(self) -> Vocabulary:
        """The vocabulary.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if self._vocab is None:
            # Here, as a machine that only serves has no scikit-learn.
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(
                f"This {type(self).__name__} has no vocabulary yet: call fit on texts first."
            )
        return self._vocab

    @cached_property
    def words(self) -> Vocabulary:
        """The vocabulary, and behind it the lexicon."""
        return Vocabulary([*self.vocab.tokens, *self.lexicon]) if self.lexicon else self.vocab

    @cached_property
    def _of_all_words(self) -> Tokenizer:
        """One whose vocabulary has the words of the lexicon too."""
        return self._with_vocab(self.words)

    def with_lexicon(self, words: Iterable[str]) -> Tokenizer:
        """Tell words apart that are not in the vocabulary, and stay unknown to it.

        Parameters
        ----------
        words : iterable of str
            All different; of those that are in the vocabulary nothing more is to be known.

        Returns
        -------
        Tokenizer

        Raises
        ------
        TypeError, ValueError
            If a word is no str, occurs twice, or cannot be read by such a tokenizer.
        """
        changed = self._with_vocab(self.vocab)
        changed.lexicon = self.vocab.lacking(words)
        changed.lexicon = changed.words.tokens[len(self.vocab) :]  # which are checked
        return changed

    def documents(self, texts: Iterable[str]) -> TokenLists:
        """Do what `encode` does, and tell the words of the lexicon apart.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        TokenLists
        """
        if not self.lexicon:
            return TokenLists(*self.encode(texts))
        words, offsets = self._of_all_words.encode(texts)
        vocab = self.vocab
        ids = np.where(words < len(vocab), words, np.int32(vocab.unk_id))
        return TokenLists(ids, offsets, words)

    @abstractmethod
    def _split(self, piece: str) -> list[str]:
        """Split a piece of a text, to which the rules have been applied, into tokens."""

    @abstractmethod
    def _lookup(self, pieces: list[str]) -> Iterable[list[int]]:
        """Ids of the tokens of every piece."""

    def _places(self, piece: str) -> list[Span | None]:
        """Where the tokens of a piece stand in it, as far as that can be told."""
        return found_in_order(piece, self._split(piece))

    def _join(self, tokens: Sequence[str]) -> str:
        """Undo `_split` and the rules."""
        return undo_rules(" ".join(tokens), word_tokens=True)

    @final
    def fit(self, texts: Iterable[str], *, max_vocab: int, min_freq: int) -> Tokenizer:
        """Learn a vocabulary: the special tokens, then words by frequency.

        Parameters
        ----------
        texts : iterable of str
            Read once. Words of equal frequency are ordered alphabetically.
        max_vocab : int
            Largest number of tokens, special tokens included.
        min_freq : int
            A word that occurs less often is left out.

        Returns
        -------
        Tokenizer
            A fitted one. This one remains as it is.

        Raises
        ------
        TypeError
            If `texts` is a single str.
        ValueError
            If `max_vocab` leaves no room for a word.
        """
        self._check_room(max_vocab)  # before the texts are read
        return self.fit_counts(self.count(texts), max_vocab=max_vocab, min_freq=min_freq)

    def fit_counts(self, counts: Counter[str], *, max_vocab: int, min_freq: int) -> Tokenizer:
        """Do what `fit` does, from the counts of all words.

        A tokenizer with another kind of vocabulary overrides this, `grow_counts` and `can_grow`.

        Parameters
        ----------
        counts : Counter of str
            What `count` gave, for instance summed over the parts of a corpus.
        max_vocab, min_freq : int
            See `fit`.

        Returns
        -------
        Tokenizer
        """
        self._check_room(max_vocab)
        words = most_frequent(counts, max_vocab - len(SPECIAL_TOKENS), min_freq)
        return self._with_vocab(Vocabulary([*SPECIAL_TOKENS, *words]))

    @final
    def grow(self, texts: Iterable[str], *, max_vocab: int, min_freq: int) -> Tokenizer:
        """Add the words of further texts to the vocabulary.

        Parameters
        ----------
        texts : iterable of str
        max_vocab : int
            Largest number of tokens, those already known included. These are never left out.
        min_freq : int
            A word that occurs less often in `texts` is not added.

        Returns
        -------
        Tokenizer
            One whose vocabulary begins with this one's, so that known tokens keep their ids.
        """
        if not self.can_grow(max_vocab):
            return self
        return self.grow_counts(self.count(texts), max_vocab=max_vocab, min_freq=min_freq)

    def can_grow(self, max_vocab: int) -> bool:
        """Tell whether `grow` would read texts at all."""
        return max_vocab > len(self.vocab)

    def grow_counts(self, counts: Counter[str], *, max_vocab: int, min_freq: int) -> Tokenizer:
        """Do what `grow` does, from the counts of all words.

        Parameters
        ----------
        counts : Counter of str
            What `count` gave.
        max_vocab, min_freq : int
            See `grow`.

        Returns
        -------
        Tokenizer
        """
        known = self.vocab
        new = Counter({word: n for word, n in counts.items() if word not in known})
        words = most_frequent(new, max(max_vocab - len(known), 0), min_freq)
        return self._with_vocab(Vocabulary([*known.tokens, *words])) if words else self

    def encode(self, texts: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Turn texts into ids.

        Every document begins with ``xxbos``, so that an empty text is a document of one token.

        Parameters
        ----------
        texts : iterable of str
            Read once, in batches.

        Returns
        -------
        ids : ndarray of shape (n_tokens,), int32
        offsets : ndarray of shape (n_texts + 1,), int64
            Document ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.

        Raises
        ------
        TypeError
            If `texts` is a single str.
        NotFittedError
            Before `fit`.
        """
        bos_id = self.vocab.bos_id
        ids = array("i")
        lengths = array("q")
        for batch in batches(clean_pieces(texts), _BATCH, lambda piece: len(piece[1])):
            found = self._lookup([piece for _, piece in batch])
            for (starts_document, _), piece_ids in zip(batch, found, strict=True):
                if starts_document:
                    ids.append(bos_id)
                    lengths.append(1)
                ids.extend(piece_ids)
                lengths[-1] += len(piece_ids)
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return np.array(ids, dtype=np.int32), offsets

    def spans(self, text: str) -> list[Span | None]:
        """Say where in a text its tokens stand.

        Parameters
        ----------
        text : str
            As it is, before the rules.

        Returns
        -------
        list of (int, int) or None
            For every token that `encode` makes of the text the characters that it stands for,
            begin and end, in rising order. A mark such as ``xxmaj`` has the span of the token
            behind it, and ``xxrep 4 o`` three times that of the whole run. None for a token that
            stands for nothing in the text, such as ``xxbos``, or that cannot be found there.
        """
        aligned = aligned_rules(text)
        places: list[Span | None] = [None]  # xxbos
        for start, piece in placed_pieces(aligned.text):
            for place in self._places(piece):
                places.append(place and (start + place[0], start + place[1]))
        return spans_of(aligned, places)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Tokens that ids stand for.

        Parameters
        ----------
        ids : iterable of int

        Returns
        -------
        list of str

        Raises
        ------
        ValueError
            If an id is not in the vocabulary.
        """
        ids = np.asarray(list(ids), dtype=np.int64)
        vocab = self.vocab
        if len(wrong := ids[(ids < 0) | (ids >= len(vocab))]):
            raise ValueError(f"No token has the id {wrong[0]}: there are {len(vocab)} tokens.")
        return [vocab.tokens[i] for i in ids.tolist()]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into a readable text.

        Capitals and repetitions are restored from their marks, special tokens are left out, and
        punctuation stands where it usually does. Nearly what the text was, not exactly.

        Parameters
        ----------
        ids : iterable of int

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If an id is not in the vocabulary.
        """
        return self._join(self.tokens(ids))

    def to_dict(self) -> dict[str, Any]:
        """Describe the fitted tokenizer by a dict that JSON can hold.

        Returns
        -------
        dict
            What `tokenizer_from_dict` takes.
        """
        described: dict[str, Any] = {"kind": self.kind, "tokens": list(self.vocab.tokens)}
        return {**described, "lexicon": list(self.lexicon)} if self.lexicon else described

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> Tokenizer:
        """Undo `to_dict`."""
        return cls(Vocabulary(description["tokens"]))

    def _with_vocab(self, vocab: Vocabulary) -> Tokenizer:
        fitted = copy.copy(self)
        fitted._vocab = vocab
        fitted.lexicon = vocab.lacking(self.lexicon)
        return fitted

    def count(self, texts: Iterable[str]) -> Counter[str]:
        """Count the words that a vocabulary is made of.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        Counter of str
        """
        counts = Counter(self._words(texts))
        for token in SPECIAL_TOKENS:
            del counts[token]
        return counts

    def split(self, text: str) -> list[str]:
        """Tokens of a text, whether or not they are in the vocabulary, without ``xxbos``.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of str
            The words that `count` counts.
        """
        return list(self._words([text]))

    def _words(self, texts: Iterable[str]) -> Iterator[str]:
        return chain.from_iterable(self._split(piece) for _, piece in clean_pieces(texts))

    def _check_room(self, max_vocab: int) -> None:
        if max_vocab <= len(SPECIAL_TOKENS):
            raise ValueError(
                f"max_vocab must be above {len(SPECIAL_TOKENS)}, the number of special tokens, "
                f"got {max_vocab}."
            )

    def __getstate__(self) -> dict[str, Any]:
        made = ("words", "_of_all_words")
        return {name: value for name, value in vars(self).items() if name not in made}

    def __repr__(self) -> str:
        size = "not fitted" if self._vocab is None else f"{len(self._vocab)} tokens"
        return f"<{type(self).__name__}: {size}>"


class HuggingFaceTokenizer(Tokenizer):
    """Base of tokenizers that are a `tokenizers.Tokenizer` inside.

    That object is made when it is first needed, and never copied or pickled: its state is the
    vocabulary, and what a subclass keeps beside it.

    Parameters
    ----------
    vocab : Vocabulary, default=None
        None before `fit`.

    Raises
    ------
    ValueError
        If a token cannot be encoded in UTF-8.
    """

    def __init__(self, vocab: Vocabulary | None = None):
        super().__init__(vocab)
        _check_utf_8(vocab.tokens if vocab is not None else ())

    def with_lexicon(self, words: Iterable[str]) -> Tokenizer:
        """Tell words apart that are not in the vocabulary: see `Tokenizer.with_lexicon`."""
        changed = super().with_lexicon(words)
        _check_utf_8(changed.lexicon)
        return changed

    @staticmethod
    @abstractmethod
    def _pre_tokenizer() -> PreTokenizer:
        """What cuts texts into words."""

    @abstractmethod
    def _model(self) -> Model:
        """What turns words into ids."""

    def _make_backend(self) -> tokenizers.Tokenizer:
        from tokenizers import Tokenizer as Backend

        backend = Backend(self._model())
        backend.pre_tokenizer = self._pre_tokenizer()
        return backend

    def _split(self, piece: str) -> list[str]:
        return [word for word, _ in self._pre_tokenizer().pre_tokenize_str(piece)]

    @cached_property
    def _backend(self) -> tokenizers.Tokenizer:
        return self._make_backend()

    def _lookup(self, pieces: list[str]) -> Iterable[list[int]]:
        return (encoding.ids for encoding in self._backend.encode_batch_fast(pieces))

    def _places(self, piece: str) -> list[Span | None]:
        return list(self._backend.encode(piece).offsets)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_backend"}


def _check_utf_8(tokens: Iterable[str]) -> None:
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"A token cannot be encoded in UTF-8: {error}.") from error


def clean_pieces(texts: Iterable[str]) -> Iterator[tuple[bool, str]]:
    """Pieces of all texts after the rules, each with whether it is the first one of its text."""
    if isinstance(texts, str):
        raise TypeError("A list of texts is needed, got a single str: put it into a list.")
    for text in texts:
        pieces = _IN_PIECES.findall(apply_rules(text)) or [""]
        yield True, pieces[0]
        for piece in pieces[1:]:
            yield False, piece


def placed_pieces(text: str) -> list[tuple[int, str]]:
    """Pieces of a text after the rules, each with where in the text it begins."""
    return [(match.start(), match[0]) for match in _IN_PIECES.finditer(text)] or [(0, "")]


def batches(items: Iterable[T], n_characters: int, length: Callable[[T], int]) -> Iterator[list[T]]:
    """Lists of items, with about `n_characters` in each."""
    batch: list[T] = []
    size = 0
    for item in items:
        batch.append(item)
        size += length(item) + 100  # what an empty text costs, too
        if size >= n_characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
