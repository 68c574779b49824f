"""The rules, against what fastai 2.8 makes of the same texts, and against hostile texts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_ulmfit.text.rules import RULES, SPECIAL_TOKENS, apply_rules

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
def test_triggers_leave_no_match_out(text):
    for rule in RULES:
        assert rule.apply(text) == rule.pattern.sub(rule.replacement, text)
        text = rule.apply(text)


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
