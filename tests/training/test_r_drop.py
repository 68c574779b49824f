"""R-Drop: every text is read twice, and the two predictions are drawn towards each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils._param_validation import InvalidParameterError
from skorch.callbacks import Callback
from torch.nn import functional as F

from sk_ulmfit.modules.dropout import MaskSource
from sk_ulmfit.training.classifier import (
    ClassificationLoss,
    ClassifierOptions,
    divergence,
    training_network,
)
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(4, 20)
WEIGHTS = torch.tensor([1.0, 2.0, 0.5])


@pytest.fixture(scope="module")
def documents():
    return language_model(max_epochs=4).fit(TEXTS).transform(TEXTS)


@pytest.fixture
def pairs():
    """Logits of two readings of three documents."""
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))


def test_half_of_both_divergences_is_added_to_the_mean_loss(pairs):
    targets = torch.tensor([3, 0, 1])
    one, other = pairs.log_softmax(2)
    losses = (
        F.nll_loss(one, targets, reduction="none") + F.nll_loss(other, targets, reduction="none")
    ) / 2
    apart = (
        F.kl_div(one, other, log_target=True, reduction="none").sum(1)
        + F.kl_div(other, one, log_target=True, reduction="none").sum(1)
    ) / 2
    loss = ClassificationLoss(r_drop=0.7)(pairs, (targets, WEIGHTS))
    torch.testing.assert_close(loss, ((losses + 0.7 * apart) * WEIGHTS).mean())


def test_labels_of_a_multilabel_problem_are_distributions_of_their_own(pairs):
    targets = torch.tensor([[0, 1, 1, 0]] * 3)
    one, other = (torch.stack([rows, torch.zeros_like(rows)], 2) for rows in pairs)
    apart = torch.stack([divergence(one[:, i], other[:, i], False) for i in range(4)], 1).mean(1)
    torch.testing.assert_close(divergence(*pairs, True), apart)
    plain = ClassificationLoss(multilabel=True)
    expected = (plain(pairs[0], (targets, WEIGHTS)) + plain(pairs[1], (targets, WEIGHTS))) / 2
    loss = ClassificationLoss(multilabel=True, r_drop=2.0)(pairs, (targets, WEIGHTS))
    torch.testing.assert_close(loss, expected + (2.0 * apart * WEIGHTS).mean())


class Rows(Callback):
    """How often the network reads a text, by whether it is in training."""

    seen: dict[bool, set[float]]

    def on_train_begin(self, net, **kwargs):
        type(self).seen = {True: set(), False: set()}
        self.n_read = 0
        net.module_.register_forward_hook(self.count)

    def count(self, module, inputs, output):
        self.n_read += len(output)

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        assert len(y_pred) == len(batch[1])
        self.seen[training].add(self.n_read / len(batch[1]))
        self.n_read = 0


@pytest.mark.parametrize("frozen_dropout", [True, False])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_texts_are_read_twice_in_training_and_once_elsewhere(direction, frozen_dropout):
    documents = language_model(max_epochs=1, direction=direction).fit(TEXTS).transform(TEXTS)
    options = {"frozen_dropout": frozen_dropout, "early_stopping": True, "callbacks": [Rows()]}
    clf = classifier(r_drop=1.0, **options)
    clf.fit(documents, LABELS)
    assert Rows.seen == {True: {2.0}, False: {1.0}}
    assert clf.set_params(r_drop=0.0).fit(documents, LABELS) and Rows.seen[True] == {1.0}


def test_predictions_with_dropout_agree_more(documents):
    def disagreement(r_drop):
        clf = classifier(r_drop=r_drop, max_epochs=20, dropout_mult=1.0).fit(documents, LABELS)
        assert clf.score(documents, LABELS) > 0.8
        options = ClassifierOptions.of(clf, seed=0)
        weights = clf.trained_.weights["forward"]
        module = training_network(clf.trained_, "forward", weights, options).train()
        source = MaskSource(torch.Generator().manual_seed(0))
        rows = np.argsort(-documents.tokens.lengths, kind="stable")
        ids = torch.from_numpy(documents.tokens.padded(rows))
        lengths = torch.from_numpy(documents.tokens.lengths[rows])
        with torch.no_grad():
            one, other = (module(ids, lengths, source=source) for _ in range(2))
        return float(divergence(one, other, False).mean())

    assert disagreement(1.0) < 0.6 * disagreement(0.0)


def test_a_text_alone_in_its_batch_is_not_normalised_by_its_own_dropout(documents):
    clf = classifier(r_drop=1.0, batch_size=1, max_epochs=12).fit(documents, LABELS)
    assert clf.score(documents, LABELS) > 0.8


def test_labels_of_a_multilabel_problem_are_learned_with_weights(documents):
    y = (LABELS[:, None] == np.unique(LABELS)).astype(int)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(y))
    clf = classifier(r_drop=1.0, max_epochs=12).fit(documents, y, sample_weight=weights)
    assert np.mean(clf.predict(documents) == y) > 0.9
    assert clf.partial_fit(documents, y).n_epochs_ == 13


def test_without_dropout_nothing_is_read_twice(documents):
    once = classifier(r_drop=0.0, dropout_mult=0.0).fit(documents, LABELS)
    twice = classifier(r_drop=1.0, dropout_mult=0.0).fit(documents, LABELS)
    assert np.array_equal(once.predict_proba(documents), twice.predict_proba(documents))
    assert once.history_ == twice.history_


@pytest.mark.parametrize("value", [-0.1, None, "1"])
def test_other_values_are_refused(value, documents):
    with pytest.raises(InvalidParameterError, match="r_drop"):
        classifier(r_drop=value).fit(documents, LABELS)
