"""A validation set of the user's own: what it is used for, and how it gets through a pipeline."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(3, 20)
TEXTS, VAL = TEXTS[:40], TEXTS[40:]
LABELS, VAL_LABELS = LABELS[:40], LABELS[40:]
STOPS = {"early_stopping": True, "patience": 3, "max_epochs": 3}


@pytest.fixture(scope="module")
def lm():
    return language_model(max_epochs=1).fit(TEXTS)


@pytest.fixture(scope="module")
def documents(lm):
    return lm.transform(TEXTS)


def test_it_is_judged_by_and_nothing_is_set_aside(documents):
    clf = classifier(**STOPS).fit(documents, LABELS, X_val=VAL, y_val=VAL_LABELS)
    # (untrained but for the same steps: as many texts are learned from as without any set aside)
    plain = classifier(max_epochs=3).fit(documents, LABELS)
    learned = [epoch["train_loss"] for epoch in plain.history_]
    assert [epoch["train_loss"] for epoch in clf.history_] == learned
    last = clf.history_[-1]
    assert 0 <= last["valid_acc"] <= 1
    p = clf.predict_proba(VAL)[np.arange(len(VAL)), np.searchsorted(clf.classes_, VAL_LABELS)]
    best = min(epoch["valid_loss"] for epoch in clf.history_)
    assert -np.log(p).mean() == pytest.approx(best, rel=1e-4)


def test_texts_and_documents_are_the_same_to_it(lm, documents):
    options = {"calibrate": True, "max_epochs": 1}
    texts = classifier(**options).fit(documents, LABELS, X_val=VAL, y_val=VAL_LABELS)
    encoded = classifier(**options).fit(
        documents, LABELS, X_val=lm.transform(VAL), y_val=VAL_LABELS
    )
    np.testing.assert_array_equal(texts.predict_proba(VAL), encoded.predict_proba(VAL))
    own = classifier(**options).fit(documents, LABELS)
    assert texts.trained_.temperature != own.trained_.temperature


def test_a_head_that_begins_solved_never_solves_for_it(documents):
    clf = classifier(head_start="solved", max_epochs=0)
    without = clone(clf).fit(documents, LABELS)
    given = clone(clf).fit(documents, LABELS, X_val=VAL, y_val=VAL_LABELS)
    np.testing.assert_array_equal(without.predict_proba(VAL), given.predict_proba(VAL))
    trained = clone(clf).set_params(max_epochs=1, lr=1e-9)  # which helps nobody
    kept = trained.fit(documents, LABELS, X_val=VAL, y_val=VAL_LABELS)
    np.testing.assert_array_equal(without.predict_proba(VAL), kept.predict_proba(VAL))


def test_a_pipeline_passes_it_on(lm):
    pipe = Pipeline([("lm", language_model(max_epochs=1)), ("clf", classifier(**STOPS))])
    given = clone(pipe).fit(TEXTS, LABELS, clf__X_val=VAL, clf__y_val=VAL_LABELS)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(pipe).set_params(transform_input=["X_val"])
        routed.named_steps["clf"].set_fit_request(X_val=True, y_val=True)
        routed.fit(TEXTS, LABELS, X_val=VAL, y_val=VAL_LABELS)
    assert given[-1].history_ == routed[-1].history_


def test_texts_without_a_label_do_not_count(documents):
    clf = classifier(max_epochs=1)
    none = np.array([*VAL_LABELS[:-1], None], dtype=object)
    fewer = clone(clf).fit(documents, LABELS, X_val=VAL[:-1], y_val=VAL_LABELS[:-1])
    assert clone(clf).fit(documents, LABELS, X_val=VAL, y_val=none).history_ == fewer.history_


def test_several_labels(documents):
    indicators = np.c_[LABELS == "age", LABELS != "age"].astype(int)
    val = np.c_[VAL_LABELS == "age", VAL_LABELS != "age"].astype(int)
    clf = classifier(max_epochs=1).fit(documents, indicators, X_val=VAL, y_val=val)
    assert clf.history_[-1]["valid_acc"] == clf.score(VAL, val)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"X_val": VAL}, "X_val and y_val go together"),
        ({"y_val": VAL_LABELS}, "X_val and y_val go together"),
        ({"X_val": VAL, "y_val": VAL_LABELS[1:]}, "inconsistent numbers of samples"),
        ({"X_val": VAL[0], "y_val": ["age"]}, "X_val has to be a collection"),
        ({"X_val": VAL[:1], "y_val": ["travel"]}, "y_val has the label 'travel'.*leave these"),
        ({"X_val": VAL[:1], "y_val": [None]}, "every y_val is"),
    ],
)
def test_what_is_no_validation_set_is_told_at_once(given, told):
    with pytest.raises((TypeError, ValueError), match=told):
        classifier(language_model="no such model").fit(TEXTS, LABELS, **given)


def test_documents_of_another_language_model_are_refused(documents):
    other = language_model(max_epochs=1, random_state=1).fit(VAL).transform(VAL)
    with pytest.raises(ValueError, match="another language model"):
        classifier().fit(documents, LABELS, X_val=other, y_val=VAL_LABELS)


def test_the_language_model_outlives_them(documents):
    """They cannot be refused before it has been trained."""
    recipe = language_model(max_epochs=1, emb_size=8, hidden_size=8)
    with pytest.raises(ValueError, match="another language model") as raised:
        classifier(language_model=recipe).fit(TEXTS, LABELS, X_val=documents, y_val=LABELS)
    assert raised.value.language_model.perplexity(TEXTS)
