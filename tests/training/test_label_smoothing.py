"""Targets that are spread over the classes a little."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils._param_validation import InvalidParameterError

from sk_ulmfit.training.classifier import ClassificationLoss
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(4, 20)


@pytest.fixture(scope="module")
def documents():
    return language_model(max_epochs=4).fit(TEXTS).transform(TEXTS)


@pytest.fixture
def logits():
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def test_targets_are_spread_over_all_classes_in_training_alone(logits):
    targets, weights = torch.tensor([0, 2, 1, 1, 0]), torch.tensor([1.0, 2.0, 0.0, 1.0, 1.0])
    smooth, plain = ClassificationLoss(label_smoothing=0.3), ClassificationLoss()
    spread = 0.7 * torch.eye(3)[targets] + 0.1
    expected = (-(spread * logits.log_softmax(1)).sum(1) * weights).mean()
    torch.testing.assert_close(smooth(logits, (targets, weights)), expected)
    smooth.eval()
    torch.testing.assert_close(
        smooth(logits, (targets, weights)), plain(logits, (targets, weights))
    )


def test_labels_of_a_multilabel_problem_stay_as_they_are(documents):
    y = (np.array(LABELS)[:, None] == np.unique(LABELS)).astype(int)
    plain, smooth = (
        classifier(label_smoothing=value).fit(documents, y).predict_proba(documents)
        for value in (0.0, 0.3)
    )
    assert np.array_equal(plain, smooth)


def test_a_smoothed_classifier_is_less_sure_and_still_right(documents):
    y = np.array(LABELS)

    def sureness(smoothing):
        clf = classifier(max_epochs=15, label_smoothing=smoothing).fit(documents, y)
        assert clf.score(documents, y) > 0.8
        return clf.predict_proba(documents).max(axis=1).mean()

    plain, smooth, smoother = map(sureness, (0.0, 0.2, 0.4))
    assert plain > smooth + 0.02 > smoother + 0.04


@pytest.mark.parametrize("value", [-0.1, 1.0, None, "0.1"])
def test_other_values_are_refused(value, documents):
    with pytest.raises(InvalidParameterError, match="label_smoothing"):
        classifier(label_smoothing=value).fit(documents, LABELS)
