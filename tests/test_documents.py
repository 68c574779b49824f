"""Encoded documents as what stands between texts and arrays."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from torch.nn.modules.module import register_module_forward_pre_hook

from sk_ulmfit import ULMFiTLanguageModel
from sk_ulmfit.modules import AWDLSTM
from tests.helpers import ROUNDING, banking, language_model

TEXTS, LABELS = banking(per_class=10)


@pytest.fixture(scope="module")
def lm():
    return language_model(max_epochs=0).fit(TEXTS)


@pytest.fixture
def documents(lm):
    return lm.transform(TEXTS)


@pytest.fixture
def read():
    """Numbers of documents that went through a network, a batch each."""
    batches = []

    def count(module, args):
        if isinstance(module, AWDLSTM):
            batches.append(args[0].shape[1])

    hook = register_module_forward_pre_hook(count)
    yield batches
    hook.remove()


def test_an_array_is_computed_once(documents, read):
    first = np.asarray(documents)
    n_passes = len(read)
    assert n_passes > 0
    again, wide = np.asarray(documents), np.asarray(documents, dtype=np.float64)
    part = np.asarray(documents[::2])
    assert len(read) == n_passes
    assert np.array_equal(first, again) and np.array_equal(first, wide)
    assert np.array_equal(first[::2], part)
    assert first.dtype == np.float32 and wide.dtype == np.float64
    first[:] = 0  # it is a copy
    assert np.array_equal(np.asarray(documents), again)


def test_a_search_runs_the_network_once_for_all_folds(documents, read):
    expected = np.asarray(documents[:]).shape
    read.clear()
    search = GridSearchCV(LogisticRegression(max_iter=10), {"C": [0.1, 1, 10]}, cv=3)
    search.fit(documents, LABELS)
    assert search.n_features_in_ == expected[1]
    assert not read


def test_parts_compute_what_is_not_known_yet(lm, read):
    documents = lm.transform(TEXTS)
    one, other = documents[:10], documents[5:20]
    half = np.asarray(one)
    seen = sum(read)
    rest = np.asarray(other)
    assert sum(read) - seen < 2 * seen, "five of the fifteen were known"
    assert np.array_equal(half[5:], rest[:5])
    np.testing.assert_allclose(
        lm.transform(TEXTS).features()[:20], np.r_[half[:5], rest], atol=1e-5
    )
    n_passes = len(read)
    assert np.array_equal(np.asarray(other[[1, 1, 0]]), rest[[1, 1, 0]])
    assert len(read) == n_passes


def test_no_array_without_a_copy(documents):
    with pytest.raises(ValueError, match="cannot be had without a copy"):
        documents.__array__(copy=False)
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError, match="cannot be had without a copy"):
            np.asarray(documents, copy=False)
    assert np.array_equal(np.array(documents), documents.__array__(np.float32, copy=True))


def test_shape_and_dimensions_are_those_of_the_array(documents):
    array = np.asarray(documents)
    assert documents.shape == array.shape and documents.ndim == array.ndim == np.ndim(documents)
    with pytest.raises(IndexError, match="by document alone"):
        documents[:, 0]
    with pytest.raises(IndexError, match="by document alone"):
        documents.take([0], axis=1)
    assert np.array_equal(documents.take([2, 0]).features(), array[[2, 0]])
    assert len(documents[3]) == 1 and len(documents[np.arange(len(TEXTS)) > 3]) == len(TEXTS) - 4


def test_a_pickle_holds_no_vectors(documents):
    before = pickle.dumps(documents)
    np.asarray(documents)
    assert pickle.dumps(documents) == before
    part = pickle.loads(pickle.dumps(documents[3:5]))
    np.testing.assert_allclose(part.features(), documents.features()[3:5], atol=ROUNDING)


def test_defaults_are_those_of_the_estimators(lm):
    documents = ULMFiTLanguageModel(FrozenEstimator(lm), max_epochs=0).fit(TEXTS).transform(TEXTS)
    made = type(documents)(documents.tokens, documents.language_model)
    assert made.pooling == documents.pooling == ULMFiTLanguageModel().pooling
    assert made.shape == documents.shape


def test_arrays_are_computed_where_the_estimator_says(lm):
    there = ULMFiTLanguageModel.from_trained(lm.trained_, device="cuda:99")
    documents = there.transform(TEXTS[:3])
    with pytest.raises((RuntimeError, ValueError), match="cuda"):
        np.asarray(documents)
    assert documents.features(torch.device("cpu")).shape == documents.shape


def test_under_array_api_dispatch():
    pytest.importorskip("sklearn", "1.7")
    code = """
import numpy as np, sklearn
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split
from tests.helpers import banking, classifier, language_model
texts, y = banking(2, 8)
documents = language_model(max_epochs=0).fit(texts).transform(texts)
weights = np.ones(len(y))
def everything():
    clf = classifier(max_epochs=1)
    yield cross_val_score(clf, documents, y, cv=2, error_score="raise")
    yield cross_val_score(LogisticRegression(max_iter=5), documents, y, cv=2, error_score="raise")
    train, test, y_train, y_test = train_test_split(documents, y, stratify=y, random_state=0)
    clf.fit(train, y_train, weights[: len(train)])
    yield clf.score(test, y_test), clf.predict_proba(test), clf.predict(documents[weights > 0])
without = list(everything())
with sklearn.config_context(array_api_dispatch=True):
    for one, other in zip(everything(), without):
        for a, b in zip(one, other):
            assert np.array_equal(a, b)
"""
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
