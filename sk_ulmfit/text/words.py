"""Tokens that are words and marks of punctuation."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .rules import SOUTH_EAST_ASIAN, SPECIAL_TOKENS, UNK
from .tokenizer import HuggingFaceTokenizer

if TYPE_CHECKING:
    from tokenizers.models import Model
    from tokenizers.pre_tokenizers import PreTokenizer

# What may be a token, tried from top to bottom. It agrees with spaCy's blank English tokenizer on
# 99.6 % of the tokens of reviews, news, questions and Wikipedia. The texts have been through the
# rules: they are in lower case, and no mark occurs three times in a row.
#
# Repetitions that something may follow have an upper limit. Without one, a "word" of millions of
# characters makes the engine give up; with it, such a word is cut up.
_UNSPACED = rf"\p{{Han}}\p{{Hiragana}}\p{{Katakana}}ー{SOUTH_EAST_ASIAN}"
_LETTERS = rf"[\p{{L}}\p{{M}}\p{{N}}&&[^{_UNSPACED}]]{{1,100}}"
_NOT = r"n['\x{2019}]t(?!\w)"  # with a straight or a curled apostrophe
_CLITIC = r"['\x{2019}](?:s|re|ve|ll|d|m)(?!\w)"
_EMOJI = r"\p{So}[\x{FE0F}\x{1F3FB}-\x{1F3FF}]{0,3}"  # with its skin tone
_PATTERN = "|".join(
    [
        rf"(?:{'|'.join(SPECIAL_TOKENS)})(?!\w)",
        # do n't, it 's, can not
        _NOT,
        _CLITIC,
        rf"[a-z]{{1,9}}?(?={_NOT})",
        r"can(?=not(?!\w))",
        # abbreviations and initials
        r"(?:e\.g|i\.e|a\.m|p\.m|vs|[a-z])\.(?!\w)",
        # Words, with what may stand between letters or digits: o'clock, at&t, example.org,
        # 10,000.5, 12:30, covid-19. A hyphen between letters separates.
        rf"{_LETTERS}(?:(?!{_CLITIC})"
        r"(?:[.'\x{2019}&@_]|(?<=\p{N})[,:](?=\p{N})|(?<=\p{L})-(?=\p{N}))"
        rf"{_LETTERS}){{0,30}}",
        # pairs of marks, smileys, flags, emoji that others are joined to
        r"\.\.|--|''",
        r"[:;=]-?[()](?!\w)",
        r"[\x{1F1E6}-\x{1F1FF}]{2}",
        rf"{_EMOJI}(?:\x{{200D}}{_EMOJI}){{0,9}}",
        # any other character, among them those of scripts without spaces
        r"\S",
    ]
)


class WordTokenizer(HuggingFaceTokenizer):
    """Tokens are words and marks of punctuation, as of a blank English spaCy pipeline.

    Contractions are split (``do n't``), punctuation stands alone, numbers stay whole, and every
    character of Chinese, Japanese, Thai, Lao, Burmese and Khmer is a token. A word of which the
    vocabulary has no entry becomes
    ``xxunk``.

    Parameters
    ----------
    vocab : Vocabulary, default=None
        None before `fit`.

    See Also
    --------
    SubwordTokenizer : Has no unknown words.

    Examples
    --------
    >>> from sk_ulmfit.text.tokenizers import WordTokenizer
    >>> tokenizer = WordTokenizer().fit(["It doesn't work!"], max_vocab=100, min_freq=1)
    >>> ids, offsets = tokenizer.encode(["It doesn't work!"])
    >>> tokenizer.tokens(ids)
    ['xxbos', 'xxmaj', 'it', 'does', "n't", 'work', '!']
    >>> tokenizer.decode(ids)
    "It doesn't work!"
    """

    kind = "word"

    @staticmethod
    @cache
    def _pre_tokenizer() -> PreTokenizer:
        from tokenizers import Regex
        from tokenizers.pre_tokenizers import Split

        return Split(Regex(_PATTERN), "removed", invert=True)

    def _model(self) -> Model:
        from tokenizers.models import WordLevel

        return WordLevel({token: i for i, token in enumerate(self.vocab.tokens)}, unk_token=UNK)
