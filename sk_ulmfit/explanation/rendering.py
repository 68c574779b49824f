"""Explanations for the eye: HTML for notebooks, text for terminals."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .result import Explanation, Word

# Of ColorBrewer's RdBu, which people who do not tell red from green tell apart. Neither light nor
# dark, so that the word that counts most can be read on a white page and on a dark one.
_FOR, _AGAINST = (67, 147, 195), (214, 96, 77)
_STRONGEST = 0.75

# What a browser or a terminal would obey, not show, and what UTF-8 cannot hold: control
# characters but line breaks and tabs, marks that turn the direction of writing, lone surrogates.
_UNSHOWN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)

_WIDTH_OF_BAR = 20
_WIDTH_OF_WORD = 40


def as_html(explanation: Explanation) -> str:
    """See `Explanation.to_html`."""
    largest = _largest(explanation)
    body = []
    for text, word in _segments(explanation):
        shown = html.escape(_shown(text))
        if word is not None:
            strength = _strength(word, largest)
            color = ", ".join(map(str, _FOR if word.attribution > 0 else _AGAINST))
            shown = (
                f'<span title="{word.attribution:+.2f}" style="background: '
                f'rgba({color}, {_STRONGEST * strength:.2f}); border-radius: 0.2em">{shown}</span>'
            )
        body.append(shown)
    legend = "".join(
        f'<span style="background: rgba({", ".join(map(str, color))}, {_STRONGEST}); '
        f'border-radius: 0.2em; padding: 0 0.4em; margin-left: 0.6em; display: inline-block">'
        f"{name}</span>"
        for name, color in (("for it", _FOR), ("against it", _AGAINST))
    )
    heading = html.escape(_heading(explanation), quote=False)
    return (
        '<div style="max-width: 60em; margin: 0.5em 0; line-height: 1.6">'
        f'<div style="font-size: 85%; opacity: 0.8">{heading}{legend}</div>'
        f'<div dir="auto" style="white-space: pre-wrap; overflow-wrap: anywhere">{"".join(body)}'
        "</div></div>"
    )


def as_text(explanation: Explanation, *, color: bool, n_words: int) -> str:
    """See `Explanation.to_text`."""
    lines = [_heading(explanation)]
    if color:
        lines.append(_colored(explanation))
    largest = _largest(explanation)
    words = [word for word in explanation.words() if word.attribution]
    words.sort(key=lambda word: -abs(word.attribution))
    for word in words[:n_words]:
        bar = "█" * round(_WIDTH_OF_BAR * _strength(word, largest))
        text = _shown(" ".join(word.text.split()))
        if len(text) > _WIDTH_OF_WORD:
            text = text[: _WIDTH_OF_WORD - 1] + "…"
        lines.append(f"{word.attribution:+7.2f}  {bar:<{_WIDTH_OF_BAR}}  {text}".rstrip())
    if len(words) > n_words:
        rest = sum(word.attribution for word in words[n_words:])
        lines.append(f"{rest:+7.2f}  {'':<{_WIDTH_OF_BAR}}  ({len(words) - n_words} more)")
    return "\n".join(lines)


def _heading(explanation: Explanation) -> str:
    return (
        f"{_shown(str(explanation.target))}: probability {explanation.probability:.3f}, "
        f"log-odds {explanation.logit:+.2f} (without the words {explanation.baseline_logit:+.2f})"
    )


def _colored(explanation: Explanation) -> str:
    largest = _largest(explanation)
    parts = []
    for text, word in _segments(explanation):
        shown = _shown(text)
        if word is not None:
            strength = _STRONGEST * _strength(word, largest)
            own = _FOR if word.attribution > 0 else _AGAINST
            mixed = ";".join(str(round(255 + strength * (value - 255))) for value in own)
            shown = f"\x1b[30;48;2;{mixed}m{shown}\x1b[0m"
        parts.append(shown)
    return "".join(parts)


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


def _largest(explanation: Explanation) -> float:
    return max((abs(word.attribution) for word in explanation.words()), default=0.0)


def _strength(word: Word, largest: float) -> float:
    """How much a word counts beside the one that counts most, from 0 to 1."""
    return abs(word.attribution) / largest if largest > 0 else 0.0


def _shown(text: str) -> str:
    return _UNSHOWN.sub("\ufffd", text)
