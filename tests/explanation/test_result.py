"""How explanations are shown: words, HTML, text for terminals, tables."""

from __future__ import annotations

import io
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_ulmfit.explanation import Explanation
from sk_ulmfit.explanation.result import words_of_tokens


def made(text, *parts, target="refund", **fields):
    """An explanation of given tokens, spans and attributions."""
    tokens, spans, attributions = zip(("xxbos", None, 0), *parts, strict=True)
    shares = np.array(attributions, dtype=float)
    figures = {
        "probability": 0.5,
        "logit": shares.sum(),
        "baseline_logit": 0.0,
        "error": 0.1,
        "unexplained": 0.1,
        "tolerance": 0.5,
        "n_readings": 9,
    }
    return Explanation(text, list(tokens), shares, list(spans), target, **{**figures, **fields})


def spaced(text, *attributions, **fields):
    """An explanation of a text whose tokens are its words."""
    places = [match.span() for match in re.finditer(r"\S+", text)]
    parts = [(text[slice(*p)], p, a) for p, a in zip(places, attributions, strict=True)]
    return made(text, *parts, **fields)


# The text with its tokens apart by "|"; words as they are left out.
WORDS = {
    "don|'t it|'s": ["don't", "it's"],
    "( it| is| )": ["(", "it", "is", ")"],
    "(|so|)|, 'so|'|!|!": ["(so),", "'so'!!"],
    "well|-|known|,|but": ["well-", "known,", "but"],
    "old|est ▁|x": ["oldest", "▁", "x"],
    "日|本|。|x": ["日", "本。", "x"],
    "「|日|本|」": ["「日", "本」"],
    "ฉัน|รัก|แมว|!": ["ฉัน", "รัก", "แมว!"],
    "great|😀|😀|! $|5": ["great", "😀", "😀!", "$5"],
    "e|\u0301|te": ["e\u0301te"],
}


@pytest.mark.parametrize("text", WORDS)
def test_tokens_make_words(text):
    spans, start = [None], 0
    for part in re.split(r"(\||\s)", text):
        if part.strip() and part != "|":
            spans.append((start, start + len(part)))
        start += len(part) if part != "|" else 0
    plain = text.replace("|", "")
    parts = [(plain[slice(*span)], span, 1.0) for span in spans[1:]]
    found = made(plain, *parts)
    assert [word.text for word in found.words()] == WORDS[text]
    assert sum(word.attribution for word in found.words()) == len(parts)


def test_marks_and_tokens_of_no_place():
    found = made(
        "WOW so",
        ("xxup", (0, 3), 1),
        ("wow", (0, 3), 2),
        ("?", None, 3),
        ("?", None, 4),
        ("so", (4, 6), 5),
        ("!", None, 6),
        ("so", (4, 6), 7),
    )
    assert [tuple(word) for word in found.words()] == [
        *[("WOW", 3, (0, 3)), ("?", 3, None), ("?", 4, None), ("so", 5, (4, 6))],
        *[("!", 6, None), ("so", 7, None)],
    ]


@given(st.text(max_size=20), st.data())
def test_words_are_runs_of_tokens(text, data):
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = [None, *pairwise(ends)]
    numbers = words_of_tokens(text, spans)
    assert numbers[0] == -1 and np.isin(np.diff(numbers), [0, 1]).all()


class Reader(HTMLParser):
    """The text of a page, and whether its elements are closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.titles = [], "", []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert tag in ("div", "span")
        self.open.append(tag)
        self.titles += [value for name, value in attrs if name == "title"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


HOSTILE = "<script>alert('x')</script> & \"q\" \x1b[31m\ud800\u202e card\n\n<b onclick=x>"


def test_html_escapes():
    found = spaced(HOSTILE, *range(7), target="<img src=x>\x1b[2J")
    page = found._repr_html_()
    page.encode("utf-8")
    assert not re.search("<script|<b |<img|[\x1b\ud800\u202e]", page)
    read = Reader(page)
    assert "<img src=x>\ufffd[2J" in read.text
    assert read.text.endswith(re.sub("[\x1b\ud800\u202e]", "\ufffd", HOSTILE))
    assert len(read.titles) == len(found.words())


def test_legend_is_not_torn_apart_at_the_end_of_a_line():
    legends = re.findall(
        r'<span style="([^"]*)">(?:for|against) it</span>', spaced("my card", 1, 2).to_html()
    )
    assert len(legends) == 2
    assert all("display: inline-block" in style for style in legends)


def test_text_for_terminals():
    found = spaced("my card \x1b[2J", -1, 2, 0.5)
    plain = str(found)
    assert [line.split()[-1] for line in plain.splitlines()[1:]] == ["card", "my", "\ufffd[2J"]
    assert "(2 more)" in found.to_text(n_words=1)
    colored = found.to_text(color=True)
    assert re.sub(r"\x1b\[[0-9;]+m", "", colored).splitlines()[1] == "my card \ufffd[2J"
    assert "\x1b[2J" not in colored


@pytest.mark.parametrize("label", ["\x1b[2Jcard", "a\x07\x9b31m", "\u202egnp", "one\r\ntwo"])
def test_labels_command_no_terminal(label):
    found = spaced("my card", 1, 2, target=label)
    for shown in (repr(found), str(found).splitlines()[0], found.to_html()):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", shown), shown
    assert repr(found).startswith("<Explanation: ")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437", "shift_jis", "utf-8"])
def test_whatever_stdout_encodes_is_printed(encoding, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stdout)
    found = spaced("zürich 日本 card " + "x" * 50, 1, 2, 3, 4, target="größe", unexplained=1)
    for shown in (found, found.to_text(color=True)):
        print(shown)
    stdout.flush()
    text = stdout.buffer.getvalue().decode(encoding)
    assert "card" in text and ("█" in text if encoding == "utf-8" else "###" in text or "█" in text)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert "█" in str(found)
    monkeypatch.setattr(sys, "stdout", None)
    assert "█" in str(found)


def test_no_words_show():
    found = made("")
    assert Reader(found.to_html()) and str(found) and found.to_text(color=True)
    assert found.words() == [] and spaced("a b", 0, 0).to_html()


def test_frame(monkeypatch):
    found = spaced("Where is it", 1, 2, 3)
    frame = found.to_frame()
    assert list(frame.columns) == ["token", "attribution", "start", "end"]
    assert frame["start"].isna().tolist() == [True, False, False, False]
    assert frame["end"].tolist()[1:] == [span[1] for span in found.spans[1:]]
    assert frame.attrs["target"] == "refund" and frame.attrs["within_tolerance"] is True
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        found.to_frame()
