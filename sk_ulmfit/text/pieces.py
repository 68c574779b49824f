"""Texts of any length as a stream of clean pieces, in batches of bounded size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .rules import apply_rules

# A long text is cut between words into pieces of this many characters, and the pieces of texts
# long and short are encoded together up to that many: this bounds the memory that it takes.
_PIECE, _BATCH = 50_000, 1_000_000
_IN_PIECES = re.compile(rf"(?s).{{1,{_PIECE}}}(?=[ \n\t]|\Z)|[^ \n\t]+")


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


def batches(pieces: Iterable[tuple[bool, str]]) -> Iterator[list[tuple[bool, str]]]:
    """Lists of pieces, with about a million characters in each."""
    batch: list[tuple[bool, str]] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece[1]) + 100  # what an empty text costs, too
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
