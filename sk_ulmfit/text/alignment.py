"""Where in a text its tokens stand, although the rules have changed it in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

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
    origins : list of (int, int)
        For every character of `text` begin and end of what it stands for in the original. Neither
        ever falls from one character to the next. They are equal for what a rule has put in.
    """

    text: str
    origins: list[Span]

    @classmethod
    def original(cls, text: str) -> AlignedText:
        """Take a text to which no rule has been applied yet."""
        return cls(text, [(i, i + 1) for i in range(len(text))])

    def after(self, rule: Rule | Composition) -> AlignedText:
        """Apply a rule."""
        parts: list[str] = []
        origins: list[Span] = []
        done = 0
        for start, stop, by in rule.replacements(self.text):
            parts += [self.text[done:start], by]
            origins += self.origins[done:start]
            origins += self._origins_of(by, start, stop)
            done = stop
        if not parts:
            return self
        return AlignedText("".join([*parts, self.text[done:]]), origins + self.origins[done:])

    def span(self, start: int, stop: int) -> Span | None:
        """Say what characters `start` to `stop` stand for; None if a rule has put them in."""
        while start < stop and _is_empty(self.origins[start]):
            start += 1
        while start < stop and _is_empty(self.origins[stop - 1]):
            stop -= 1
        return (self.origins[start][0], self.origins[stop - 1][1]) if start < stop else None

    def _origins_of(self, new: str, start: int, stop: int) -> list[Span]:
        """Where the characters of `new` come from, which replaces those here."""
        old, origins = self.text[start:stop], self.origins[start:stop]
        begin = self.origins[start][0]
        if new.endswith(old.lower()):  # a mark before the word, or none
            widths = [len(character.lower()) for character in old]  # "İ" becomes two characters
            kept = [span for span, width in zip(origins, widths, strict=True) for _ in range(width)]
            return [(begin, begin)] * (len(new) - len(kept)) + kept
        # What has changed as a whole comes from the whole; an end that is the same does not.
        from_end = zip(reversed(old), reversed(new), strict=False)
        n_same = len(list(takewhile(lambda both: both[0] == both[1], from_end)))
        changed = old[: len(old) - n_same]
        whole = (begin, begin)
        if word := changed.strip() or changed:
            first = changed.index(word)
            whole = (origins[first][0], origins[first + len(word) - 1][1])
        return [whole] * (len(new) - n_same) + origins[len(changed) :]


def _is_empty(span: Span) -> bool:
    return span[0] == span[1]


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
    return AlignedText(aligned.text[start:stop], aligned.origins[start:stop])


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
