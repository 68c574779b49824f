"""Where tokens stand in the text as it was written."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_ulmfit.text.alignment import aligned_rules, found_in_order
from sk_ulmfit.text.rules import SPECIAL_TOKENS, apply_rules
from sk_ulmfit.text.tokenizers import CallableTokenizer, SubwordTokenizer, WordTokenizer

CORPUS = ["How old is the old gold?", "The oldest gold isn't cold: 10,000.5!", "so so so aaaa"]

TOKENIZERS = {
    "word": WordTokenizer().fit(CORPUS, max_vocab=100, min_freq=1),
    "subword": SubwordTokenizer().fit(CORPUS, max_vocab=60, min_freq=1),
    "split": CallableTokenizer(str.split).fit(CORPUS, max_vocab=100, min_freq=1),
    "reversed": CallableTokenizer(lambda text: [word[::-1] for word in text.split()]).fit(
        CORPUS, max_vocab=100, min_freq=1
    ),
}
every_tokenizer = pytest.mark.parametrize("kind", TOKENIZERS)

# What the rules look for, and what breaks them.
hostile = st.lists(
    st.one_of(
        st.text(max_size=5),
        st.characters(),
        st.characters(categories=["Cs", "Mn", "Cf", "Lu"]),
        st.sampled_from(
            ["&amp;", "&ampx", "&#39;", "#39;", "&#x1;", "&nbsp;", "quot;", "&;", "&T"]
        ),
        st.sampled_from(["<br />", "<br>", "\\n", '\\"', "<unk>", " @-@ ", "...", "/", "#", "\\"]),
        st.sampled_from(["so ", "So ", "NO ", "aaaa", "\n", "  ", "\t", "İ", "ΣΑΣ", "ß", "\u0301"]),
        st.sampled_from(["\U0001f469\u200d\U0001f680", "Don't", "U.S.", "10,000", *SPECIAL_TOKENS]),
    ),
    max_size=25,
).map("".join)


@settings(max_examples=500)
@given(hostile)
def test_rules_are_those_of_every_day(text):
    aligned = aligned_rules(text)
    assert aligned.text == apply_rules(text)
    places = aligned.origins
    assert len(places) == len(aligned.text)
    assert all(list(column) == sorted(column) for column in zip(*places, strict=True))
    assert all(0 <= start <= end <= len(text) for start, end in places)
    assert all(
        text[start:end].strip()
        for (start, end), to in zip(places, aligned.text, strict=True)
        if start < end and not to.isspace()
    )


@every_tokenizer
@settings(max_examples=300)
@given(text=hostile)
def test_every_token_has_its_span(kind, text):
    tokenizer = TOKENIZERS[kind]
    spans = tokenizer.spans(text)
    ids, _ = tokenizer.encode([text])
    assert len(spans) == len(ids) and spans[0] is None
    known = [span for span in spans if span]
    assert all(0 <= start < stop <= len(text) for start, stop in known)
    assert known == sorted(known)
    assert [stop for _, stop in known] == sorted(stop for _, stop in known)


@pytest.mark.parametrize("kind", ["word", "subword", "split"])
@given(words=st.lists(st.text("ABCabcdefxyz", min_size=1, max_size=8), max_size=12))
def test_plain_words_are_found_exactly(kind, words):
    text = "  ".join(words)
    tokenizer = TOKENIZERS[kind]
    tokens = tokenizer.tokens(tokenizer.encode([text])[0])
    spans = tokenizer.spans(text)
    if apply_rules(text).count("xxrep") or apply_rules(text).count("xxwrep"):
        return
    assert all(span for span in spans[1:])
    for token, span in zip(tokens[1:], spans[1:], strict=True):
        if token not in (*SPECIAL_TOKENS, "▁"):
            assert text[slice(*span)].lower() == token.removeprefix("▁")
    # Nothing but spaces is left out.
    covered = {i for span in spans[1:] for i in range(*span)}
    assert {i for i, character in enumerate(text) if character != " "} == covered


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi NASA", [("xxmaj", "Hi"), ("hi", "Hi"), ("xxup", "NASA"), ("nasa", "NASA")]),
        ("sooooo!", [("s", "s"), ("xxrep", "ooooo"), ("5", "ooooo"), ("o", "ooooo"), ("!", "!")]),
        (" no  no no.", [(token, "no  no no") for token in ("xxwrep", "3", "no")] + [(".", ".")]),
        (
            "At&amp;t a/b",
            [("xxmaj", "At&amp;t"), ("at&t", "At&amp;t"), ("a", "a"), ("/", "/"), ("b", "b")],
        ),
        ("x<br />y", [("x", "x"), ("y", "y")]),
        ("&lt;br&gt;Don't", [("xxmaj", "Do"), ("do", "Do"), ("n't", "n't")]),
        ("İzmir", [("i̇zmir", "İzmir")]),
        ("<unk> é\ud800", [("xxunk", "<unk>"), ("é", "é"), ("\ufffd", "\ud800")]),
        ("xxmaj it ...", [("xxmaj", "xxmaj"), ("it", "it"), ("…", "...")]),
        ("my ca\xadrd\u200b is", [("my", "my"), ("card", "ca\xadrd"), ("is", "is")]),
        (
            "cafe\u0301's e\u0323\u0302x",
            [("café", "cafe\u0301"), ("'s", "'s"), ("ệx", "e\u0323\u0302x")],
        ),
        ("\ufeffร้าน", [(character, character) for character in "ร้าน"]),
    ],
)
def test_what_rules_change_is_traced_back(text, expected):
    words = [token for token, _ in expected]
    tokenizer = WordTokenizer().fit([" ".join(words * 3)], max_vocab=100, min_freq=1)
    tokens = tokenizer.tokens(tokenizer.encode([text])[0])[1:]
    spans = tokenizer.spans(text)[1:]
    found = [(token, text[slice(*span)]) for token, span in zip(tokens, spans, strict=True)]
    known = set(tokenizer.vocab.tokens)
    assert found == [(token if token in known else "xxunk", part) for token, part in expected]


def test_tokens_in_order():
    assert found_in_order("to be or to be", ["to", "be", "to"]) == [(0, 2), (3, 5), (9, 11)]
    assert found_in_order("one two", ["uno", "", "two"]) == [None, None, (4, 7)]
    # One that is not there does not make away with all that is before its like far behind.
    far = "a cat " + "sat " * 100 + "is"
    assert found_in_order(far, ["is", "cat"]) == [None, (2, 5)]


@pytest.mark.parametrize(
    "text", ["a" * 2_000_000, "Ab " * 300_000, "&amp;" * 200_000, "\u0301" * 10**6]
)
def test_giants_take_seconds(text):
    begin = time.process_time()
    for kind in ("word", "subword"):
        spans = TOKENIZERS[kind].spans(text)
        assert spans[-1][1] <= len(text)
    assert time.process_time() - begin < 60
