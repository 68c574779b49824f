"""Rules that clean and simplify a text before it is split into tokens.

They keep a vocabulary small without losing what its words carry: ``The`` and ``the`` share one
entry, and a mark of its own says that the word was capitalised. The rules behave like fastai's,
so that a language model trained there reads the same text here, apart from these differences:

- An HTML entity is decoded as a whole (``&amp;`` to ``&``, fastai gives ``&&``), and before
  anything else, so that an escaped ``&lt;br&gt;`` is a line break too.
- ``<br>`` and ``<br/>`` are line breaks as well as ``<br />``, in capitals too.
- WikiText's `` @,@ `` is undone as well as `` @-@ `` and `` @.@ ``.
- Of two runs of repeated words next to each other, both are found.
- Lone surrogates, which no encoding of Unicode can hold, become U+FFFD.
- Characters that nobody sees (soft hyphens, zero-width spaces, marks of direction) are left out,
  and a letter and its accents become one character (NFC), so that a word is known however it was
  typed.
- ``xxbos`` is added by the tokenizers, not here.

References
----------
.. [1] J. Howard and S. Gugger, "fastai: A Layered API for Deep Learning", Information 11(2), 2020,
   section on text preprocessing. https://docs.fast.ai/text.core.html
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

UNK = "xxunk"  # a word that is not in the vocabulary
PAD = "xxpad"  # fills batches up
BOS = "xxbos"  # begins a document
EOS = "xxeos"  # ends a document
FLD = "xxfld"  # begins a field, where a document has several
MAJ = "xxmaj"  # the next word is Capitalised
UP = "xxup"  # the next word is in ALL CAPS
REP = "xxrep"  # xxrep 4 a: aaaa
WREP = "xxwrep"  # xxwrep 3 no: no no no

SPECIAL_TOKENS = (UNK, PAD, BOS, EOS, FLD, MAJ, UP, REP, WREP)


# Letters and marks of scripts that put no spaces between words (and none between syllables): Thai,
# Lao, Burmese, Khmer, New Tai Lue and its sisters, Balinese, Javanese. Chinese and Japanese have
# names in the patterns of `words`.
_SOUTH_EAST_ASIAN = [
    (0x0E01, 0x0E3A), (0x0E40, 0x0E4E), (0x0E81, 0x0ECE), (0x0EDC, 0x0EDF), (0x1000, 0x103F),
    (0x1050, 0x108F), (0x109A, 0x109D), (0x1780, 0x17D3), (0x17D7, 0x17D7), (0x17DC, 0x17DD),
    (0x1950, 0x19CF), (0x1A20, 0x1A7F), (0x1AA7, 0x1AA7), (0x1B00, 0x1B4C), (0xA980, 0xA9C0),
    (0xA9E0, 0xA9EF), (0xA9FA, 0xA9FE), (0xAA60, 0xAADF),
]  # fmt: skip
SOUTH_EAST_ASIAN = "".join(f"{chr(first)}-{chr(last)}" for first, last in _SOUTH_EAST_ASIAN)
"""Ranges for a set of characters in a pattern."""

# Characters of scripts without spaces, each of which is a word of its own.
UNSPACED = (
    f"[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff{SOUTH_EAST_ASIAN}]"
)


class Rule(NamedTuple):
    """One substitution.

    Every pattern takes time linear in the length of the text, whatever the text is.

    Parameters
    ----------
    name : str
        What the rule does, for tables and messages.
    pattern : re.Pattern
        What is replaced.
    replacement : str or callable
        As `re.sub` takes it.
    sign : str or callable, default=""
        What every text has that the pattern matches in, or a function that takes a text and tells
        whether it may. Much faster than to look for the pattern.
    """

    name: str
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]
    sign: str | Callable[[str], bool] = ""

    def _concerns(self, text: str) -> bool:
        return self.sign in text if isinstance(self.sign, str) else self.sign(text)

    def apply(self, text: str) -> str:
        """Replace all matches in `text`."""
        return self.pattern.sub(self.replacement, text) if self._concerns(text) else text

    def replacements(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Begin and end of every match in `text`, and what it is replaced by."""
        by = self.replacement
        for match in self.pattern.finditer(text) if self._concerns(text) else ():
            yield *match.span(), match.expand(by) if isinstance(by, str) else by(match)


