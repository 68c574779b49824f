"""Where in a text its tokens stand, although the rules have changed it in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .rules import MAJ, RULES, UP, Composition, Rule

# Begin and end in the characters of a text, the end excluded.
Span = tuple[int, int]

# How far behind the last token that was found a token is looked for, in characters; once more for
# every token that was missed in between.
_WINDOW = 50


@dataclass
class AlignedText:
    """A text after the rules, whose characters know where they come from.

    Parameters
    ----------
    text : str
    starts, ends : list of int
        For every character of `text` the begin and the end of what it stands for in the original.
        Neither ever falls from one character to the next. They are equal for what a rule has put
        in.
    """

    text: str
    starts: list[int]
    ends: list[int]

    @classmethod
    def original(cls, text: str) -> AlignedText:
        """Take a text to which no rule has been applied yet."""
        return cls(text, list(range(len(text))), list(range(1, len(text) + 1)))

    def after(self, rule: Rule | Composition) -> AlignedText:
        """Apply a rule."""
        parts: list[str] = []
        new = AlignedText("", [], [])
        done = 0
        for start, stop, by in rule.replacements(self.text):
            parts += [self.text[done:start], by]
            new._extend(self.starts[done:start], self.ends[done:start])
            new._extend(*self._origins(start, stop, by))
            done = stop
        if not parts:
            return self
        parts.append(self.text[done:])
        new._extend(self.starts[done:], self.ends[done:])
        new.text = "".join(parts)
        return new

    def span(self, start: int, stop: int) -> Span | None:
        """Say what characters `start` to `stop` stand for; None if a rule has put them in."""
        while start < stop and self.starts[start] == self.ends[start]:
            start += 1
        while start < stop and self.starts[stop - 1] == self.ends[stop - 1]:
            stop -= 1
        return (self.starts[start], self.ends[stop - 1]) if start < stop else None

    def _extend(self, starts: list[int], ends: list[int]) -> None:
        self.starts += starts
        self.ends += ends

    def _origins(self, start: int, stop: int, new: str) -> tuple[list[int], list[int]]:
        """Begins and ends of the characters of `new`, which replaces those here."""
        old = self.text[start:stop]
        if new.endswith(old.lower()):  # a mark before the word, or none
            widths = [1] * len(old)
            if len(old.lower()) != len(old):  # "İ" becomes two characters
                widths = [len(character.lower()) for character in old]
            n_put_in = len(new) - sum(widths)
            starts = [self.starts[start]] * n_put_in
            ends = list(starts)
            for i, width in enumerate(widths, start):
                starts += [self.starts[i]] * width
                ends += [self.ends[i]] * width
            return starts, ends
        # What has changed as a whole comes from the whole; an end that is the same does not.
        n_same = _common_end(old, new)
        changed = old[: len(old) - n_same]
        begin, end = self._bounds(start, changed)
        n_changed, kept = len(new) - n_same, slice(stop - n_same, stop)
        return (
            [begin] * n_changed + self.starts[kept],
            [end] * n_changed + self.ends[kept],
        )

    def _bounds(self, start: int, part: str) -> Span:
        """Begin and end of what `part`, which stands at `start`, comes from, without spaces."""
        word = part.strip() or part
        if not word:
            return self.starts[start], self.starts[start]
        first = start + part.index(word)
        return self.starts[first], self.ends[first + len(word) - 1]


def _common_end(one: str, other: str) -> int:
    n = 0
    while n < min(len(one), len(other)) and one[-1 - n] == other[-1 - n]:
        n += 1
    return n


def aligned_rules(text: str) -> AlignedText:
    """Apply all rules, and keep account of what becomes of every character.

    Parameters
    ----------
    text : str

    Returns
    -------
    AlignedText
        Its `text` is what `apply_rules` gives.

    Examples
    --------
    >>> from sk_ulmfit.text.alignment import aligned_rules
    >>> aligned = aligned_rules("Soooo AT&amp;T")
    >>> aligned.text
    's xxrep 4 o xxup at&t'
    >>> aligned.span(aligned.text.index("at&t"), len(aligned.text))
    (6, 14)
    """
    aligned = AlignedText.original(text)
    for rule in RULES:
        aligned = aligned.after(rule)
    start = len(aligned.text) - len(aligned.text.lstrip())
    stop = len(aligned.text.rstrip())
    return AlignedText(
        aligned.text[start:stop], aligned.starts[start:stop], aligned.ends[start:stop]
    )


def found_in_order(piece: str, tokens: Sequence[str]) -> list[Span | None]:
    """Look for tokens in a piece of text, one behind the other.

    Parameters
    ----------
    piece : str
    tokens : sequence of str
        What some function has made of it. They may be changed, left out or new.

    Returns
    -------
    list of (int, int) or None
        For every token where it is; None where it is not found nearby.
    """
    found: list[Span | None] = []
    position = n_missed = 0
    for token in tokens:
        limit = position + len(token) + _WINDOW * (1 + n_missed)
        start = piece.find(token, position, limit) if token else -1
        if start < 0:
            found.append(None)
            n_missed += 1
        else:
            position, n_missed = start + len(token), 0
            found.append((start, position))
    return found


def spans_of(aligned: AlignedText, places: Sequence[Span | None]) -> list[Span | None]:
    """Spans in the original text of tokens whose places in the aligned one are known.

    Parameters
    ----------
    aligned : AlignedText
    places : sequence of (int, int) or None
        In rising order.

    Returns
    -------
    list of (int, int) or None
        A mark that a rule has put before a word has the span of the token behind it.
    """
    spans = [aligned.span(*place) if place else None for place in places]
    following: Span | None = None
    for i in range(len(places) - 1, -1, -1):
        place = places[i]
        if place and spans[i] is None and aligned.text[slice(*place)] in (MAJ, UP):
            spans[i] = following
        following = spans[i]
    return spans
