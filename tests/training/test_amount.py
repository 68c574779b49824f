"""How much training an amount of data is worth."""

from __future__ import annotations

import logging
import pickle
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback, EarlyStopping

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.models.names import load_pretrained
from sk_ulmfit.training import amount, solved_head
from sk_ulmfit.training.amount import are_few, fine_tuning_epochs
from tests.helpers import banking


@pytest.fixture
def few(monkeypatch):
    """Let twenty texts be many."""
    monkeypatch.setattr(amount, "_FEW_TEXTS", 20)
    monkeypatch.setattr(amount, "_FEW_TEXTS_A_CLASS", 1)
    monkeypatch.setattr(solved_head, "_MANY_TO_HALVE", 20)


@pytest.mark.parametrize("knows_meaning", [False, True])
def test_more_texts_are_never_worth_fewer_epochs_of_stage_2(knows_meaning):
    found = [fine_tuning_epochs(n, knows_meaning) for n in (1, 100, 499, 500, 10**6, None)]
    assert found == sorted(found) and found[0] == found[2] == 0 < found[3]
    assert fine_tuning_epochs(10**6, True) < fine_tuning_epochs(10**6, False)
    assert are_few(499, 2) and are_few(770, 77) and not are_few(770, 2)


def test_few_labels_are_solved_for_in_seconds(caplog):
    texts, y = banking()
    with caplog.at_level(logging.INFO, "sk_ulmfit"):
        clf = ULMFiTClassifier(random_state=0).fit(texts[:60], y[:60])
    assert "60 labelled texts of 3 classes: the head begins solved" in caplog.text
    assert (clf.n_epochs_, clf.language_model_.n_epochs_, clf.history_) == (0, 0, [])
    assert set(clf.trained_.solved["forward"]) > {"meaning", "form", "words"}
    assert clf.score(texts[60:], y[60:]) > 0.8
    # The words of the texts are read, without having been trained on.
    known = load_pretrained("en-small").tokenizer.vocab.tokens
    assert len(clf.language_model_.vocab_) > len(known)


@pytest.mark.parametrize("labelled", [60, 59])
def test_a_solution_alone_needs_no_fine_tuning_but_for_texts_without_labels(monkeypatch, labelled):
    monkeypatch.setattr(amount, "_FEW_TEXTS", 20)
    monkeypatch.setattr(ULMFiTLanguageModel, "_auto_epochs", 1)
    texts, y = banking()
    y = np.where(np.arange(60) < labelled, y[:60], None)
    clf = ULMFiTClassifier(random_state=0).fit(texts[:60], y)
    assert (clf.n_epochs_, clf.language_model_.n_epochs_) == (0, int(labelled < 60))


@pytest.mark.parametrize(
    ("params", "n_epochs", "solved"),
    [
        ({"max_epochs": 2}, 2, False),
        ({"unfreeze_schedule": (1, 1)}, 2, False),
        ({"head_start": "random", "max_epochs": 1}, 1, False),
        ({"head_start": "solved"}, 0, True),
        ({"head_start": "solved", "max_epochs": 1, "linear_share": 0.3}, 1, True),
        ({"max_epochs": 0}, 0, False),
    ],
)
def test_numbers_that_are_given_are_taken(params, n_epochs, solved):
    texts, y = banking(per_class=8)
    lm = ULMFiTLanguageModel(None, max_epochs=0, emb_size=8, hidden_size=8, n_layers=1)
    clf = ULMFiTClassifier(lm, random_state=0, **params).fit(texts, y)
    assert (clf.n_epochs_, bool(clf.trained_.solved)) == (n_epochs, solved)