class Composition:
    """The rule that makes one character of a letter and its accents (Unicode's form NFC)."""

    name = "composed characters"

    # What may be changed begins behind a character that may not.
    _CHANGEABLE = re.compile(r"(?s).?[^\0-\u02ff]+")

    # More accents on one letter are not put in order: that takes time quadratic in their number.
    _MOST = 30

    def apply(self, text: str) -> str:
        """Compose all characters of `text`."""
        if unicodedata.is_normalized("NFC", text):  # as nearly always
            return text
        return self._CHANGEABLE.sub(
            lambda match: "".join(new for _, new in self._composed(match[0])), text
        )

    def replacements(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Begin and end of every letter with accents in `text`, and what it is replaced by."""
        if unicodedata.is_normalized("NFC", text):
            return
        for match in self._CHANGEABLE.finditer(text):
            start = match.start()
            for length, new in self._composed(match[0]):
                yield start, start + length, new
                start += length

    def _composed(self, text: str) -> Iterator[tuple[int, str]]:
        """Length in `text` of every character with its accents, and what they become."""
        length, new = 0, ""
        for character in text:
            joined = unicodedata.normalize("NFC", new + character)
            alone = unicodedata.normalize("NFC", character)
            belongs = unicodedata.combining(character) != 0 or joined != new + alone
            if length and (not belongs or length == self._MOST):
                yield length, new
                length, joined = 0, alone
            length, new = length + 1, joined
        yield length, new


# Pieces of entities, as texts have them that lost the "&" on their way.
_FRAGMENTS = {"#39;": "'", "#146;": "'", "quot;": "'", "amp;": "&", "nbsp;": " ", "#36;": "$"}


def _marked(mark: str) -> Callable[[re.Match[str]], str]:
    # A single capital, such as the word "I", gets no mark: it has no other case to tell apart.
    return lambda word: (f"{mark} " if len(word[0]) > 1 else "") + word[0].lower()


# Characters that are never seen: Unicode's "default ignorable" ones, and control characters. The
# two joiners and the choosers of a variant are apart: behind a symbol, or a letter of some scripts,
# they mean something.
_INVISIBLE = (
    "\0-\x08\x0e-\x1b\x7f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_JOINERS = "\u200c\u200d\ufe00-\ufe0f"
_ALWAYS_INVISIBLE = re.compile(f"[{_INVISIBLE}]+")


def _visible(run: re.Match[str]) -> str:
    """What is left of a run of characters that may be invisible."""
    before = run.string[run.start() - 1 : run.start()]
    if before < "\u0590":  # a letter of Latin, Greek or Cyrillic, a mark, or nothing
        return ""
    return _ALWAYS_INVISIBLE.sub("", run[0])


RULES: tuple[Rule | Composition, ...] = (
    Rule(
        "lone surrogates",
        re.compile("[\ud800-\udfff]"),
        "\ufffd",
        lambda text: not text.isascii(),
    ),
    Rule(
        "HTML entities",
        # At most 7 digits: Python refuses to convert thousands of them to a number.
        re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[^\t\n\f <&#;]{1,32};?)"),
        lambda entity: html.unescape(entity[0]),
        "&",
    ),
    Rule(
        "pieces of HTML entities",
        re.compile("&?(" + "|".join(_FRAGMENTS) + ")"),
        lambda piece: _FRAGMENTS[piece[1]],
        ";",
    ),
    Rule(
        "invisible characters",
        re.compile(f"[{_INVISIBLE}{_JOINERS}]+"),
        _visible,
        lambda text: not (text.isascii() and text.isprintable()),
    ),
    Composition(),
    Rule("HTML line breaks", re.compile("<br ?/?>", re.IGNORECASE), "\n", "<"),
    Rule("escaped line breaks", re.compile(r"\\n"), "\n", "\\n"),
    Rule("escaped quotes", re.compile(r'\\"'), '"', '\\"'),
    Rule("unknown words of WikiText", re.compile("<unk>"), UNK, "<unk>"),
    Rule("inner marks of WikiText", re.compile(" @([-.,])@ "), r"\1", "@ "),
    Rule("ellipses", re.compile(r"\.\.\."), " …", "..."),
    Rule(
        "repeated characters",
        re.compile(r"(\S)\1\1+"),
        lambda run: f" {REP} {len(run[0])} {run[1]} ",
    ),
    Rule(
        "repeated words",
        re.compile(r"(?:\s|^)(\w+)\s+\1\s+\1(?!\w)(?:\s+\1(?!\w))*"),
        lambda run: f" {WREP} {len(run[0].split())} {run[1]} ",
    ),
    Rule("slashes and hashes", re.compile(r"([/#\\])"), r" \1 "),
    Rule("runs of spaces", re.compile("  +"), " "),
    # In the next two, the capital comes first and "at the start of a word" second: a pattern that
    # begins with a set of characters is searched for about twice as fast.
    Rule("ALL CAPS", re.compile(r"[A-Z](?<!\S[A-Z])[^a-z\s]*(?!\S)"), _marked(UP)),
    Rule("Capitalised", re.compile(r"[A-Z](?<!\S[A-Z])[^A-Z\s]*(?!\S)"), _marked(MAJ)),
    # From the first character that may be a capital to the end of the word: what a Greek sigma
    # becomes depends on its place in the word.
    Rule("lower case", re.compile(r"[A-Z\x80-\U0010ffff]\S*"), lambda rest: rest[0].lower()),
)


def apply_rules(text: str) -> str:
    """Apply all rules, one after another.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        The text in lower case, with special tokens for what that loses, and without white space
        at its ends.

    Examples
    --------
    >>> from sk_ulmfit.text.rules import apply_rules
    >>> apply_rules("NASA says: This is sooooo, so so so good!")
    'xxup nasa says: xxmaj this is s xxrep 5 o , xxwrep 3 so good!'
    """
    for rule in RULES:
        text = rule.apply(text)
    return text.strip()


# The rules undone.

_Step = tuple[str, "str | Callable[[re.Match[str]], str]"]

# A text may say "xxrep 999999999 a": nobody wants to read that, or to have the memory for it.
MAX_REPEATS = 1000


def _times(count: str) -> int:
    return min(int(count), MAX_REPEATS)


# What has no meaning, and characters that are repeated.
_FIRST: list[_Step] = [
    (r"\s+", " "),
    # A mark before an unknown word goes with it: it is not the next word's.
    (rf"(?<!\S)(?:(?:{MAJ}|{UP}) )?(?:{UNK}|{PAD}|{BOS}|{EOS}|{FLD})(?: |$)", ""),
    (rf"(?<!\S){REP} (\d{{1,9}}) (\S)(?!\S)", lambda run: run[2] * _times(run[1])),
]

# Where word tokens had no space between them, most of the time.
_SPACES: list[_Step] = [
    (r'(?<!\S)" ([^"]*[^" ]) "(?!\S)', r'"\1"'),
    (r"(?<=\w) (?=(?:n['\u2019]t|['\u2019](?:s|re|ve|ll|d|m))(?!\w))", ""),
    (r" (?=([.,;:!?…%)\]}»”])\1*(?!\S))", ""),
    (r"(?<!\S)([(\[{«“$£€#]) ", r"\1"),
    # A mark behind the hyphen tells that there was a space.
    (r"(?<=\w) ([-/]) (?=\w)(?!xx)", r"\1"),
    (rf"(?<={UNSPACED}) (?={UNSPACED})", ""),
]

_MARKS: list[_Step] = [
    (rf"\b{UP} (?!xx)(\S+)", lambda word: word[1].upper()),
    (rf"\b{MAJ} (?!xx)(\S+)", lambda word: word[1][:1].upper() + word[1][1:]),
    (rf"\b{WREP} (\d{{1,9}}) (\w+)", lambda run: " ".join([run[2]] * _times(run[1]))),
    # What is left are marks without a word, as a language model may write them.
    (rf"\b(?:{MAJ}|{UP}|{REP}|{WREP})\b", ""),
    (r"\s+", " "),
]


def _compiled(steps: list[_Step]) -> list[tuple[re.Pattern[str], str | Callable]]:
    return [(re.compile(pattern), replacement) for pattern, replacement in steps]


_FOR_SPACED_TEXT = _compiled([*_FIRST, *_MARKS])
_FOR_WORD_TOKENS = _compiled([*_FIRST, *_SPACES, *_MARKS])


def undo_rules(text: str, *, word_tokens: bool) -> str:
    """Undo the rules, as far as they can be undone.

    Parameters
    ----------
    text : str
        What `apply_rules` gives, or the tokens of it with spaces between them.
    word_tokens : bool
        If True, spaces around punctuation are taken out, too.

    Returns
    -------
    str
        Text with its capitals and repetitions and without special tokens.

    Examples
    --------
    >>> from sk_ulmfit.text.rules import undo_rules
    >>> undo_rules("xxbos xxup nasa did n't say ( xxmaj yes xxrep 3 ! )", word_tokens=True)
    "NASA didn't say (Yes!!!)"
    """
    for pattern, replacement in _FOR_WORD_TOKENS if word_tokens else _FOR_SPACED_TEXT:
        text = pattern.sub(replacement, text)
    return text.strip()
