"""Explanations: do they add up, find what decides, and point at the right characters."""

from __future__ import annotations

import copy
import pickle
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FunctionTransformer, make_pipeline

from sk_ulmfit import ULMFiTClassifier, explain
from sk_ulmfit.explanation import Explanation, path
from sk_ulmfit.modules import POOLINGS
from tests.helpers import banking, classifier, language_model
from tests.test_hostile_input import texts as hostile_texts

TEXTS, LABELS = banking(3, 15)
BINARY = np.array(["card" in text.lower() for text in TEXTS])
SEVERAL = np.stack([BINARY, ["?" in text for text in TEXTS], ["I" in t for t in TEXTS]], 1)

# tokenizer, direction, pooling, labels
KINDS = {
    "word": ("word", "forward", "concat-layers", LABELS),
    "subword, both": ("subword", "both", "concat-layers", LABELS),
    "binary": ("subword", "backward", "concat", BINARY),
    "multilabel, both": ("word", "both", "mean", SEVERAL.astype(int)),
}

# What the rules change: capitals, repetitions, entities, line breaks, characters of many parts.
ODD = [
    "",
    "WHY is my card sooooo   slow?! no no no",
    "AT&amp;T &lt;b&gt;<br />it's \\n zürich İstanbul #36;5 ... \ud800 \U0001f469\u200d\U0001f680",
]


def fitted_as(tokenizer="word", direction="forward", pooling="concat-layers", y=LABELS, **params):
    lm = language_model(tokenizer=tokenizer, direction=direction, max_epochs=1, emb_size=8)
    lm.set_params(hidden_size=12, min_freq=1)
    params = {"max_epochs": 4, "pooling": pooling, "lr": 0.03, **params}
    return classifier(**params).fit(lm.fit(TEXTS).transform(TEXTS), y)


@pytest.fixture(scope="module")
def fitted():
    """Classifiers by kind, each trained when it is first asked for."""
    made = {}

    def of_kind(kind):
        if kind not in made:
            made[kind] = fitted_as(*KINDS[kind])
        return made[kind]

    return of_kind


@pytest.fixture(scope="module")
def clf(fitted):
    return fitted("word")


def check(found, text):
    """What holds for every explanation."""
    assert len(found.tokens) == len(found.attributions) == len(found.spans)
    assert found.gap == found.logit - found.baseline_logit - found.attributions.sum()
    assert found.tokens[0] == "xxbos" and found.attributions[0] == 0 and found.spans[0] is None
    spans = [span for span in found.spans if span]
    assert all(0 <= start < stop <= len(text) for start, stop in spans)
    assert spans == sorted(spans) and sorted(s[1] for s in spans) == [s[1] for s in spans]
    words = found.words()
    assert sum(word.attribution for word in words) == pytest.approx(found.attributions.sum())
    inside = [word for word in words if word.span]
    assert all(text[slice(*word.span)] == word.text for word in inside)
    assert all(a.span[1] <= b.span[0] for a, b in pairwise(inside))


@pytest.mark.parametrize("kind", KINDS)
def test_shares_add_up(fitted, kind):
    clf = fitted(kind)
    texts = [*TEXTS[:4], *ODD]
    p = clf.predict_proba(texts)
    found = explain(clf, texts, tolerance=0.01)
    assert [f.target for f in found] == clf.classes_[p.argmax(axis=1)].tolist()
    for text, one, row in zip(texts, found, p, strict=True):
        check(one, text)
        assert abs(one.gap) <= 0.01
        assert one.probability == pytest.approx(row.max(), abs=1e-5)
        assert one.logit == pytest.approx(logit(row.max()), abs=1e-4)
    [exact] = explain(clf, texts[:1], n_steps=5000)
    assert abs(exact.gap) < 1e-3 and exact.n_steps == 5000
    np.testing.assert_allclose(found[0].attributions, exact.attributions, rtol=0, atol=0.02)
    np.testing.assert_array_equal(clf.predict_proba(texts), p)


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_long_documents_over_many_chunks(pooling, direction, monkeypatch):
    clf = fitted_as("word", direction, pooling, max_epochs=1)
    text = " ".join(TEXTS[:20])
    [whole] = explain(clf, [text], n_steps=400)
    check(whole, text)
    assert abs(whole.gap) < 0.01
    # More chunks than are kept for the backward pass, and few points at once.
    monkeypatch.setattr(path, "_CHUNK", 10)
    monkeypatch.setattr(path, "_TOKENS_AT_ONCE", 5000)
    [found] = explain(clf, [text], n_steps=400)
    assert len(found.tokens) > 150
    _, places = np.unique(found.tokens, return_inverse=True)
    shares, same = (np.bincount(places, one.attributions) for one in (found, whole))
    np.testing.assert_allclose(shares, same, rtol=0, atol=1e-4)


