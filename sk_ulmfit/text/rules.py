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
- ``xxbos`` is added by the tokenizers, not here.

References
----------
.. [1] J. Howard and S. Gugger, "fastai: A Layered API for Deep Learning", Information 11(2), 2020,
   section on text preprocessing. https://docs.fast.ai/text.core.html
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
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
    triggers : tuple of str, default=()
        The pattern matches no text without at least one of these. Looking for them is much
        faster than looking for the pattern. Empty: the rule is always tried.
    """

    name: str
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]
    triggers: tuple[str, ...] = ()

    def apply(self, text: str) -> str:
        """Replace all matches in `text`."""
        if self.triggers and not any(trigger in text for trigger in self.triggers):
            return text
        return self.pattern.sub(self.replacement, text)


# Pieces of entities, as texts have them that lost the "&" on their way.
_FRAGMENTS = {"#39;": "'", "#146;": "'", "quot;": "'", "amp;": "&", "nbsp;": " ", "#36;": "$"}


def _marked(mark: str) -> Callable[[re.Match[str]], str]:
    # A single capital, such as the word "I", gets no mark: it has no other case to tell apart.
    return lambda word: (f"{mark} " if len(word[0]) > 1 else "") + word[0].lower()


RULES = (
    Rule("lone surrogates", re.compile("[\ud800-\udfff]"), "\ufffd"),
    Rule(
        "HTML entities",
        # At most 7 digits: Python refuses to convert thousands of them to a number.
        re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[^\t\n\f <&#;]{1,32};?)"),
        lambda entity: html.unescape(entity[0]),
        triggers=("&",),
    ),
    Rule(
        "pieces of HTML entities",
        re.compile("&?(" + "|".join(_FRAGMENTS) + ")"),
        lambda piece: _FRAGMENTS[piece[1]],
        triggers=tuple(_FRAGMENTS),
    ),
    Rule("HTML line breaks", re.compile("<br ?/?>", re.IGNORECASE), "\n", triggers=("<",)),
    Rule("escaped line breaks", re.compile(r"\\n"), "\n", triggers=("\\n",)),
    Rule("escaped quotes", re.compile(r'\\"'), '"', triggers=('\\"',)),
    Rule("unknown words of WikiText", re.compile("<unk>"), UNK, triggers=("<unk>",)),
    Rule("inner marks of WikiText", re.compile(" @([-.,])@ "), r"\1", triggers=("@ ",)),
    Rule("ellipses", re.compile(r"\.\.\."), " …", triggers=("...",)),
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
    Rule(
        "lower case",
        re.compile(r"[A-Z\x80-\U0010ffff]\S*"),
        lambda rest: rest[0].lower(),
    ),
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
