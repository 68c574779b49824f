"""Words that do not occur in the texts are left out of training, and nothing is lost by it."""

from __future__ import annotations

import numpy as np
import pytest

from sk_ulmfit.training import classifier as stage_3
from sk_ulmfit.training import embeddings
from sk_ulmfit.training.embeddings import used_tokens, with_rows
from tests.helpers import banking, classifier, language_model
from tests.test_classifier import PressCtrlC

TEXTS, LABELS = banking(3, 30)


@pytest.fixture(scope="module")
def lm():
    return language_model().fit(TEXTS)


@pytest.fixture
def some(lm):
    """Documents of which a part of the vocabulary occurs, with their labels and that part."""
    documents = lm.transform(TEXTS[:25])
    used = used_tokens(len(lm.vocab_), documents.tokens)
    assert 20 < len(used) < 0.8 * len(lm.vocab_)
    return documents, LABELS[:25], used


def test_a_classifier_is_what_it_would_be_with_the_whole_vocabulary(lm, some, monkeypatch):
    documents, labels, used = some
    clf = classifier(max_epochs=6, dropout_mult=0, unfreeze_schedule="full")
    narrow = clf.fit(documents, labels).trained_.weights["forward"]
    seen = []
    monkeypatch.setattr(stage_3, "used_tokens", lambda *args, **kwargs: seen.append(args))
    whole = clf.fit(documents, labels).trained_.weights["forward"]
    assert seen and set(narrow) == set(whole)
    for name in whole:
        np.testing.assert_allclose(narrow[name], whole[name], rtol=1e-3, atol=1e-5, err_msg=name)
    before = lm.trained_.weights["forward"]["encoder.embedding"]
    changed = np.flatnonzero((narrow["encoder.embedding"] != before).any(axis=1))
    np.testing.assert_array_equal(changed, used)


def test_held_out_texts_keep_their_words(lm):
    clf = classifier(early_stopping=True, validation_fraction=0.5, max_epochs=2)
    history = clf.fit(lm.transform(TEXTS[:20]), LABELS[:20]).history_
    assert all(np.isfinite(epoch["valid_loss"]) for epoch in history)


def test_the_vocabulary_is_whole_again_after_an_interrupt(lm, some):
    documents, labels, _ = some
    clf = classifier(callbacks=[PressCtrlC()], max_epochs=5)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(documents, labels)
    n_words = len(lm.vocab_)
    assert len(clf.trained_.weights["forward"]["encoder.embedding"]) == n_words
    assert clf.predict_proba(lm.transform(TEXTS)).shape == (len(TEXTS), 3)


def test_what_was_learned_is_put_back():
    whole = np.arange(12.0).reshape(6, 2)
    merged = with_rows(whole, np.array([0, 2, 5]), np.full((3, 2), -1.0))
    np.testing.assert_array_equal(merged[[0, 2, 5]], np.full((3, 2), -1.0))
    np.testing.assert_array_equal(merged[[1, 3, 4]], whole[[1, 3, 4]])
    assert (whole >= 0).all()


def test_texts_with_nearly_all_words_are_left_alone(lm):
    assert used_tokens(len(lm.vocab_), lm.transform(TEXTS).tokens) is None
    assert used_tokens(len(lm.vocab_), lm.transform(TEXTS[:10]).tokens) is not None


def test_renumbering_finds_every_token(some):
    documents, _, used = some
    table = embeddings.renumbering(1000, used)
    renumbered = documents.tokens.renumbered(table)
    np.testing.assert_array_equal(used[renumbered.ids], documents.tokens.ids)
