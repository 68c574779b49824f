"""Explanations: do they add up, agree with what the classifier says, and find what decides."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FunctionTransformer, make_pipeline

from sk_ulmfit import ULMFiTClassifier, explain
from sk_ulmfit.explanation import explaining
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
    "card",
    "WHY is my card sooooo   slow?! no no no",
    "AT&amp;T &lt;b&gt;<br />it's \\n zürich İstanbul #36;5 ... \ud800 \U0001f469\u200d\U0001f680",
    "我的卡在哪里。ฉันรักแมว!",
]


def fitted_as(tokenizer="word", direction="forward", pooling="concat-layers", y=LABELS, **params):
    lm = language_model(tokenizer=tokenizer, direction=direction, max_epochs=1, emb_size=8)
    lm.set_params(hidden_size=12, min_freq=1)
    params = {"pooling": pooling, "lr": 0.03, "max_epochs": 20, **params}
    params = {"unfreeze_schedule": "full", **params}
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
    assert np.isfinite([*found.attributions, found.logit, found.error, found.unexplained]).all()
    assert found.baseline_logit + found.attributions.sum() == pytest.approx(found.logit, abs=1e-9)
    assert found.tokens[0] == "xxbos" and found.attributions[0] == 0 and found.spans[0] is None
    spans = [span for span in found.spans if span]
    assert all(0 <= start < stop <= len(text) for start, stop in spans)
    assert spans == sorted(spans) and sorted(s[1] for s in spans) == [s[1] for s in spans]
    words = found.words()
    assert sum(word.attribution for word in words) == pytest.approx(found.attributions.sum())
    inside = [word for word in words if word.span]
    assert all(text[slice(*word.span)] == word.text for word in inside)
    assert all(a.span[1] <= b.span[0] for a, b in pairwise(inside))


def log_odds_of(clf, texts, target):
    p = clf.predict_proba(texts)[:, clf.classes_.tolist().index(target)].astype(float)
    return logit(p)


@pytest.mark.parametrize("kind", KINDS)
def test_attributions_add_up_to_the_log_odds_that_are_predicted(fitted, kind):
    clf = fitted(kind)
    texts = [*TEXTS[:4], *ODD]
    p = clf.predict_proba(texts)
    found = explain(clf, texts)
    assert [f.target for f in found] == clf.classes_[p.argmax(axis=1)].tolist()
    for text, one, row in zip(texts, found, p, strict=True):
        check(one, text)
        assert one.probability == row.max()
        assert one.logit == pytest.approx(logit(row.max()), abs=1e-4)
    np.testing.assert_array_equal(clf.predict_proba(texts), p)


@pytest.mark.parametrize("kind", KINDS)
def test_the_fall_by_a_single_word_is_its_attribution(fitted, kind):
    clf = fitted(kind)
    [found] = explain(clf, ["card"])
    nothing = log_odds_of(clf, [""], found.target)[0]
    assert found.attributions.sum() == pytest.approx(found.logit - nothing, abs=1e-4)
    assert found.baseline_logit == pytest.approx(nothing, abs=1e-4) and found.error < 1e-6
    assert found.within_tolerance


@pytest.mark.parametrize("n_words", [6, 12, 33, 150, 400])
def test_sums_tell_what_texts_without_some_words_are_given(clf, n_words):
    """At every length, and as exactly as `error` says."""
    words = [word for word in " ".join(TEXTS).lower().split() if word.isalpha()][:n_words]
    text = " ".join(words)
    [found] = explain(clf, [text])
    check(found, text)
    shares = np.array([word.attribution for word in found.words()])
    assert len(shares) == n_words
    random = np.random.default_rng(1)
    left_out = np.array([random.permutation(n_words) < n_words // 3 for _ in range(20)])
    shorter = [
        " ".join(w for w, out in zip(words, row, strict=True) if not out) for row in left_out
    ]
    read = log_odds_of(clf, shorter, found.target)
    missed = np.sqrt(np.mean((found.logit - left_out @ shares - read) ** 2))
    assert missed < 2 * found.error + 0.05
    assert missed < 0.8 * np.sqrt(np.mean((found.logit - read) ** 2))
    assert np.abs(shares).max() < 20


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
    long = " ".join(["the my it card of bank when"] * 8).split()
    texts = [*texts[:6], " ".join([*long[:20], "refund", *long[20:]])]
    for found, text in zip(explain(clf, texts), texts, strict=False):
        word = max(found.words(), key=lambda word: word.attribution)
        assert word.text in ("refund", "arrival"), text
        against = explain(clf, [text], target=1 - found.target)[0]
        np.testing.assert_allclose(against.attributions, -found.attributions, atol=1e-3)


def test_explaining_changes_nothing_and_repeats_itself(clf):
    before = pickle.dumps(clf)
    first, second = explain(clf, TEXTS[:3]), explain(clf, TEXTS[:3])
    [alone] = explain(clf, TEXTS[2:3])
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.attributions, other.attributions)
        assert one.to_list() == other.to_list() and one.logit == other.logit
    np.testing.assert_allclose(alone.attributions, first[2].attributions, rtol=0, atol=1e-5)
    assert pickle.dumps(clf) == before
    assert pickle.loads(pickle.dumps(first[0])).to_list() == first[0].to_list()
    [other] = explain(clf, TEXTS[2:3], random_state=1)
    assert not np.array_equal(other.attributions, alone.attributions)
    np.testing.assert_allclose(other.attributions, alone.attributions, atol=5 * alone.error + 0.1)


def test_targets(clf):
    labels = clf.classes_.tolist()
    assert [f.target for f in explain(clf, TEXTS[:2], target="age")] == ["age", "age"]
    each = explain(clf, TEXTS[:3], target=[*labels[:2], None])
    assert [f.target for f in each] == [*labels[:2], clf.predict(TEXTS[2:3])[0]]
    p = clf.predict_proba(TEXTS[:1])[0]
    for i, label in enumerate(labels):
        [found] = explain(clf, TEXTS[:1], target=label)
        assert found.probability == pytest.approx(p[i], abs=1e-5)
    own = clf.predict(TEXTS[:3])
    for column in (own, pd.Series(own), pd.Series(own).astype("category")):
        assert [f.target for f in explain(clf, TEXTS[:3], target=column)] == own.tolist()
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
    assert found.probability == warm.predict_proba(TEXTS[:1]).max() < hotter.probability
    assert found.logit == pytest.approx(logit(found.probability), abs=1e-4)


def test_what_misses_its_tolerance_is_marked(clf):
    [fine] = explain(clf, TEXTS[:1], tolerance=1e6)
    [strict] = explain(clf, TEXTS[:1], tolerance=0)
    assert fine.within_tolerance and fine.unexplained == strict.unexplained > 0
    strict = replace(strict, error=max(strict.error, 0.06))
    assert not strict.within_tolerance
    for show in (str, repr, lambda found: found.to_html(), lambda found: found.to_text(color=True)):
        marks = [("with care" in show(f) or "beyond" in show(f)) for f in (fine, strict)]
        assert marks == [False, True]
    assert [f.to_frame().attrs["within_tolerance"] for f in (fine, strict)] == [True, False]


def test_words_that_cancel_one_another_are_told(clf, monkeypatch):
    """The exclusive or of two words: no sum tells that."""

    def log_odds(self, documents):
        a, b = (np.array([place in d for d in documents]) for place in (2, 5))
        return 4.0 * (a ^ b) - 2.0

    monkeypatch.setattr(explaining._Reader, "log_odds", log_odds)
    [found] = explain(clf, ["where is the new card that you sent"])
    assert found.unexplained > 0.7 and not found.within_tolerance


def test_more_readings_hang_less_on_which_they_are(clf):
    text = " ".join(TEXTS[:4])
    apart = []
    for n in (6, 80):
        one, other = (explain(clf, [text], n_readings=n, random_state=i)[0] for i in range(2))
        assert one.n_readings == n
        apart.append(np.abs(one.attributions - other.attributions).mean())
    assert apart[1] < apart[0]


def test_progress_is_shown_if_asked_for(clf, capsys):
    explain(clf, TEXTS[:2])
    assert not capsys.readouterr().err
    loud = pickle.loads(pickle.dumps(clf)).set_params(verbose=1)
    explain(loud, TEXTS[:2])
    assert "2/2" in capsys.readouterr().err


def test_one_class_alone():
    clf = fitted_as(y=np.full(len(TEXTS), "same"), max_epochs=1)
    for text, found in zip(ODD, explain(clf, ODD), strict=True):
        check(found, text)
        assert found.probability == 1


def test_what_is_behind_max_length_has_no_share():
    clf = fitted_as(max_length=4, max_epochs=1)
    [found] = explain(clf, ["How my card?"])
    check(found, "How my card?")
    assert found.tokens == ["xxbos", "xxmaj", "how", "my", "card", "?"]
    assert found.attributions[1] == found.attributions[2] != 0 != found.attributions[3]
    assert [word.attribution for word in found.words()][2:] == [0]
    [whole] = explain(clf, ["How my"])
    np.testing.assert_allclose(whole.attributions, found.attributions[:4], atol=1e-5)
    [nothing] = explain(fitted_as(max_length=1, max_epochs=1), ["How my card?"])
    assert not nothing.attributions.any() and nothing.error == 0


@pytest.mark.parametrize("most_parts", [4096, 500])
def test_texts_of_thousands_of_words(clf, monkeypatch, most_parts):
    monkeypatch.setattr(explaining, "_MOST_PARTS", most_parts)
    text = " ".join(TEXTS * 5)
    tracemalloc.start()
    try:
        [found] = explain(clf, [text])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    check(found, text)
    assert len(found.words()) > 2000 and found.n_readings == 12
    assert found.attributions.any() and peak < 100e6


def test_equal_words_read_in_any_order_have_equal_shares(clf):
    [found] = explain(clf, ["card " * 40])
    shares = [word.attribution for word in found.words()]
    check(found, "card " * 40)
    assert np.std(shares) < 0.1 + abs(np.mean(shares))


def test_estimators_that_hold_a_classifier(clf):
    lm = language_model(max_epochs=1, emb_size=8)
    pipe = make_pipeline(lm, classifier(max_epochs=1)).fit(TEXTS, LABELS)
    found, same = explain(pipe, TEXTS[:2]), explain(pipe[-1], TEXTS[:2])
    assert [f.to_list() for f in found] == [f.to_list() for f in same]
    assert list(pipe.predict(TEXTS[:2])) == [f.target for f in found]
    search = GridSearchCV(pipe, {"ulmfitclassifier__max_epochs": [1]}, cv=2)
    with pytest.raises(NotFittedError, match="GridSearchCV"):
        explain(search, TEXTS[:2])
    search.fit(TEXTS, LABELS)
    assert [f.target for f in explain(search, TEXTS[:2])] == search.predict(TEXTS[:2]).tolist()
    search.refit = False
    del search.best_estimator_
    with pytest.raises(TypeError, match=r"refit=False.*best_params_"):
        explain(search, TEXTS)
    frozen = [
        make_pipeline(FrozenEstimator(pipe[0]), pipe[1]),
        make_pipeline(pipe[0], FrozenEstimator(pipe[1])),
        FrozenEstimator(pipe),
    ]
    for one in frozen:
        assert [f.to_list() for f in explain(one, TEXTS[:2])] == [f.to_list() for f in found]
    longer = make_pipeline(FunctionTransformer(lambda X: X), lm, clf)
    with pytest.raises(TypeError, match=r"FunctionTransformer.*pipe\[-2:\]"):
        explain(longer, TEXTS)
    assert explain(make_pipeline("passthrough", clf), TEXTS[:1])
    with pytest.raises(ValueError, match="another language model"):
        explain(make_pipeline(lm, clf), TEXTS)


def test_errors_say_what_to_do(clf):
    with pytest.raises(NotFittedError):
        explain(ULMFiTClassifier(), TEXTS)
    with pytest.raises(TypeError, match="got LogisticRegression"):
        explain(LogisticRegression(), TEXTS)
    with pytest.raises(TypeError, match="Pipeline that ends with LogisticRegression"):
        explain(make_pipeline(language_model(), LogisticRegression()), TEXTS)
    with pytest.raises(TypeError, match="A language model knows no classes"):
        explain(clf.language_model_, TEXTS)
    for several, name in (
        (CalibratedClassifierCV(FrozenEstimator(clf)), "calibrated_classifiers_"),
        (VotingClassifier([("a", FrozenEstimator(clf))]), "estimators_"),
    ):
        with pytest.raises(TypeError, match=f"explain the ULMFiTClassifier in one of its {name}"):
            explain(several.fit(TEXTS, LABELS), TEXTS)
    for swapped in (TEXTS, "my card"):
        with pytest.raises(TypeError, match=r"explain\(clf, texts\)"):
            explain(swapped, clf)
    with pytest.raises(ValueError, match="put it into a list"):
        explain(clf, "my card")
    with pytest.raises(TypeError, match="texts as they were written"):
        explain(clf, clf.language_model_.transform(TEXTS))
    for wrong in (
        {"n_readings": 3},
        {"n_readings": 4.5},
        {"tolerance": -1},
        {"tolerance": None},
        {"random_state": -1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            explain(clf, TEXTS, **wrong)


def test_tokenizer_that_is_a_function():
    for function in (str.split, lambda text: [word[::-1] for word in text.split()], sorted):
        clf = fitted_as(function, max_epochs=1)
        for text, found in zip(ODD, explain(clf, ODD), strict=True):
            check(found, text)


@pytest.mark.parametrize("kind", ["word", "subword, both"])
def test_texts_that_nobody_has_read(fitted, kind):
    documents = []

    @settings(max_examples=30, database=None)
    @given(st.lists(hostile_texts, min_size=1, max_size=3))
    def generate(some):
        documents.extend(some)

    generate()
    for text, found in zip(documents, explain(fitted(kind), documents), strict=True):
        check(found, text)
        assert found.to_html().encode("utf-8")
        assert str(found) and found.to_text(color=True) and repr(found)
