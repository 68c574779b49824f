"""scikit-learn's estimators around a classifier: they work, or are refused in words."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier

from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(per_class=6)
CODES = np.unique(LABELS, return_inverse=True)[1]
INDICATOR = np.c_[CODES == 0, CODES != 1].astype(int)


@pytest.fixture(scope="module")
def documents():
    return language_model(max_epochs=0).fit(TEXTS).transform(TEXTS)


def named(n):
    return [(f"clf{i}", classifier(max_epochs=1, random_state=i)) for i in range(n)]


CLF = classifier(max_epochs=1)
WORK = {
    "one against the rest": (OneVsRestClassifier(CLF), LABELS),
    "one against the rest, several labels": (OneVsRestClassifier(CLF), INDICATOR),
    "voting": (VotingClassifier(named(2), voting="soft"), LABELS),
    "stacking of probabilities": (StackingClassifier(named(1), cv=2), LABELS),
    "stacking of decisions": (
        StackingClassifier(named(1), cv=2, stack_method="decision_function"),
        LABELS,
    ),
    "calibration": (CalibratedClassifierCV(CLF, cv=2, ensemble=False), LABELS),
    "a classifier a label": (MultiOutputClassifier(CLF), INDICATOR),
    "another threshold": (FixedThresholdClassifier(CLF), CODES == 0),
}
MAKE_NUMBERS = {
    "one against one": (OneVsOneClassifier(CLF), LABELS),
    "self-training": (SelfTrainingClassifier(CLF), np.where(CODES == 1, -1, CODES)),
    "bagging": (BaggingClassifier(CLF), LABELS),
    "boosting": (AdaBoostClassifier(CLF), LABELS),
    "a chain": (ClassifierChain(CLF), INDICATOR),
    "a step between": (
        Pipeline([("numbers", FunctionTransformer(np.asarray)), ("clf", CLF)]),
        LABELS,
    ),
}


@pytest.mark.parametrize("kind", WORK)
def test_these_work(documents, kind):
    estimator, y = WORK[kind]
    predicted = estimator.fit(documents, y).predict(documents)
    assert predicted.shape == y.shape and np.isin(predicted, y).all()


@pytest.mark.parametrize("kind", MAKE_NUMBERS)
def test_what_makes_numbers_of_documents_is_told_where_it_cannot_stand(documents, kind):
    estimator, y = MAKE_NUMBERS[kind]
    with pytest.raises(ValueError, match="neither between the two nor around the classifier"):
        estimator.fit(documents, y)


def test_codes_of_minus_one_are_refused(documents):
    with pytest.raises(ValueError, match="-1 means 'not labelled'"):
        OutputCodeClassifier(CLF, random_state=0).fit(documents, LABELS)
