"""What an explanation says, and how it is shown: as data, as HTML, as text for a terminal."""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ..text.alignment import Span
from ..text.rules import UNSPACED

_UNSPACED = re.compile(UNSPACED)

# Of ColorBrewer's RdBu, which people who do not tell red from green tell apart. Neither light nor
# dark, so that the word that counts most can be read on a white page and on a dark one.
_FOR, _AGAINST = (67, 147, 195), (214, 96, 77)
_STRONGEST = 0.75

# What a browser or a terminal would obey, not show, and what UTF-8 cannot hold: control
# characters but line breaks and tabs, marks that turn the direction of writing, lone surrogates.
_UNSHOWN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)

# What the characters of our own become where a terminal's encoding lacks them.
_ASCII = str.maketrans({"█": "#", "…": "~", "±": "+-"})

_WIDTH_OF_BAR = 20
_WIDTH_OF_WORD = 40

# Below this, in nats, nobody cares what is not told: a percent of probability.
_NEGLIGIBLE = 0.05


class Word(NamedTuple):
    """A word of a text with the marks of punctuation that are attached to it.

    Parameters
    ----------
    text : str
        As it is written in the text; the token if it is not in the text.
    attribution : float
        What it adds to the logit of the class, in nats.
    span : (int, int) or None
        Where it stands in the text.
    """

    text: str
    attribution: float
    span: Span | None


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What every word of a text adds to the logit of a class.

    In Jupyter it shows the text with a coloured background: blue speaks for the class, red
    against it. `print` shows the words that count most. Where the words act together in a way that
    no sum can tell (see `within_tolerance`), all of them say so.

    Parameters
    ----------
    text : str
        As it was given.
    tokens : list of str
        As the tokenizer makes them of the text: ``xxunk`` is a word that the vocabulary lacks.
    attributions : ndarray of shape (n_tokens,), float64
        What each adds to the logit, in nats. The tokens of a word have equal shares of what the
        word adds. ``xxbos`` and what stands behind the classifier's `max_length` have 0.
    spans : list of (int, int) or None
        Which characters of the text each token stands for, begin and end, in rising order. A mark
        such as ``xxmaj`` has the span of the token that it marks. None: it stands for nothing in
        the text, or the tokenizer is a function that has changed it beyond recognition.
    target : object
        The class that is explained.
    probability : float
        Of the class, as `predict_proba` gives it.
    logit : float
        The value that is explained: log-odds of the class, ``log(p / (1 - p))``.
    baseline_logit : float
        What the attributions start from: ``baseline_logit + attributions.sum()`` is `logit`. Of
        a text of one word, it is the logit of the empty text.
    error : float
        How far the attributions are from what the classifier says when a third of the words is
        left out, in nats (root mean square, each reading predicted from the others); of texts of
        up to five words, from all that it says.
    unexplained : float
        The same as a share: of how much such readings differ from one another, what the
        attributions do not tell. 0 is best; 1 is no better than a guess.
    tolerance : float
        The largest share that was asked for.
    n_readings : int
        How often the classifier has read the text without some of its words.

    See Also
    --------
    sk_ulmfit.explain : Makes them.
    """

    text: str
    tokens: list[str]
    attributions: np.ndarray
    spans: list[Span | None]
    target: Any
    probability: float
    logit: float
    baseline_logit: float
    error: float
    unexplained: float
    tolerance: float
    n_readings: int

    @property
    def within_tolerance(self) -> bool:
        """Whether `unexplained` is at most `tolerance` (or `error` too small to matter)."""
        return self.unexplained <= self.tolerance or self.error <= _NEGLIGIBLE

    def words(self) -> list[Word]:
        """Put tokens together that belong to one word.

        Returns
        -------
        list of Word
            In the order of the text, without ``xxbos``. These are what was left out as a whole:
            marks such as ``xxmaj`` are counted to the word that they mark, pieces of a word and
            the halves of "don't" to the whole, punctuation to the word that it is attached to.
            The attributions of all words add up to those of all tokens.
        """
        numbers = words_of_tokens(self.text, self.spans).tolist()
        words: list[Word] = []
        done = 0
        for number, rows in groupby(range(len(numbers)), numbers.__getitem__):
            if number < 0:
                continue
            own = list(rows)
            attribution = float(self.attributions[own].sum())
            spans = [span for i in own if (span := self.spans[i])]
            start = max(done, spans[0][0]) if spans else done
            stop = max((span[1] for span in spans), default=done)
            if start < stop:
                words.append(Word(self.text[start:stop], attribution, (start, stop)))
                done = stop
            else:  # of no place, or of one that another token has already
                words.append(Word(self.tokens[own[0]], attribution, None))
        return words

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
            where a token stands for nothing in the text. Its ``attrs`` hold "target", "logit",
            "baseline_logit", "error" and "within_tolerance".

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
            "start": pd.array([span and span[0] for span in self.spans], dtype="Int64"),
            "end": pd.array([span and span[1] for span in self.spans], dtype="Int64"),
        }
        frame = pd.DataFrame(columns)
        names = ("target", "logit", "baseline_logit", "error", "within_tolerance")
        frame.attrs.update({name: getattr(self, name) for name in names})
        return frame

    def to_html(self) -> str:
        """Show the text as HTML, with a coloured background.

        Returns
        -------
        str
            A ``div`` that needs nothing beside it. What the text holds is escaped.
        """
        largest = _largest(self.words())
        body = []
        for text, word in _segments(self):
            shown = html.escape(_shown(text))
            if word is not None:
                color, strength = _color(word, largest)
                shown = (
                    f'<span title="{word.attribution:+.2f}" style="background: '
                    f"rgba({', '.join(map(str, color))}, {strength:.2f}); "
                    f'border-radius: 0.2em">{shown}</span>'
                )
            body.append(shown)
        legend = "".join(
            f'<span style="background: rgba({", ".join(map(str, color))}, {_STRONGEST}); '
            f"border-radius: 0.2em; padding: 0 0.4em; margin-left: 0.6em; "
            f'display: inline-block">{name}</span>'
            for name, color in (("for it", _FOR), ("against it", _AGAINST))
        )
        heading = html.escape(_heading(self), quote=False) + legend
        if not self.within_tolerance:
            heading += f"<div>{html.escape(_doubt(self), quote=False)}</div>"
        return (
            '<div style="max-width: 60em; margin: 0.5em 0; line-height: 1.6">'
            f'<div style="font-size: 85%; opacity: 0.8">{heading}</div>'
            '<div dir="auto" style="white-space: pre-wrap; overflow-wrap: anywhere">'
            f"{''.join(body)}</div></div>"
        )

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
            What the encoding of ``sys.stdout`` lacks is written in ASCII.
        """
        words = self.words()
        largest = _largest(words)
        lines = [_heading(self)]
        if not self.within_tolerance:
            lines.append(_doubt(self))
        if color:
            lines.append("".join(_colored(text, word, largest) for text, word in _segments(self)))
        words = sorted(
            (word for word in words if word.attribution), key=lambda word: -abs(word.attribution)
        )
        for word in words[:n_words]:
            bar = "█" * round(_WIDTH_OF_BAR * abs(word.attribution) / largest)
            text = _shown(" ".join(word.text.split()))
            if len(text) > _WIDTH_OF_WORD:
                text = text[: _WIDTH_OF_WORD - 1] + "…"
            lines.append(f"{word.attribution:+7.2f}  {bar:<{_WIDTH_OF_BAR}}  {text}".rstrip())
        if len(words) > n_words:
            rest = sum(word.attribution for word in words[n_words:])
            lines.append(f"{rest:+7.2f}  {'':<{_WIDTH_OF_BAR}}  ({len(words) - n_words} more)")
        return _encodable("\n".join(lines))

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        doubt = "" if self.within_tolerance else ", beyond the tolerance"
        return (
            f"<Explanation: {_label(self)} at {self.logit:+.2f}, {len(self.tokens)} tokens, "
            f"error {self.error:.2f}{doubt}>"
        )


