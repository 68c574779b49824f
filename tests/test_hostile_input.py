"""Texts that nobody has read: a result or a clear error; no hang, no NaN, no crash in torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import banking, classifier, language_model

ROOT = Path(__file__).parent.parent
TEXTS, LABELS = banking(2, 20)
KINDS = ["word", "subword"]

# What breaks tokenizers, terminals and tables: every plane of Unicode, halves of surrogate pairs,
# NUL and other controls, marks that turn the direction of writing, emoji of many parts, marks that
# pile up, and our own special tokens.
characters = st.one_of(
    st.characters(),
    st.characters(categories=["Cs", "Cc", "Cf", "Co", "Cn", "Mn"]),
    st.characters(min_codepoint=0x10000),
    st.sampled_from(
        [
            "\0",
            "\x1f",
            "\x85",
            "\u202e",
            "\u2066",
            "\ufeff",
            "\U0001f469\u200d\U0001f680",
            "e\u0301",
        ]
    ),
    st.sampled_from(
        [" ", "\n", "xxbos ", "xxunk", "xxmaj", "▁", "<br />", "&#39;", "aaaa", "my card"]
    ),
)
texts = st.one_of(
    st.text(),
    st.lists(characters, max_size=30).map("".join),
    st.builds(lambda part, n: part * n, st.lists(characters, max_size=3).map("".join), st.just(50)),
    st.sampled_from(TEXTS),
)

pytestmark = pytest.mark.one_version


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    """A language model and a classifier of ordinary texts."""
    lm = language_model(tokenizer=request.param, emb_size=8, hidden_size=8, max_epochs=1)
    return lm.fit(TEXTS), classifier(max_epochs=2).fit(lm.transform(TEXTS), LABELS)


@pytest.mark.parametrize("seed", range(2))
def test_two_thousand_documents_have_two_thousand_answers(fitted, seed):
    """Generated all at once: what is in the same call changes nothing."""
    lm, clf = fitted
    documents = []

    @settings(max_examples=500, database=None)
    @given(st.lists(texts, min_size=1, max_size=4))
    def generate(some):
        documents.extend(some)

    generate()
    assert len(documents) >= 500
    encoded = lm.transform(documents)
    p = clf.predict_proba(encoded)
    assert np.isfinite(p).all() and p.shape == (len(documents), 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(lm.perplexity(documents))
    some = np.random.default_rng(seed).integers(len(documents), size=20)
    for i in some:
        alone = clf.predict_proba(lm.transform([documents[i]]))[0]
        np.testing.assert_allclose(alone, p[i], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(corpus=st.lists(texts, min_size=1, max_size=12), data=st.data())
def test_any_corpus_can_be_learned(kind, corpus, data):
    """Language model and classifier are fitted on it, with any labels, or say why not."""
    labels = data.draw(
        st.lists(st.sampled_from(["a", "b"]), min_size=len(corpus), max_size=len(corpus))
    )
    lm = language_model(tokenizer=kind, emb_size=4, hidden_size=4, n_layers=1, min_freq=1)
    lm.set_params(max_epochs=1)
    clf = classifier(language_model=lm, max_epochs=1).fit(corpus, labels)
    p = clf.predict_proba([*corpus, "", "my card"])
    assert np.isfinite(p).all() and list(clf.classes_) == sorted(set(labels))


nothing_to_learn_from = [
    *([], None, 3, "one text", b"bytes", [b"bytes"], [None], ["text", float("nan")]),
    *([["nested"]], [3], {"text": "label"}, np.zeros((2, 2)), [np.str_("fine"), 1.5]),
]


@pytest.mark.parametrize("wrong", nothing_to_learn_from, ids=str)
def test_what_is_no_text_is_refused_in_words(wrong):
    for estimator in (language_model(), classifier(language_model=language_model())):
        with pytest.raises((TypeError, ValueError)) as caught:
            estimator.fit(wrong, ["a", "b"])
        assert len(str(caught.value)) > 20 and "torch" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (np.array(["a", 1] * 20, dtype=object), "mixes labels of the types"),
        ([["a", "b"]] * 40, None),
        ([float("nan")] * 40, None),
        ([1.5, 2.5] * 20, None),
        (["a"] * 39, "39"),
        ([-1] * 40, None),
        ([None] * 40, None),
    ],
    ids=["mixed", "nested", "nan", "real", "too few", "all unlabelled", "all None"],
)
def test_labels_that_make_no_classes_are_refused(fitted, labels, error):
    with pytest.raises((TypeError, ValueError), match=error):
        classifier(max_epochs=1).fit(fitted[0].transform(TEXTS), labels)


def test_words_that_are_all_unknown(fitted):
    lm, clf = fitted
    strange = ["ζωή 生活 հայ", "ζωή", "\U00020000\U00020001"]
    assert np.isfinite(clf.predict_proba(lm.transform(strange))).all()
    assert np.isfinite(lm.perplexity(strange))


def surrogates(text):
    return [f"\ud800{word}" for word in text.split()]


def test_a_tokenizer_may_make_what_utf_8_cannot_hold():
    lm = language_model(tokenizer=surrogates, emb_size=8, hidden_size=8, max_epochs=1).fit(TEXTS)
    documents = lm.transform(TEXTS)
    clf = classifier(max_epochs=1).fit(documents, LABELS)
    np.testing.assert_array_equal(clf.predict_proba(documents), clf.predict_proba(TEXTS))


def test_a_hundred_thousand_empty_documents(fitted):
    lm, clf = fitted
    p = clf.predict_proba(lm.transform([""] * 100_000))
    assert p.shape == (100_000, 2) and (p == p[0]).all()


# In a process of its own, whose memory is that of this work alone.
GIANTS = """
import json, re, sys
from pathlib import Path
import numpy as np
from tests.helpers import banking, classifier, language_model

texts, labels = banking(2, 20)
giant = {
    "a million tokens": " ".join(" ".join(texts).split()[:400]) + " ",
    "a word of 10 MB": "abcdefghij",
}[sys.argv[1]]
giant = giant * (2100 if " " in giant else 1_000_000)
labels = [labels[0], *labels]
lm = language_model(device="cpu").fit(texts)  # what a GPU's driver takes is not looked at
documents = lm.transform([giant, *texts])
clf = classifier(max_epochs=1, unfreeze_schedule="full", device="cpu").fit(documents, labels)
figures = {
    "tokens": int(documents.tokens.lengths[0]),
    "finite": bool(np.isfinite(clf.predict_proba(documents[:1])).all()),
    "perplexity": lm.perplexity([giant]),
}
# (the ru_maxrss of getrusage begins with the memory of the process that started this one)
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
figures["gigabytes"] = int(peak) / 1e6
print(json.dumps(figures))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    "kind",
    [pytest.param("a million tokens", marks=pytest.mark.slow), "a word of 10 MB"],
)
def test_giants_take_less_than_1_5_gigabytes(kind):
    command = [sys.executable, "-c", GIANTS, kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["tokens"] > 1e6) == (kind == "a million tokens")
    assert figures["finite"] and np.isfinite(figures["perplexity"])
    assert figures["gigabytes"] < 1.5, figures
