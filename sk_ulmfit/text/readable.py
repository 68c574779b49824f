"""From tokens back to a text that people read: the rules undone."""

from __future__ import annotations

import re
from collections.abc import Callable

from .rules import BOS, EOS, FLD, MAJ, PAD, REP, UNK, UP, WREP

_Step = tuple[str, "str | Callable[[re.Match[str]], str]"]

# A text may say "xxrep 999999999 a": nobody wants to read that, or to have the memory for it.
MAX_REPEATS = 1000

_CJK = r"[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"


def _times(count: str) -> int:
    return min(int(count), MAX_REPEATS)


_WITHOUT_MEANING: list[_Step] = [
    (r"\s+", " "),
    # A mark before an unknown word goes with it: it is not the next word's.
    (rf"(?<!\S)(?:(?:{MAJ}|{UP}) )?(?:{UNK}|{PAD}|{BOS}|{EOS}|{FLD})(?: |$)", ""),
]

_REPEATED_CHARACTERS: list[_Step] = [
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
    (rf"(?<={_CJK}) (?={_CJK})", ""),
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


_FOR_SPACED_TEXT = _compiled([*_WITHOUT_MEANING, *_REPEATED_CHARACTERS, *_MARKS])
_FOR_WORD_TOKENS = _compiled([*_WITHOUT_MEANING, *_REPEATED_CHARACTERS, *_SPACES, *_MARKS])


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
    >>> from sk_ulmfit.text.readable import undo_rules
    >>> undo_rules("xxbos xxup nasa did n't say ( xxmaj yes xxrep 3 ! )", word_tokens=True)
    "NASA didn't say (Yes!!!)"
    """
    for pattern, replacement in _FOR_WORD_TOKENS if word_tokens else _FOR_SPACED_TEXT:
        text = pattern.sub(replacement, text)
    return text.strip()