def words_of_tokens(text: str, spans: Sequence[Span | None]) -> np.ndarray:
    """Tell which tokens make up one word, with the punctuation that is attached to it.

    Parameters
    ----------
    text : str
    spans : sequence of (int, int) or None
        Of a document's tokens, ``xxbos`` first.

    Returns
    -------
    ndarray of shape (n_tokens,), int
        Numbers of words, rising by one; -1 for ``xxbos``.
    """
    numbers = np.full(len(spans), -1)
    number = end = -1
    only_marks = False  # whether the word has nothing but punctuation yet
    for i, span in enumerate(spans[1:], 1):
        kind = "" if span is None else _kind(text[span[0]])
        joins = span is not None and (
            span[0] < end
            or (span[0] == end and (kind == "mark" or only_marks))
            or (span[0] == end and kind == "letter" == _kind(text[end - 1]))
        )
        number += not joins
        numbers[i] = number
        only_marks = kind == "mark" and (only_marks or not joins)
        end = -1 if span is None else max(end, span[1])
    return numbers


def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if _UNSPACED.match(character):
        return "single"
    if character.isalnum() or category[0] == "M":
        return "letter"
    return "mark" if category[0] == "P" or category in ("Sc", "Sm", "Sk") else "single"


def _label(explanation: Explanation) -> str:
    return _shown(" ".join(str(explanation.target).split()))


def _heading(explanation: Explanation) -> str:
    return (
        f"{_label(explanation)}: probability {explanation.probability:.3f}, "
        f"log-odds {explanation.logit:+.2f} (from {explanation.baseline_logit:+.2f}, the words "
        f"{explanation.attributions.sum():+.2f} ± {explanation.error:.2f})"
    )


def _doubt(explanation: Explanation) -> str:
    return (
        "Take this with care: the words act together. Their sums leave "
        f"{min(explanation.unexplained, 1.0):.0%} unexplained of what the classifier says when "
        "some of them are left out."
    )


def _segments(explanation: Explanation) -> Iterator[tuple[str, Word | None]]:
    """The whole text in parts, each with the word that it is, if it is one."""
    text, done = explanation.text, 0
    for word in explanation.words():
        if word.span is None:
            continue
        start, stop = word.span
        if done < start:
            yield text[done:start], None
        yield text[start:stop], word
        done = stop
    if done < len(text):
        yield text[done:], None


def _largest(words: Sequence[Word]) -> float:
    return max((abs(word.attribution) for word in words), default=0.0) or 1.0


def _color(word: Word, largest: float) -> tuple[tuple[int, int, int], float]:
    """Colour and opacity: how much a word counts beside the one that counts most."""
    color = _FOR if word.attribution > 0 else _AGAINST
    return color, _STRONGEST * abs(word.attribution) / largest


def _colored(text: str, word: Word | None, largest: float) -> str:
    if word is None:
        return _shown(text)
    color, strength = _color(word, largest)
    mixed = ";".join(str(round(255 + strength * (value - 255))) for value in color)
    return f"\x1b[30;48;2;{mixed}m{_shown(text)}\x1b[0m"


def _shown(text: str) -> str:
    return _UNSHOWN.sub("\ufffd", text)


def _encodable(text: str) -> str:
    """What sys.stdout can print; the same text wherever it writes UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text