@pytest.mark.parametrize("params", [{}, {"head_start": "solved"}])
def test_what_is_set_for_a_training_that_there_is_not_is_told_of(params):
    texts, y = banking(per_class=8)
    lm = ULMFiTLanguageModel(None, max_epochs=0, emb_size=8, hidden_size=8, n_layers=1)
    clf = ULMFiTClassifier(lm, random_state=0, callbacks=[Callback()], **params)
    with pytest.warns(UserWarning, match="callbacks will have no effect"):
        clf.fit(texts, y)
    with pytest.warns(UserWarning, match="callbacks will have no effect"):
        ULMFiTLanguageModel(callbacks=[Callback()]).fit(texts)
    clf.set_params(max_epochs=0).fit(texts, y)  # as it was asked for
    clf.set_params(max_epochs="auto", callbacks=None, lr=0.02, unfreeze_schedule="full")
    with pytest.warns(UserWarning, match="^unfreeze_schedule, lr will have no effect"):
        clf.fit(texts, y)
    clf.set_params(lr=0.01, unfreeze_schedule="gradual", early_stopping=True).fit(texts, y)


@pytest.mark.parametrize("params", [{}, {"linear_share": 1}, {"max_epochs": 0}])
def test_no_label_is_set_aside_to_stop_a_training_that_there_is_not(params):
    texts, y = banking(per_class=8)
    clf = ULMFiTClassifier(random_state=0, **params).fit(texts, y)
    also = ULMFiTClassifier(random_state=0, early_stopping=True, validation_fraction=0.5, **params)
    also.fit(texts, y)
    assert (clf.n_epochs_, clf.history_) == (also.n_epochs_, also.history_) == (0, [])
    np.testing.assert_array_equal(also.predict_proba(texts), clf.predict_proba(texts))
    watches = EarlyStopping(monitor="valid_loss")
    chose = "max_epochs" not in params
    with pytest.warns(UserWarning, match="callbacks") if chose else nullcontext():
        also.set_params(callbacks=[watches]).fit(texts, y)  # nobody asks it


def test_steps_train_a_solved_head_and_callbacks_of_it_are_checked():
    texts, y = banking(per_class=8)
    lm = ULMFiTLanguageModel(None, max_epochs=0, emb_size=8, hidden_size=8, n_layers=1)
    clf = ULMFiTClassifier(lm, random_state=0, head_start="solved", unfreeze_schedule=(1, 1))
    clf.set_params(callbacks=[EarlyStopping(monitor="valid_loss")])
    with pytest.raises(ValueError, match="no texts are set aside"):
        clf.fit(texts, y)
    assert not hasattr(clf, "language_model_"), "before anything is trained"
    assert clf.set_params(early_stopping=True).fit(texts, y).n_epochs_ == 2


@pytest.mark.parametrize("share", [0, 0.5])
@pytest.mark.parametrize("head_start", ["auto", "solved"])
def test_a_share_of_a_network_asks_for_one(monkeypatch, share, head_start):
    monkeypatch.setattr(ULMFiTClassifier, "_auto_epochs", 1)
    texts, y = banking(per_class=8)
    lm = ULMFiTLanguageModel(None, max_epochs=0, emb_size=8, hidden_size=8, n_layers=1)
    clf = ULMFiTClassifier(lm, random_state=0, linear_share=share, head_start=head_start)
    clf.fit(texts, y)
    assert (clf.n_epochs_, clf.linear_share_) == (1, share)
    assert isinstance(clf.linear_share_, float) and not clf.trained_.is_linear
    alone = clf.set_params(linear_share=1).fit(texts, y)
    assert (alone.n_epochs_, alone.linear_share_) == (0, 1) and alone.trained_.is_linear


def test_few_labels_are_solved_for_anew_and_what_is_trained_is_no_linear_model(monkeypatch):
    monkeypatch.setattr(ULMFiTClassifier, "_auto_epochs", 1)
    texts, y = banking(per_class=20)
    clf = ULMFiTClassifier(random_state=0, warm_start=True).fit(texts[:30], y[:30])
    language_model = clf.language_model_
    clf.fit(texts, y)
    assert (clf.n_epochs_, clf.linear_share_) == (0, 1.0) and clf.trained_.is_linear
    assert clf.language_model_ is language_model
    lm = FrozenEstimator(language_model)
    once = ULMFiTClassifier(lm, random_state=0).fit(texts, y)
    np.testing.assert_allclose(clf.predict_proba(texts), once.predict_proba(texts), atol=0.05)
    further = pickle.loads(pickle.dumps(clf))
    further.set_params(max_epochs=1, unfreeze_schedule="full").fit(texts, y)
    for asked in ({"linear_share": 0.0}, {"head_start": "random"}):
        network = pickle.loads(pickle.dumps(clf)).set_params(**asked).fit(texts, y)
        assert network.n_epochs_ == 1, "it is asked for"
    stepped = clf.partial_fit(texts[:9], y[:9])
    for trained in (further, stepped, pickle.loads(pickle.dumps(stepped))):
        assert (trained.n_epochs_, trained.linear_share_) == (1, 0.0)
        assert not trained.trained_.is_linear
    assert stepped.fit(texts, y).n_epochs_ == 2, "a network that goes on is trained"


