"""The rules, against what fastai 2.8 makes of the same texts; hostile texts; the rules undone."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_ulmfit.text.rules import (
    MAX_REPEATS,
    RULES,
    SPECIAL_TOKENS,
    Composition,
    Rule,
    apply_rules,
    undo_rules,
)
from sk_ulmfit.text.tokenizers import SubwordTokenizer, WordTokenizer

# Right: the output of fastai 2.8.12 (without its xxbos).
AS_FASTAI = [
    ("What does NASA stand for ?", "xxmaj what does xxup nasa stand for ?"),
    ("I am STILL waiting on my card?!", "i am xxup still waiting on my card?!"),
    (
        "It was sooooo good... NO, really!!!!",
        "xxmaj it was s xxrep 5 o good … xxup no, really xxrep 4 !",
    ),
    ("no no no, very very well", "xxwrep 3 no , very very well"),
    (
        "I can't believe it's  not butter #1 and/or C:\\temp",
        "i can't believe it's not butter # 1 and / or xxup c: \\ temp",
    ),
    (
        "Oil and Economy Cloud Stocks' Outlook (Reuters) #36;10 quot;barrelquot; #39;s nbsp;x",
        "xxmaj oil and xxmaj economy xxmaj cloud xxmaj stocks' xxmaj outlook (reuters) $10 "
        "'barrel' 's x",
    ),
    (
        "A great film.<br /><br />McDonald's at 10:30, U.S. dollars 1,000,000!",
        "a great film.\n\nmcdonald's at 10:30, xxup u.s. dollars 1, xxrep 3 0 , xxrep 3 0 !",
    ),
    ("the <unk> of 5 @-@ 3 and 2 @.@ 5", "the xxunk of 5-3 and 2.5"),
    ('line\\nbreak \\"quoted\\"', 'line\nbreak "quoted"'),
    ("Élan vital in Zürich; ÜBER Straße", "élan vital in xxmaj zürich; über xxmaj straße"),
    ("  spaces \t\n here  ", "spaces \t\n here"),
    ("x-ray X-RAY X-Ray iPhone DON'T A", "x-ray xxup x-ray x-ray iphone xxup don't a"),
    ("日本語 text 😀😀😀", "日本語 text xxrep 3 😀"),
    ("====== wow", "xxrep 6 = wow"),
    (" ", ""),
    ("", ""),
]

UNLIKE_FASTAI = [
    ("AT&amp;T &#39;s &quot;x&quot; &lt; &eacute;", 'xxup at&t \'s "x" < é'),
    ("one<br>two<BR/>three&lt;br /&gt;four", "one\ntwo\nthree\nfour"),
    ("10 @,@ 800 @,@ 000 km", "10,800, xxrep 3 0 km"),
    ("no no no yes yes yes", "xxwrep 3 no xxwrep 3 yes"),
    ("a \ud800 b \udfff", "a \ufffd b \ufffd"),
    ("my\u200b ca\xadrd", "my card"),
    ("cafe\u0301", "caf\xe9"),
]


@pytest.mark.parametrize(("text", "expected"), AS_FASTAI)
def test_same_as_fastai(text, expected):
    assert apply_rules(text) == expected


@pytest.mark.parametrize(("text", "expected"), UNLIKE_FASTAI)
def test_documented_differences_from_fastai(text, expected):
    assert apply_rules(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no no nothing", "no no nothing"),
        ("no no no nothing", "xxwrep 3 no nothing"),
        ("no\nno  no.", "xxwrep 3 no ."),
        ("xno no no", "xno no no"),
        ("aa a a a", "aa xxwrep 3 a"),
        ("aab aaab", "aab xxrep 3 a b"),
    ],
)
def test_repetitions(text, expected):
    assert apply_rules(text) == expected


def test_every_rule_is_needed():
    texts = [text for text, _ in [*AS_FASTAI, *UNLIKE_FASTAI]]
    for left_out in RULES:

        def without(text, left_out=left_out):
            for rule in RULES:
                text = text if rule is left_out else rule.apply(text)
            return text.strip()

        assert any(without(text) != apply_rules(text) for text in texts), left_out.name


@given(st.text(st.sampled_from("aA '#39;&quotampnbsp<br/>\\n\"@-.,unk…İΣ"), max_size=40))
def test_what_is_said_not_to_concern_a_text_has_no_match_in_it(text):
    for rule in RULES:
        if isinstance(rule, Rule):
            assert rule.apply(text) == rule.pattern.sub(rule.replacement, text)
        text = rule.apply(text)


@given(
    st.text(st.sampled_from("aA '#39;&quotampnbsp<br/>\\n\"@-.,unk…İΣ\u0301\u200b"), max_size=40)
)
def test_replacements_are_what_a_rule_applies(text):
    for rule in RULES:
        parts, done = [], 0
        for start, stop, new in rule.replacements(text):
            parts += [text[done:start], new]
            done = stop
        assert "".join([*parts, text[done:]]) == rule.apply(text)
        text = rule.apply(text)


LETTERS = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c))[0] in "LMN"]


@given(
    st.text(st.sampled_from(LETTERS) | st.sampled_from("eo\u0301\u0323한が\u3099Å"), max_size=30)
)
def test_accents_are_composed_as_unicode_says(text):
    composed = unicodedata.normalize("NFC", text)
    assert Composition().apply(text) == composed
    assert Composition().apply(composed) == composed


# Between, before and behind letters they are not seen.
UNSEEN = {
    "soft hyphen": "\xad",
    "zero-width space": "\u200b",
    "zero-width non-joiner": "\u200c",
    "zero-width joiner": "\u200d",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "left to right": "\u200e",
    "right to left": "\u200f\u202b",
    "isolate": "\u2068",
    "Mongolian vowel separator": "\u180e",
    "variation selector": "\ufe0f",
    "grapheme joiner": "\u034f",
    "Hangul filler": "\u3164",
    "tag": "\U000e0041",
    "NUL": "\0",
    "backspace": "\x08",
    "entity": "&shy;",
    "several": "\u200b\u200d\ufeff\xad",
}


@pytest.mark.parametrize("unseen", UNSEEN.values(), ids=UNSEEN)
@pytest.mark.parametrize(
    "text", ["My card!", "NASA said so so so, sooooo", "über Ærø", "Это мой", "x"]
)
def test_what_is_not_seen_changes_nothing(text, unseen):
    assert apply_rules(unseen.join(["", *text, ""])) == apply_rules(text)


@pytest.mark.parametrize("form", ["NFD", "NFC"])
@pytest.mark.parametrize(
    "text", ["Élan in ZÜRICH", "tiếng Việt", "한국어 단어", "ёлка Й", "が ぱ", "Ωμέγα", "क़ला", "Å"]
)
def test_accents_may_be_typed_in_two_ways(text, form):
    assert apply_rules(unicodedata.normalize(form, text)) == apply_rules(text)


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
        "क्\u200dष",
        "ශ්\u200dරී",
        "👩\u200d👩\u200d👧",
        "❤\ufe0f",
        "🏳\ufe0f\u200d🌈",
    ],
)
def test_joiners_stay_where_they_mean_something(text):
    assert apply_rules(text) == text


@given(st.text())
def test_any_text(text):
    # The result has no capitals, apart from characters that have only this case, and no spaces
    # at its ends.
    clean = apply_rules(text)
    assert clean == clean.strip()
    assert not any(character.lower() != character for character in clean)
    clean.encode()  # no surrogates


@given(st.text(st.characters(exclude_categories=["Lu", "Lt", "Cs"]), max_size=30))
def test_special_tokens_stay(text):
    assert all(f" {token} " in f" {apply_rules(token)} " for token in SPECIAL_TOKENS)
    assert "xxmaj" not in apply_rules(text.lower()) or "xxmaj" in text.lower()


HOSTILE = {
    "one word": "ab",
    "one letter": "a",
    "one capital": "A",
    "capitals": "AB",
    "repeated word": "a ",
    "nearly repeated word": "no no ",
    "line breaks": "\n",
    "spaces": "a    ",
    "ampersands": "&",
    "entities": "&a",
    "number entity": "&#1",
    "WikiText": " @-@",
    "sigmas": "Σσ",
    "xx": "xxrep ",
    "dots": ".a",
    "accents": "e\u0301",
    "accents alone": "\u0301\u0323",
    "Hangul": "\u1112\u1161\u11ab",
    "nothing to be seen": "\u200b\u200d",
    "joined": "\u0645\u06cc\u200c",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("end", ["", "a", "\nx", "no"])
def test_time_is_linear(unit, end):
    def seconds(length):
        text = unit * (length // len(unit)) + end
        start = time.process_time()
        apply_rules(text)
        return time.process_time() - start

    # Ten times the text would take a hundred times as long if time were quadratic.
    assert seconds(200_000) < 40 * min(seconds(20_000) for _ in range(3)) + 0.1


def test_huge_texts():
    start = time.process_time()
    assert apply_rules("ab" * 5_000_000) == "ab" * 5_000_000
    assert apply_rules("a" * 1_000_000) == "xxrep 1000000 a"
    assert apply_rules("a " * 1_000_000) == "xxwrep 1000000 a"
    assert apply_rules("&#" + "9" * 10_000 + ";").startswith("\ufffd")
    assert time.process_time() - start < 20


WRITTEN = [
    "What does NASA stand for?",
    "He didn't say it's mine, but it could've been (once).",
    "The well-known 12-day trip cost $5, i.e. 3% more!",
    'He said "so be it" and left.',
    "No no no: 12,345.5 km/h at 12:30!!!",
    "Is my card #1 and/or the U.S. card?",
    "日本語です",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_words_are_undone(text):
    tokenizer = WordTokenizer().fit([text], max_vocab=200, min_freq=1)
    assert tokenizer.decode(tokenizer.encode([text])[0]) == text


def test_what_the_rules_lose():
    # The case of a single capital, and that a repeated character was not apart.
    text = "I said nooo 10,000."
    tokenizer = WordTokenizer().fit([text], max_vocab=200, min_freq=1)
    assert tokenizer.decode(tokenizer.encode([text])[0]) == "i said n ooo 10, 000."


def test_subwords_are_undone():
    tokenizer = SubwordTokenizer().fit(WRITTEN * 3, max_vocab=300, min_freq=1)
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
def test_marks_are_undone(text, expected):
    assert undo_rules(text, word_tokens=True) == expected


def test_repeats_are_limited():
    assert undo_rules("xxrep 999999999 a", word_tokens=True) == "a" * MAX_REPEATS
    assert undo_rules("xxwrep 999999999 ab", word_tokens=False).count("ab") == MAX_REPEATS


@given(st.text(), st.booleans())
def test_whatever_is_undone_reads_as_one_line(text, word_tokens):
    shown = undo_rules(text, word_tokens=word_tokens)
    assert shown == " ".join(shown.split())
