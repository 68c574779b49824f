"""Fitted estimators under threads, in other processes, and for a long time."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from tests.helpers import banking, classifier, language_model
from tests.test_resources import resident

TEXTS, LABELS = banking(3, 30)


@pytest.fixture(scope="module")
def pipe():
    steps = [("lm", language_model(direction="both")), ("clf", classifier(max_epochs=2))]
    return Pipeline(steps).fit(TEXTS, LABELS)


def test_eight_threads_get_the_serial_results(pipe):
    """The first calls too, which build and keep the networks."""
    parts = [TEXTS[i::8] for i in range(8)] * 5
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(pipe.predict_proba, parts))
    for part, found in zip(parts, together, strict=True):
        np.testing.assert_array_equal(found, pipe.predict_proba(part))


def test_threads_may_fit_beside_one_another():
    def fit(seed):
        lm = language_model(random_state=seed, max_epochs=1).fit(TEXTS)
        return lm.trained_.fingerprint

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fit, range(4)))
    assert together == [fit(seed) for seed in range(4)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_get_the_serial_results(pipe, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    expected = pipe.predict_proba(TEXTS)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for found in pool.map(pipe.predict_proba, [TEXTS] * 3, timeout=120):
            np.testing.assert_array_equal(found, expected)


def test_a_thousand_predictions_leave_no_memory_behind(pipe):
    for text in TEXTS * 2:
        pipe.predict([text])
    before = resident()
    for i in range(1000):
        pipe.predict([TEXTS[i % len(TEXTS)]])
    assert resident() - before < 20e6