def test_a_language_model_that_goes_on_is_worth_as_many_epochs_as_before(monkeypatch):
    texts, _ = banking(per_class=8)
    lm = ULMFiTLanguageModel(random_state=0, warm_start=True).fit(texts)
    assert lm.fit(texts).n_epochs_ == 0
    monkeypatch.setattr(amount, "_FEW_TEXTS", 20)
    monkeypatch.setattr(amount, "EPOCHS_BELOW_SENTENCES", 1)
    assert lm.fit(texts).n_epochs_ == 1


def test_many_labels_are_trained_by(few, monkeypatch):
    monkeypatch.setattr(ULMFiTClassifier, "_auto_epochs", 2)
    texts, y = banking(per_class=8)
    lm = ULMFiTLanguageModel(None, max_epochs=0, emb_size=8, hidden_size=8, n_layers=1)
    clf = ULMFiTClassifier(lm, random_state=0).fit(texts, y)
    assert (clf.n_epochs_, clf.linear_share_) == (2, 0.5)
    assert [len(epoch["trained_groups"]) for epoch in clf.history_] == [1, 2]
    going_on = ULMFiTClassifier(lm, random_state=0, warm_start=True).fit(texts[:9], y[:9])
    assert going_on.n_epochs_ == 0
    assert going_on.fit(texts, y).n_epochs_ == 2, "of many labels a linear model goes on too"


@pytest.mark.parametrize("encoder_start", ["sentences", "language-model"])
def test_training_begins_with_layers_that_know_what_texts_mean_or_with_the_papers(encoder_start):
    texts, y = banking(per_class=8)
    clf = ULMFiTClassifier(
        encoder_start=encoder_start, max_epochs=1, unfreeze_schedule="last", random_state=0
    ).fit(texts, y)
    known = clf.language_model_.trained_
    name = "encoder.layers.0.weight_hh"
    own, taught = (one.weights["forward"][name] for one in (known, known.reader))
    wanted, other = (taught, own) if encoder_start == "sentences" else (own, taught)
    np.testing.assert_array_equal(clf.trained_.weights["forward"][name], wanted)
    assert not np.array_equal(wanted, other)


def test_stage_2_is_short_below_layers_that_know_what_texts_mean(monkeypatch):
    monkeypatch.setattr(amount, "_FEW_TEXTS", 20)
    texts, y = banking(per_class=8)
    monkeypatch.setattr(ULMFiTClassifier, "_auto_epochs", 0)
    clf = ULMFiTClassifier(random_state=0, head_sizes=(4,)).fit(texts, y)
    assert clf.language_model_.n_epochs_ == amount.EPOCHS_BELOW_SENTENCES
    plain = replace(clf.language_model_.trained_, sentences=None)
    alone = ULMFiTLanguageModel(FrozenEstimator(ULMFiTLanguageModel.from_trained(plain)))
    assert alone.fit(texts[:20]).n_epochs_ == amount.FINE_TUNING_EPOCHS


def test_a_hidden_layer_that_is_asked_for_is_trained(monkeypatch):
    monkeypatch.setattr(ULMFiTClassifier, "_auto_epochs", 1)
    texts, y = banking(per_class=8)
    lm = ULMFiTLanguageModel(None, max_epochs=0, emb_size=8, hidden_size=8, n_layers=1)
    clf = ULMFiTClassifier(lm, head_sizes=(4,), random_state=0).fit(texts, y)
    assert clf.trained_.head_sizes in {(4,), ()} and clf.n_epochs_ == 1
