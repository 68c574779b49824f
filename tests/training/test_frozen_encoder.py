"""Epochs that train the head alone, with the encoder's outputs computed once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from sk_ulmfit.modules import AWDLSTM
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(3, 20)


@pytest.fixture(scope="module")
def documents():
    return language_model(direction="both", max_epochs=1).fit(TEXTS).transform(TEXTS)


def losses(clf):
    return [
        [epoch["train_loss"], epoch.get("valid_loss", 0.0)]
        for epoch in clf.history_  # of both directions
    ]


@pytest.mark.parametrize("schedule", ["last", "gradual", "chain-thaw"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_without_dropout_it_changes_nothing(schedule, early_stopping, documents):
    params = {
        "unfreeze_schedule": schedule,
        "dropout_mult": 0.0,
        "max_epochs": 5,
        "early_stopping": early_stopping,
        "validation_fraction": 0.3,
        "device": "cpu",  # a GPU rounds more than is compared here
    }
    usual = classifier(**params).fit(documents, LABELS)
    quick = classifier(**params, frozen_dropout=False).fit(documents, LABELS)
    np.testing.assert_allclose(losses(quick), losses(usual), rtol=1e-3, atol=1e-5)
    expected = usual.predict_proba(documents)
    np.testing.assert_allclose(quick.predict_proba(documents), expected, atol=1e-3)


def test_the_encoder_reads_every_document_once(documents, monkeypatch):
    steps = []
    forward = AWDLSTM.forward

    def counted(self, ids, *args, **kwargs):
        steps.append(ids.shape[1])
        return forward(self, ids, *args, **kwargs)

    monkeypatch.setattr(AWDLSTM, "forward", counted)
    clf = classifier(unfreeze_schedule="last", max_epochs=6, frozen_dropout=False)
    clf.fit(documents, LABELS)
    assert sum(steps) == 2 * len(set(TEXTS)), "each document in each direction"
    steps.clear()
    clf.set_params(frozen_dropout=True, r_drop=1.0).fit(documents, LABELS)
    checked = clf.batch_size  # one batch more, with the last weights
    assert sum(steps) == 2 * (6 * 2 * len(TEXTS) + checked), "R-Drop reads a text twice a step"


def test_nothing_is_kept_after_training(documents):
    usual = classifier(unfreeze_schedule="last").fit(documents, LABELS)
    quick = classifier(unfreeze_schedule="last", frozen_dropout=False).fit(documents, LABELS)
    assert len(pickle.dumps(quick)) == pytest.approx(len(pickle.dumps(usual)), rel=0.01)
