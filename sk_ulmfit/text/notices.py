"""What is said before a model is trained on texts that it will learn little of, or slowly."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from .._warnings import warn
from .rules import SPECIAL_TOKENS
from .token_lists import TokenLists
from .tokenizer import Tokenizer
from .vocabulary import Vocabulary

# How many texts, and how much of each, show what language they are in.
_SOME_TEXTS, _BEGINNING = 500, 1_000

# The share of unknown words beyond which a language is another one. English of all kinds, from
# encyclopaedia to tweets, has up to .11 for the shipped model; French, nearest to it, .46.
_FOREIGN = 0.3

# A text is long beside others if it has this many tokens, and so many times what half of them have.
_LONG, _TIMES = 2_000, 20


def warn_of_unknown_words(documents: TokenLists, vocab: Vocabulary) -> None:
    """Say so if a language model would learn little but that words are unknown.

    Parameters
    ----------
    documents : TokenLists
        Texts that it is trained on.
    vocab : Vocabulary

    Warns
    -----
    UserWarning
        If more than half of the tokens are not in the vocabulary.
    """
    n_words = len(documents.ids) - len(documents)  # without xxbos
    n_unknown = int(documents.counts(len(vocab))[vocab.unk_id])
    if 2 * n_unknown > n_words:
        warn(
            f"{n_unknown / n_words:.0%} of the tokens of the texts are not in the vocabulary and "
            "are all read as xxunk. A lower min_freq adds rare words to it; tokenizer='subword' "
            "(of a model with pretrained=None) makes known pieces of words of any language."
        )


def warn_of_another_language(texts: Sequence[str], tokenizer: Tokenizer) -> None:
    """Say so if a pretrained model does not know the language of texts.

    Parameters
    ----------
    texts : sequence of str
        Some of them are looked at.
    tokenizer : Tokenizer
        Of the model, before it has learned a word of the texts.

    Warns
    -----
    UserWarning
        If many of their words are unknown to it.
    """
    some = [text[:_BEGINNING] for text in texts[:: -(-len(texts) // _SOME_TEXTS)]]
    vocab = tokenizer.vocab
    ids, _ = tokenizer.encode(some)
    marks = [vocab.id(token) for token in SPECIAL_TOKENS if vocab.id(token) != vocab.unk_id]
    words = ids[~np.isin(ids, marks)]
    n_unknown = np.count_nonzero(words == vocab.unk_id)
    if n_unknown <= _FOREIGN * len(words) or n_unknown < 5:
        return
    script = _script(some)
    letters = "" if script == "Latin" else f" (most letters are {script})"
    warn(
        f"{n_unknown / len(words):.0%} of the words of the texts{letters} are unknown to the "
        "pretrained language model: it seems to know another language, or texts of another kind, "
        "and helps less then. Compare it with TF-IDF, or begin with a model of their language, "
        "one that you have trained with pretrained=None on millions of words of it (a Wikipedia, "
        "say) and saved; language_model=None, or pretrained=None, begins with nothing."
    )


def warn_of_long_texts(lengths: np.ndarray, max_length: int | None) -> None:
    """Say so if a few texts will take most of the time.

    Parameters
    ----------
    lengths : ndarray of shape (n_texts,)
        In tokens.
    max_length : int or None
        What is read of a text at most.

    Warns
    -----
    UserWarning
        If a text is many times as long as the others.
    """
    longest, middle = int(lengths.max()), float(np.median(lengths))
    if max_length is not None or longest < max(_LONG, _TIMES * middle):
        return
    warn(
        f"Text {int(lengths.argmax())} has {longest:,} tokens, half of the texts at most "
        f"{middle:,.0f}: long ones take that many times longer to train on. If their beginning "
        f"tells the class, max_length={max(100, 5 * round(middle)):d} reads no more than that."
    )


def _script(texts: Sequence[str]) -> str:
    """Name the letters that are most frequent: "Latin", "Cyrillic", "Thai"."""
    counts = Counter(
        unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
        for text in texts
        for letter in text
        if letter.isalpha()
    )
    return counts.most_common(1)[0][0].capitalize() if counts else "Latin"
