"""A service on the loopback address, and clients that ask it as fast as they can."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@contextmanager
def service(model: Path) -> Iterator[tuple[int, subprocess.Popen]]:
    """Port and process of `examples/serve_fastapi.py` with a model, ready to be asked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "serve_fastapi:app", "--log-level", "warning"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--app-dir", str(EXAMPLES)],
        env={**os.environ, "MODEL": str(model), "PYTHONPATH": str(EXAMPLES.parent)},
    )
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port, process
    finally:
        process.kill()
        process.wait()


def load(
    port: int, process: subprocess.Popen, texts: list[str], n_clients: int, seconds: float
) -> dict[str, Any]:
    """Let clients ask for some time, one text at once each; then stop the service while they ask.

    Returns
    -------
    dict
        Requests answered a second, milliseconds of one (median and 99th percentile), and how many
        got no answer, or a wrong one, from the first to when the service has gone.
    """
    bodies = cycle([json.dumps({"texts": [text]}) for text in texts])
    with ThreadPoolExecutor(n_clients) as pool:
        clients = [pool.submit(_client, port, bodies) for _ in range(n_clients)]
        begin = time.perf_counter() + seconds / 5  # (what comes before warms up)
        time.sleep(seconds * 6 / 5)
        end = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        asked = [one for client in clients for one in client.result()]
    process.wait(60)
    times = [1000 * one.seconds for one in asked if begin <= one.done < end]
    return {
        "requests_per_second": round(len(times) / (end - begin)),
        "ms": round(float(np.median(times)), 1),
        "ms_p99": round(float(np.percentile(times, 99)), 1),
        "unanswered": sum(not one.right for one in asked),
    }


class Asked(NamedTuple):
    """A request that was sent."""

    done: float
    seconds: float
    right: bool


def _client(port: int, bodies: Iterator[str]) -> list[Asked]:
    """Ask one question after the other, on one connection, until it is told to go elsewhere."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    asked, told = [], False
    while not told:
        begin = time.perf_counter()
        body = next(bodies)
        try:
            connection.request("POST", "/classify", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            right = response.status == 200 and len(answer["classes"]) == 1
            told = response.will_close
        except (OSError, http.client.HTTPException):
            right, told = False, True
        done = time.perf_counter()
        asked.append(Asked(done, done - begin, right))
    connection.close()
    return asked
