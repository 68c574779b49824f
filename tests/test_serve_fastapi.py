"""The example of a service, started on the loopback address and asked by eight clients."""

from __future__ import annotations

import importlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from sk_ulmfit.export import export
from tests.helpers import banking, classifier, language_model

for needed in ("fastapi", "uvicorn", "onnx", "onnxruntime"):
    pytest.importorskip(needed)
pytestmark = [
    pytest.mark.one_version,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM"),
]

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
TEXTS, LABELS = banking(3, 20)


def ask(address, texts):
    """The status and the answer of the service."""
    body = json.dumps({"texts": texts}).encode()
    request = Request(f"{address}/classify", body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def get(address):
    with urlopen(address, timeout=60) as response:
        return json.load(response)


def refusal(address):
    """Status and reason, if the service refuses."""
    try:
        get(address)
    except HTTPError as error:
        return error.code, json.load(error)["detail"]


@pytest.fixture(scope="module")
def clf():
    return classifier(language_model=language_model(max_epochs=0), max_epochs=1).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def folder(clf, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service") / "model"
    export(clf, folder)
    return folder


@pytest.fixture(scope="module")
def bench():
    """The benchmark's way to start a service and to ask it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setenv("SECONDS_TO_LEAVE", "2")
        yield importlib.import_module("_clients")


@pytest.fixture(scope="module")
def service(folder, bench):
    """Address and process of a service that is ready."""
    with bench.service(folder) as (port, process):
        yield f"http://127.0.0.1:{port}", process


def test_eight_clients_get_the_classifiers_answers(clf, service):
    address, _ = service
    expected = clf.predict_proba(TEXTS)
    jobs = [[i % len(TEXTS), (3 * i + 1) % len(TEXTS)][: 1 + i % 2] for i in range(80)]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda rows: ask(address, [TEXTS[r] for r in rows]), jobs))
    for rows, (status, answer) in zip(jobs, answers, strict=True):
        assert status == 200
        assert answer["classes"] == clf.classes_[expected[rows].argmax(axis=1)].tolist()
        found = answer["probabilities"]
        np.testing.assert_allclose(found, expected[rows].max(axis=1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "texts", [[], ["a"] * 101, ["x" * 10_001], [None], "a text"], ids=["0", "101", "long", "1", "2"]
)
def test_what_is_too_much_is_refused(service, texts):
    status, answer = ask(service[0], texts)
    assert status == 422 and answer["detail"]


def test_it_is_alive_and_ready(service):
    assert get(f"{service[0]}/health") == {"status": "ok"}
    assert get(f"{service[0]}/ready") == {"waiting": 0}


def test_what_was_asked_is_answered_before_it_stops(service):
    # (the last test: the service is gone afterwards)
    address, process = service
    texts = [" ".join(TEXTS) + f" {i}" for i in range(100)]
    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(ask, address, texts) for _ in range(4)]
        while get(f"{address}/ready")["waiting"] < 400 and not any(one.done() for one in asked):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        while (stopping := refusal(f"{address}/ready")) is None:
            time.sleep(0.01)
        answered = [one.result() for one in asked]
    assert [status for status, _ in answered] == [200] * 4
    assert all(len(answer["classes"]) == 100 for _, answer in answered)
    assert stopping == (503, "It stops.")
    assert process.wait(30) in (0, -signal.SIGTERM)


def test_clients_that_keep_their_connection_lose_nothing_when_it_stops(folder, bench):
    with bench.service(folder) as (port, process):
        found = bench.load(port, process, TEXTS, n_clients=8, seconds=0.5)
    assert found["requests_per_second"] > 0 and found["unanswered"] == 0