def test_equal_words_share_a_maximum_evenly():
    clf = fitted_as("word", "forward", "concat-layers", max_epochs=1)
    # Read from the embedding's maximum alone: the other pools have no weights.
    head = clf.trained_.weights["forward"]
    head["head.blocks.0.weight"][:, 8:] = 0
    [found] = explain(clf, ["my card " * 60 + "my card"])
    shares = {token: set() for token in found.tokens}
    for token, share in zip(found.tokens, found.attributions, strict=True):
        shares[token].add(round(share, 6))
    assert all(len(different) == 1 for different in shares.values())


def test_shares_are_slopes_times_ways(clf):
    """The definition, written out for the network of the classifier itself."""
    import torch

    [found] = explain(clf, TEXTS[:1], n_steps=50)
    module = clf.trained_.module("forward", bptt=70).train(False)
    ids = torch.from_numpy(clf._tokens(TEXTS[:1]).ids.astype(np.int64))
    words = module.encoder.embedding.detach()[ids].unsqueeze(1)
    way = words.clone()
    way[0] = 0  # xxbos stays
    total = torch.zeros(len(ids))
    for i in range(50):
        root = (i + 0.5) / 50  # the way is its square
        at = (words - way + root**2 * way).requires_grad_()
        outputs, _ = module.encoder(ids.unsqueeze(1), embedded=at)
        hidden = torch.cat(outputs, dim=2)
        hidden, weights = hidden[:, 0], module.token_weights[ids].unsqueeze(1)
        weighted = (hidden * weights).sum(0) / weights.sum()
        vector = torch.cat([hidden.amax(0), hidden.mean(0), weighted]).unsqueeze(0)
        logits = module.head(vector)[0]
        c = clf.classes_.tolist().index(found.target)
        others = torch.cat([logits[:c], logits[c + 1 :]])
        (logits[c] - others.logsumexp(0)).backward()
        total += 2 * root * (at.grad * way).sum(2)[:, 0] / 50
    np.testing.assert_allclose(found.attributions, total.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("tokenizer", "direction"), [("word", "forward"), ("subword", "both")])
def test_finds_the_word_that_decides(tokenizer, direction):
    rng = np.random.default_rng(0)
    common = ["the", "a", "my", "of", "it", "card", "bank", "money", "pay", "when", "how"]
    y = np.arange(80) % 2
    texts = []
    for label in y:
        words = rng.choice(common, size=6).tolist()
        words.insert(rng.integers(7), ["refund", "arrival"][label])
        texts.append(" ".join(words))
    lm = language_model(tokenizer=tokenizer, direction=direction, emb_size=12, max_epochs=1)
    clf = classifier(language_model=lm, max_epochs=20, unfreeze_schedule="full").fit(texts, y)
    assert clf.score(texts, y) == 1
    for found, text in zip(explain(clf, texts[:6]), texts, strict=False):
        word = max(found.words(), key=lambda word: word.attribution)
        assert word.text in ("refund", "arrival"), text
        against = explain(clf, [text], target=1 - found.target)[0]
        np.testing.assert_allclose(against.attributions, -found.attributions, atol=1e-3)


def test_a_word_without_an_embedding_has_no_share(clf):
    token = clf._tokens(["my card"]).ids[2]
    changed = pickle.loads(pickle.dumps(clf))
    changed.trained_.weights["forward"]["encoder.embedding"][token] = 0
    [found] = explain(changed, ["Where is my card, my CARD?"])
    shares = dict(zip(found.tokens, found.attributions, strict=True))
    assert shares["card"] == 0 and shares["my"] != 0


def test_explaining_changes_nothing_and_repeats_itself(clf):
    before = pickle.dumps(clf)
    first, second = explain(clf, TEXTS[:3]), explain(clf, TEXTS[:3])
    alone = explain(clf, TEXTS[2:3])
    for one, other in [*zip(first, second, strict=True), (first[2], alone[0])]:
        np.testing.assert_array_equal(one.attributions, other.attributions)
        assert one.to_list() == other.to_list() and one.logit == other.logit
    assert pickle.dumps(clf) == before
    assert pickle.loads(pickle.dumps(first[0])).to_list() == first[0].to_list()


