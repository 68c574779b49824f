"""Fitted estimators under threads, in other processes, and for a long time."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from sk_ulmfit import explain
from tests.helpers import ON_GPU, ROUNDING, banking, classifier, language_model
from tests.test_resources import ROOT, resident

pytestmark = pytest.mark.one_version

TEXTS, LABELS = banking(3, 30)


def run_python(program: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr


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


def test_eight_threads_may_ask_one_object_different_things(pipe):
    """Explanations read other texts than those given, in one call."""
    lm, clf = pipe["lm"], pipe["clf"]
    questions = [
        lambda: pipe.predict_proba(TEXTS[:30]),
        lambda: lm.transform(TEXTS[:30]).features(),
        lambda: lm.perplexity(TEXTS[:30]),
        lambda: [found.attributions for found in explain(pipe, TEXTS[:2])],
        lambda: lm.generate("How", max_tokens=5, random_state=0),
        lambda: clf.predict(TEXTS[30:40]),
        lambda: joblib.hash(pipe),
    ]
    # Of a copy that has not built its networks yet.
    expected = [joblib.hash(ask()) for ask in questions]
    fresh = pickle.loads(pickle.dumps(pipe))
    pipe = fresh
    lm, clf = pipe["lm"], pipe["clf"]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda ask: joblib.hash(ask()), questions * 5))
    assert found == expected * 5


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
            # (a process that was forked from one that uses a GPU takes the CPU)
            np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING if ON_GPU else 0)


FORKED = """
import multiprocessing, sys
import numpy as np, torch
from tests.helpers import ROUNDING, banking, classifier, language_model

texts, y = banking(2, 20)
torch.set_num_threads(2)
lm = language_model(emb_size=128, hidden_size=256, max_epochs=1).fit(texts)
clf = classifier(language_model=None, max_epochs=1).fit(lm.transform(texts), y)
expected = clf.predict_proba(texts)  # OpenMP has started its threads by now

def work(results):
    results.put([clf.predict_proba(texts), clf.partial_fit(texts, y).n_epochs_])

context = multiprocessing.get_context("fork")
results = context.Queue()
process = context.Process(target=work, args=(results,), daemon=True)
process.start()
found, n_epochs = results.get(timeout=60)
np.testing.assert_allclose(found, expected, atol=ROUNDING)
assert n_epochs == 2 and torch.get_num_threads() == 2
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_fork_of_a_process_with_several_threads_does_not_hang():
    run_python(FORKED)


def test_a_thousand_predictions_leave_no_memory_behind(pipe):
    for text in TEXTS * 2:
        pipe.predict([text])
    before = resident()
    for i in range(1000):
        pipe.predict([TEXTS[i % len(TEXTS)]])
    assert resident() - before < 20e6


VARIED = """
import json
import numpy as np
from tests.helpers import banking, classifier, language_model
from tests.test_resources import resident

texts, y = banking(3, 10)
lm = language_model(max_epochs=1).fit(texts)
clf = classifier(max_epochs=1).fit(lm.transform(texts), y)
words, random = " ".join(texts).split(), np.random.default_rng(0)

def predict(n):
    for _ in range(n):
        sizes = random.integers(1, 200, size=random.integers(1, 20))
        clf.predict([" ".join(random.choice(words, size)) for size in sizes])

predict(30)
before = resident()
predict(300)
assert resident() - before < 20e6, resident() - before
"""


def test_predictions_of_many_shapes_leave_nothing_but_compiled_kernels():
    """oneDNN keeps those of the last thousand shapes, unless it is told to keep none."""
    run_python(VARIED, ONEDNN_PRIMITIVE_CACHE_CAPACITY="0")
