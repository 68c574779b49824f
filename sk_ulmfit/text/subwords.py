"""Tokens that are pieces of words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from .rules import SPECIAL_TOKENS, UNK, undo_rules
from .tokenizer import HuggingFaceTokenizer
from .vocabulary import Vocabulary, most_frequent

if TYPE_CHECKING:
    import tokenizers
    from tokenizers.models import Model
    from tokenizers.pre_tokenizers import PreTokenizer

SPACE = "▁"  # stands in a piece for the space before it

# Pieces do not run across these borders: clitics, letters, digits, marks. The upper limits are
# against "words" of millions of characters.
_PATTERN = (
    r"['\x{2019}](?:s|t|re|ve|ll|d|m)(?!\w)|"
    rf"{SPACE}?[\p{{L}}\p{{M}}]{{1,100}}|{SPACE}?\p{{N}}{{1,100}}|"
    rf"{SPACE}?[^\p{{L}}\p{{M}}\p{{N}}{SPACE}]{{1,100}}"
)
_SPECIAL = re.compile(rf"(?<!\S)(?:{'|'.join(SPECIAL_TOKENS)})(?!\S)")


class SubwordTokenizer(HuggingFaceTokenizer):
    """Tokens are frequent sequences of characters (byte-pair encoding [1]_).

    Rare words are made of several tokens, so there are no unknown words: only a character that
    is too rare becomes ``xxunk``. A token that begins a word begins with ``▁``.

    Parameters
    ----------
    vocab : Vocabulary, default=None
        None before `fit`.
    merges : sequence of str, default=()
        Pairs of tokens that are joined into one, with a space between the two, in the order of
        their priority.

    Raises
    ------
    ValueError
        If one of a pair, or what it is joined into, is not in the vocabulary.

    See Also
    --------
    WordTokenizer : Whole words.

    References
    ----------
    .. [1] R. Sennrich, B. Haddow and A. Birch, "Neural Machine Translation of Rare Words with
       Subword Units", ACL 2016.

    Examples
    --------
    >>> from sk_ulmfit.text.tokenizers import SubwordTokenizer
    >>> texts = ["How old is the old gold?", "The oldest gold is cold."]
    >>> tokenizer = SubwordTokenizer().fit(texts, max_vocab=40, min_freq=2)
    >>> ids, offsets = tokenizer.encode(["Told the oldest"])
    >>> tokenizer.tokens(ids)
    ['xxbos', 'xxmaj', '▁', 't', 'old', '▁the', '▁old', 'e', 's', 't']
    """

    kind = "subword"

    def __init__(self, vocab: Vocabulary | None = None, merges: Sequence[str] = ()):
        super().__init__(vocab)
        self._merges = tuple(merges)
        for merge in self._merges:
            left, space, right = merge.partition(" ")
            joined = (left, right, left + right)
            if vocab is None or not space or not all(token in vocab for token in joined):
                raise ValueError(f"{merge!r} joins tokens that the vocabulary lacks.")

    def fit_counts(
        self, counts: Counter[str], *, max_vocab: int, min_freq: int
    ) -> SubwordTokenizer:
        """Learn a vocabulary: special tokens, characters, then pieces by frequency.

        Parameters
        ----------
        counts : Counter of str
            How often every word occurs.
        max_vocab : int
            Largest number of tokens. At most half of it are characters.
        min_freq : int
            Rarer characters and pairs of tokens are left out.

        Returns
        -------
        SubwordTokenizer
            A fitted one. This one remains as it is.

        Raises
        ------
        ValueError
            If `max_vocab` leaves no room beside the special tokens.
        """
        self._check_room(max_vocab)
        room = max_vocab - len(SPECIAL_TOKENS)
        characters: Counter[str] = Counter()
        for word, n in counts.items():
            for character in word:
                characters[character] += n
        # The trainer would keep every character, or break ties between them at random.
        alphabet = set(most_frequent(characters, max(room // 2, 1), min_freq))
        spelled = {word: n for word, n in counts.items() if alphabet.issuperset(word)}
        pieces, merges = _learn_merges(spelled, alphabet, room, min_freq)
        return type(self)(Vocabulary([*SPECIAL_TOKENS, *pieces]), merges)

    def grow_counts(
        self, counts: Counter[str], *, max_vocab: int, min_freq: int
    ) -> SubwordTokenizer:
        """Return this tokenizer: it can spell new words already.

        Parameters
        ----------
        counts : Counter of str
        max_vocab, min_freq : int
            Not used.

        Returns
        -------
        SubwordTokenizer
            Itself.
        """
        return self

    def can_grow(self, max_vocab: int) -> bool:
        """No: see `grow_counts`."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """Describe the fitted tokenizer by a dict that JSON can hold.

        Returns
        -------
        dict
            What `tokenizer_from_dict` takes.
        """
        return {**super().to_dict(), "merges": list(self._merges)}

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> SubwordTokenizer:
        """Undo `to_dict`."""
        return cls(Vocabulary(description["tokens"]), description["merges"])

    @staticmethod
    @cache
    def _pre_tokenizer() -> PreTokenizer:
        from tokenizers import Regex
        from tokenizers.pre_tokenizers import Metaspace, Sequence, Split, WhitespaceSplit

        return Sequence(
            [
                WhitespaceSplit(),
                Metaspace(SPACE, prepend_scheme="always", split=False),
                Split(Regex(_PATTERN), "isolated"),
            ]
        )

    def _model(self) -> Model:
        from tokenizers.models import BPE

        # Not str.split(): some characters that it splits at may be in a token.
        merges = (merge.partition(" ") for merge in self._merges)
        return BPE(
            {token: i for i, token in enumerate(self.vocab.tokens)},
            [(left, right) for left, _, right in merges],
            unk_token=UNK,
            fuse_unk=True,
        )

    def _make_backend(self) -> tokenizers.Tokenizer:
        from tokenizers import AddedToken

        backend = super()._make_backend()
        # They are taken out before anything is split.
        backend.add_special_tokens(
            [AddedToken(token, single_word=True, normalized=False) for token in SPECIAL_TOKENS]
        )
        return backend

    def _split(self, piece: str) -> list[str]:
        return super()._split(_SPECIAL.sub(" ", piece))

    def _join(self, tokens: Sequence[str]) -> str:
        spaced = (f" {token} " if token in SPECIAL_TOKENS else token for token in tokens)
        return undo_rules("".join(spaced).replace(SPACE, " "), word_tokens=False)


def _learn_merges(
    words: dict[str, int], alphabet: set[str], room: int, min_freq: int
) -> tuple[list[str], list[str]]:
    """Pieces in the order of learning, and the merges that make them."""
    from tokenizers import Tokenizer as Backend
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.trainers import BpeTrainer

    backend = Backend(BPE())
    backend.pre_tokenizer = WhitespaceSplit()
    trainer = BpeTrainer(
        vocab_size=room,
        min_frequency=min_freq,
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    backend.train_from_iterator(_repeated(words), trainer)
    model = json.loads(backend.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    # Older versions of the library write a merge as one string.
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return _without_special(pieces, merges)


def _without_special(pieces: list[str], merges: list[str]) -> tuple[list[str], list[str]]:
    """Leave out pieces that spell a special token ("xxunkx" has one), and what is made of them."""
    dropped = set(SPECIAL_TOKENS).intersection(pieces)
    if not dropped:
        return pieces, merges
    kept = []
    for merge in merges:
        left, _, right = merge.partition(" ")
        if dropped.isdisjoint((left, right, left + right)):
            kept.append(merge)
        else:
            dropped.add(left + right)
    return [piece for piece in pieces if piece not in dropped], kept


def _repeated(words: dict[str, int], at_once: int = 10_000) -> Iterator[str]:
    """Every word as often as it occurs: the trainer counts for itself."""
    for word, n in words.items():
        for start in range(0, n, at_once):
            yield " ".join([word] * min(at_once, n - start))
