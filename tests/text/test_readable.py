"""From tokens back to text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_ulmfit.text.readable import MAX_REPEATS, undo_rules
from sk_ulmfit.text.tokenizers import SubwordTokenizer, WordTokenizer

TEXTS = [
    "What does NASA stand for?",
    "He didn't say it's mine, but it could've been (once).",
    "The well-known 12-day trip cost $5, i.e. 3% more!",
    'He said "so be it" and left.',
    "No no no: 12,345.5 km/h at 12:30!!!",
    "Is my card #1 and/or the U.S. card?",
    "日本語です",
]


@pytest.mark.parametrize("text", TEXTS)
def test_words(text):
    tokenizer = WordTokenizer().fit([text], max_vocab=200, min_freq=1)
    assert tokenizer.decode(tokenizer.encode([text])[0]) == text


def test_what_the_rules_lose():
    # The case of a single capital, and that a repeated character was not apart.
    text = "I said nooo 10,000."
    tokenizer = WordTokenizer().fit([text], max_vocab=200, min_freq=1)
    assert tokenizer.decode(tokenizer.encode([text])[0]) == "i said n ooo 10, 000."


def test_subwords():
    tokenizer = SubwordTokenizer().fit(TEXTS * 3, max_vocab=300, min_freq=1)
    text = 'The NASA said: "so be it, well-known card"!'
    assert tokenizer.decode(tokenizer.encode([text])[0]) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("xxbos xxmaj the xxup nasa xxrep 3 a xxwrep 3 no xxpad xxpad", "The NASA aaa no no no"),
        ("xxwrep 3 xxmaj no .", "No No No."),
        ("xxup do n't ( xxmaj yes )", "DON'T (Yes)"),
        ("well - known but - xxmaj so", "well-known but - So"),
        ("good :) bad", "good :) bad"),
        # as a language model may write
        ("xxmaj", ""),
        ("xxmaj xxmaj the xxup", "The"),
        ("xxrep a 3 xxwrep", "a 3"),
        ("xxmaj xxunk xxunk card", "card"),
        ("", ""),
    ],
)
def test_marks(text, expected):
    assert undo_rules(text, word_tokens=True) == expected


def test_repeats_are_limited():
    assert undo_rules("xxrep 999999999 a", word_tokens=True) == "a" * MAX_REPEATS
    assert undo_rules("xxwrep 999999999 ab", word_tokens=False).count("ab") == MAX_REPEATS


@given(st.text(), st.booleans())
def test_any_text(text, word_tokens):
    shown = undo_rules(text, word_tokens=word_tokens)
    assert shown == " ".join(shown.split())
