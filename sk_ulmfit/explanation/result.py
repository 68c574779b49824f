"""What an explanation says: tokens, where they stand, and what each adds to the logit."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from ..text.alignment import Span
from ..text.rules import UNSPACED

_UNSPACED = re.compile(UNSPACED)


class Word(NamedTuple):
    """A word or mark of a text.

    Parameters
    ----------
    text : str
        As it is written in the text; the token if it is not in the text.
    attribution : float
        Sum of its tokens' attributions.
    span : (int, int) or None
        Where it stands in the text.
    """

    text: str
    attribution: float
    span: Span | None


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What every token of a text adds to the logit of a class.

    In Jupyter it shows the text with a coloured background: blue speaks for the class, red
    against it. `print` shows the words that count most.

    Parameters
    ----------
    text : str
        As it was given.
    tokens : list of str
        As the tokenizer makes them of the text: ``xxunk`` is a word that the vocabulary lacks.
    attributions : ndarray of shape (n_tokens,), float64
        What each adds to the logit, in nats.
    spans : list of (int, int) or None
        Which characters of the text each token stands for, begin and end, in rising order. A mark
        such as ``xxmaj`` has the span of the token that it marks. None: it stands for nothing in
        the text, or the tokenizer is a function that has changed it beyond recognition.
    target : object
        The class that is explained.
    logit : float
        Log-odds of the class, ``log(p / (1 - p))`` of the probability that the classifier gives.
    baseline_logit : float
        The same for the text without its words.
    gap : float
        What the attributions lack: ``logit - baseline_logit - attributions.sum()``.
    n_steps : int
        At how many points of the path gradients were taken.

    See Also
    --------
    sk_ulmfit.explain : Makes them.
    """

    text: str
    tokens: list[str]
    attributions: np.ndarray
    spans: list[Span | None]
    target: Any
    logit: float
    baseline_logit: float
    gap: float
    n_steps: int

    @property
    def probability(self) -> float:
        """Probability of the class, as `predict_proba` gives it."""
        return float(expit(self.logit))

    def words(self) -> list[Word]:
        """Put tokens together that belong to one word.

        Returns
        -------
        list of Word
            In the order of the text. Marks are counted to the word that they mark, pieces of a
            word and the halves of "don't" to the whole. The attributions of all words add up to
            those of all tokens.
        """
        words: list[Word] = []
        last = -1  # the last one that stands in the text
        for token, attribution, span in self.to_list():
            if span is None:
                words.append(Word(token, attribution, None))
                continue
            before = words[last].span if last >= 0 else None
            if before and self._is_one_word(before, span):
                whole = (before[0], max(before[1], span[1]))
                attribution += words[last].attribution
                words[last] = Word(self.text[slice(*whole)], attribution, whole)
            else:
                last = len(words)
                words.append(Word(self.text[slice(*span)], attribution, span))
        return words

    def _is_one_word(self, before: Span, span: Span) -> bool:
        if span[0] != before[1]:
            return span[0] < before[1]
        last, first = self.text[span[0] - 1], self.text[span[0]]
        of_word = _is_of_word(first) or (first in "'\u2019" and span[1] - span[0] > 1)  # it's
        return of_word and _is_of_word(last) and not _UNSPACED.search(last + first)

    def to_list(self) -> list[tuple[str, float, Span | None]]:
        """Token, attribution and span of every token.

        Returns
        -------
        list of tuple
        """
        return list(zip(self.tokens, self.attributions.tolist(), self.spans, strict=True))

    def to_frame(self) -> Any:
        """Make a table with a row a token.

        Returns
        -------
        pandas.DataFrame
            With the columns "token", "attribution", "start" and "end"; the last two are missing
            where a token stands for nothing in the text.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas: install it (pip install pandas), or use to_list()."
            ) from error
        columns = {
            "token": self.tokens,
            "attribution": self.attributions,
            "start": pd.array(_sides(self.spans, 0), dtype="Int64"),
            "end": pd.array(_sides(self.spans, 1), dtype="Int64"),
        }
        return pd.DataFrame(columns)

    def to_html(self) -> str:
        """Show the text as HTML, with a coloured background.

        Returns
        -------
        str
            A ``div`` that needs nothing beside it. What the text holds is escaped.
        """
        from .rendering import as_html

        return as_html(self)

    def to_text(self, *, color: bool = False, n_words: int = 10) -> str:
        """Show it in a terminal.

        Parameters
        ----------
        color : bool, default=False
            Whether the text is shown with coloured background, by ANSI codes.
        n_words : int, default=10
            How many words are listed, those first that count most.

        Returns
        -------
        str
        """
        from .rendering import as_text

        return as_text(self, color=color, n_words=n_words)

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return (
            f"<Explanation: {self.target} at {self.logit:+.2f}, {len(self.tokens)} tokens, "
            f"gap {self.gap:.1e}>"
        )


def _is_of_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _sides(spans: Sequence[Span | None], side: int) -> list[int | None]:
    return [span and span[side] for span in spans]