def test_targets(clf):
    labels = clf.classes_.tolist()
    assert [f.target for f in explain(clf, TEXTS[:2], target="age", n_steps=1)] == ["age", "age"]
    each = explain(clf, TEXTS[:3], target=[*labels[:2], None], n_steps=1)
    assert [f.target for f in each] == [*labels[:2], clf.predict(TEXTS[2:3])[0]]
    p = clf.predict_proba(TEXTS[:1])[0]
    for i, label in enumerate(labels):
        [found] = explain(clf, TEXTS[:1], target=label, n_steps=1)
        assert found.probability == pytest.approx(p[i], abs=1e-5)
    own = clf.predict(TEXTS[:3])
    for column in (own, pd.Series(own), pd.Series(own).astype("category")):
        assert [f.target for f in explain(clf, TEXTS[:3], target=column, n_steps=1)] == own.tolist()
    for wrong in ("no such", 0, True, ["age", 3.5], [["age"], "age"], {"age": 1}):
        with pytest.raises(ValueError, match="no class of the classifier"):
            explain(clf, TEXTS[:2], target=wrong)
    with pytest.raises(ValueError, match="1 labels for 2 texts"):
        explain(clf, TEXTS[:2], target=["age"])


def test_the_probability_of_a_calibrated_classifier_is_explained(clf):
    warm = copy.copy(clf)
    warm.trained_ = replace(clf.trained_, temperature=2.0)
    [found] = explain(warm, TEXTS[:1])
    [hotter] = explain(clf, TEXTS[:1])
    assert found.probability == pytest.approx(warm.predict_proba(TEXTS[:1]).max(), abs=1e-5)
    assert found.probability < hotter.probability


def test_looser_tolerances_take_fewer_points(clf):
    loose, tight = (explain(clf, TEXTS[:3], tolerance=tolerance) for tolerance in (0.1, 2e-4))
    for one, other in zip(loose, tight, strict=True):
        assert one.n_steps <= other.n_steps and one.n_steps in (27, 81, 243, 729, 2187)
        assert abs(one.gap) <= 0.1 and abs(other.gap) <= 2e-4
    assert sum(f.n_steps for f in loose) < sum(f.n_steps for f in tight)


def test_progress_is_shown_if_asked_for(clf, capsys):
    explain(clf, TEXTS[:2], n_steps=1)
    assert not capsys.readouterr().err
    loud = pickle.loads(pickle.dumps(clf)).set_params(verbose=1)
    explain(loud, TEXTS[:2], n_steps=1)
    assert "2/2" in capsys.readouterr().err


def test_one_class_alone():
    clf = fitted_as(y=np.full(len(TEXTS), "same"), max_epochs=1)
    [found] = explain(clf, TEXTS[:1], tolerance=0.01)
    assert np.isfinite(found.attributions).all() and abs(found.gap) < 0.01


def test_cut_texts_and_max_length():
    clf = fitted_as(max_length=4, max_epochs=1)
    [found] = explain(clf, ["How my card?"])
    assert found.tokens == ["xxbos", "xxmaj", "how", "my"]
    assert found.spans == [None, (0, 3), (0, 3), (4, 6)]


def test_pipelines(clf):
    lm = language_model(max_epochs=1, emb_size=8)
    pipe = make_pipeline(lm, classifier(max_epochs=1)).fit(TEXTS, LABELS)
    found, same = explain(pipe, TEXTS[:2]), explain(pipe[-1], TEXTS[:2])
    assert [f.to_list() for f in found] == [f.to_list() for f in same]
    assert list(pipe.predict(TEXTS[:2])) == [f.target for f in found]
    frozen = make_pipeline(FrozenEstimator(pipe[0]), pipe[1])
    assert [f.to_list() for f in explain(frozen, TEXTS[:2])] == [f.to_list() for f in found]
    longer = make_pipeline(FunctionTransformer(lambda X: X), lm, clf)
    with pytest.raises(TypeError, match=r"FunctionTransformer.*pipe\[-2:\]"):
        explain(longer, TEXTS)
    assert explain(make_pipeline("passthrough", clf), TEXTS[:1], n_steps=1)
    with pytest.raises(ValueError, match="another language model"):
        explain(make_pipeline(lm, clf), TEXTS)


