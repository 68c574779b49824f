"""All tokenizers, and the ways to get one: by name, from a function, from saved state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from .subwords import SubwordTokenizer
from .tokenizer import Tokenizer
from .vocabulary import Vocabulary
from .words import WordTokenizer

__all__ = [
    "CallableTokenizer",
    "SubwordTokenizer",
    "Tokenizer",
    "WordTokenizer",
    "make_tokenizer",
    "tokenizer_from_dict",
]


class CallableTokenizer(Tokenizer):
    """Tokens are what a function makes of a text.

    Parameters
    ----------
    function : callable
        Takes a text, to which the rules have been applied (it is in lower case, with special
        tokens such as ``xxmaj``), and returns a list of tokens. A text of more than 50,000
        characters is passed in parts. To pickle the tokenizer, the function has to be one that
        can be pickled: one of a module, not a lambda.
    vocab : Vocabulary, default=None
        None before `fit`.

    See Also
    --------
    WordTokenizer : What is used unless you say otherwise.

    Examples
    --------
    >>> from sk_ulmfit.text.tokenizers import CallableTokenizer
    >>> tokenizer = CallableTokenizer(str.split).fit(["so be it"], max_vocab=20, min_freq=1)
    >>> tokenizer.tokens(tokenizer.encode(["be it so"])[0])
    ['xxbos', 'be', 'it', 'so']
    """

    kind = "callable"

    def __init__(self, function: Callable[[str], list[str]], vocab: Vocabulary | None = None):
        super().__init__(vocab)
        self.function = function

    def _split(self, piece: str) -> list[str]:
        found = self.function(piece)
        # A generator can be read only once.
        tokens = list(found) if isinstance(found, Iterable) and not isinstance(found, str) else None
        if tokens is None or not all(isinstance(token, str) for token in tokens):
            raise TypeError(
                f"The tokenizer {self.function!r} has to return a list of str, got {found!r:.80}."
            )
        return tokens

    def _lookup(self, pieces: Iterable[str]) -> Iterable[list[int]]:
        vocab = self.vocab
        return ([vocab.id(token) for token in self._split(piece)] for piece in pieces)

    def to_dict(self) -> NoReturn:
        """Refuse: a function cannot be written as JSON.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(
            f"A tokenizer that is a function ({self.function!r}) cannot be saved as JSON. Use "
            "pickle or joblib.dump instead of save, or tokenizer='word' or 'subword'."
        )


_BY_NAME: dict[str, type[Tokenizer]] = {
    tokenizer.kind: tokenizer for tokenizer in (WordTokenizer, SubwordTokenizer)
}


def make_tokenizer(spec: str | Callable[[str], list[str]] | Tokenizer) -> Tokenizer:
    """Make a tokenizer from what a user says.

    Parameters
    ----------
    spec : {"word", "subword"}, callable or Tokenizer
        A callable takes a text and returns a list of tokens. A tokenizer is returned as it is.

    Returns
    -------
    Tokenizer

    Raises
    ------
    TypeError, ValueError
        If `spec` is something else.
    """
    if isinstance(spec, Tokenizer):
        return spec
    if isinstance(spec, str) and spec in _BY_NAME:
        return _BY_NAME[spec]()
    message = (
        "The tokenizer has to be 'word', 'subword', a function that takes a text and returns a "
        f"list of tokens, or a Tokenizer, got {spec!r}."
    )
    if isinstance(spec, str):
        raise ValueError(message)
    if not callable(spec) or isinstance(spec, type):
        raise TypeError(message)
    return CallableTokenizer(spec)


def tokenizer_from_dict(description: dict[str, Any]) -> Tokenizer:
    """Restore a fitted tokenizer.

    Parameters
    ----------
    description : dict
        What `to_dict` gave.

    Returns
    -------
    Tokenizer

    Raises
    ------
    ValueError
        If there is no such tokenizer, or its vocabulary is not valid.
    """
    kind = description.get("kind") if isinstance(description, dict) else description
    if not isinstance(kind, str) or kind not in _BY_NAME:
        raise ValueError(f"Unknown kind of tokenizer {kind!r}: expected {' or '.join(_BY_NAME)}.")
    for name in ("tokens", "merges", "lexicon"):
        if not isinstance(description.get(name, []), list):
            raise ValueError(f"The {name} of the tokenizer are not a list.")
    try:
        return _BY_NAME[kind].from_dict(description).with_lexicon(description.get("lexicon", ()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"This describes no tokenizer ({error!r}).") from error