def test_errors_say_what_to_do(clf):
    with pytest.raises(NotFittedError):
        explain(ULMFiTClassifier(), TEXTS)
    with pytest.raises(TypeError, match="got LogisticRegression"):
        explain(LogisticRegression(), TEXTS)
    with pytest.raises(TypeError, match="Pipeline that ends with LogisticRegression"):
        explain(make_pipeline(language_model(), LogisticRegression()), TEXTS)
    with pytest.raises(ValueError, match="put it into a list"):
        explain(clf, "my card")
    with pytest.raises(TypeError, match="texts as they were written"):
        explain(clf, clf.language_model_.transform(TEXTS))
    for wrong in ({"n_steps": 0}, {"n_steps": 1.5}, {"tolerance": -1}, {"tolerance": None}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            explain(clf, TEXTS, **wrong)


def test_tokenizer_that_is_a_function():
    for function in (str.split, lambda text: [word[::-1] for word in text.split()], sorted):
        clf = fitted_as(function, max_epochs=1)
        for text, found in zip(ODD, explain(clf, ODD, n_steps=5), strict=True):
            check(found, text)


def made(text, *parts, target="refund"):
    """An explanation of given tokens, spans and attributions."""
    tokens, spans, attributions = zip(*parts, strict=True)
    shares = np.array(attributions, dtype=float)
    total = shares.sum()
    return Explanation(text, list(tokens), shares, list(spans), target, total, 0.0, 0.0, 9)


def test_words_are_put_together():
    found = made(
        "WOW don't it's 'so' 日本 oldest!",
        ("xxbos", None, 0.5),
        ("xxup", (0, 3), 1),
        ("wow", (0, 3), 2),
        ("do", (4, 6), 3),
        ("n't", (6, 9), 4),
        ("it", (10, 12), 5),
        ("'s", (12, 14), 6),
        ("'", (15, 16), 7),
        ("so", (16, 18), 8),
        ("'", (18, 19), 9),
        ("日", (20, 21), 10),
        ("本", (21, 22), 11),
        ("▁old", (23, 26), 12),
        ("est", (26, 29), 13),
        ("!", (29, 30), -1),
    )
    assert [(word.text, word.attribution) for word in found.words()] == [
        *[("xxbos", 0.5), ("WOW", 3), ("don't", 7), ("it's", 11), ("'", 7), ("so", 8), ("'", 9)],
        *[("日", 10), ("本", 11), ("oldest", 25), ("!", -1)],
    ]


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


def test_html_escapes(clf):
    text = "<script>alert('x')</script> & \"q\" \x1b[31m\ud800\u202e card\n\n<b onclick=x>"
    target = "<img src=x>"
    [found] = explain(clf, [text])
    found = Explanation(**{**vars(found), "target": target})
    page = found._repr_html_()
    page.encode("utf-8")
    assert not re.search("<script|<b |<img|[\x1b\ud800\u202e]", page)
    read = Reader(page)
    assert target in read.text
    assert read.text.endswith(re.sub("[\x1b\ud800\u202e]", "\ufffd", text))
    assert len(read.titles) == sum(word.span is not None for word in found.words())


def test_legend_is_not_torn_apart_at_the_end_of_a_line(clf):
    [found] = explain(clf, ["Where is my card?"])
    legends = re.findall(r'<span style="([^"]*)">(?:for|against) it</span>', found.to_html())
    assert len(legends) == 2
    assert all("display: inline-block" in style for style in legends)


@pytest.mark.parametrize("kind", ["word", "subword, both"])
def test_texts_that_nobody_has_read(fitted, kind):
    documents = []

    @settings(max_examples=60, database=None)
    @given(st.lists(hostile_texts, min_size=1, max_size=3))
    def generate(some):
        documents.extend(some)

    generate()
    for text, found in zip(documents, explain(fitted(kind), documents, n_steps=1), strict=True):
        check(found, text)
        assert np.isfinite(found.attributions).all()
        Reader(found.to_html().encode("utf-8").decode("utf-8"))
        assert str(found) and found.to_text(color=True)


def test_text_for_terminals():
    parts = [("xxbos", None, 0), ("my", (0, 2), -1), ("card", (3, 7), 2), ("\x1b[2J", (8, 12), 0.5)]
    found = made("my card \x1b[2J", *parts)
    plain = str(found)
    assert "\x1b" not in plain
    assert [line.split()[-1] for line in plain.splitlines()[1:]] == [
        "card",
        "my",
        "\ufffd[2J",
    ]
    assert "(2 more)" in found.to_text(n_words=1)
    colored = found.to_text(color=True)
    assert re.sub(r"\x1b\[[0-9;]+m", "", colored).splitlines()[1] == "my card \ufffd[2J"
    assert "\x1b[2J" not in colored
    assert repr(found).startswith("<Explanation: refund")


def test_empty_text_shows(clf):
    [found] = explain(clf, [""])
    assert found.attributions.tolist() == [0] and found.logit == found.baseline_logit
    assert Reader(found.to_html()) and str(found) and found.to_text(color=True)


def test_frame(clf, monkeypatch):
    [found] = explain(clf, ["Where is it?"], n_steps=1)
    frame = found.to_frame()
    assert list(frame.columns) == ["token", "attribution", "start", "end"]
    assert frame["start"].isna().tolist() == [True] + [False] * (len(frame) - 1)
    assert frame["end"].tolist()[1:] == [span[1] for span in found.spans[1:]]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        found.to_frame()
