"""Memory and threads: what a long-lived process and a busy machine need."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_version

ROOT = Path(__file__).parent.parent


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def run_in_a_process(program: str):
    """What a program prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


MANY_FITS = """
import json
from tests.helpers import banking, classifier, language_model
from tests.test_resources import resident
from sklearn.pipeline import Pipeline

texts, y = banking(3, 10)
sizes = []
for seed in range(20):
    lm = language_model(random_state=seed, emb_size=64, hidden_size=200, max_epochs=1)
    clf = classifier(random_state=seed, max_epochs=2)
    pipe = Pipeline([("lm", lm), ("clf", clf)]).fit(texts, y)
    pipe.predict(texts)
    sizes.append(resident())
print(json.dumps(sizes))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_twenty_fits_take_the_memory_of_three():
    sizes = run_in_a_process(MANY_FITS)
    assert sizes[-1] < 1.1 * sizes[2], sizes


THREADS = """
import joblib, json, torch
from tests.helpers import banking, classifier, language_model

def threads_of_a_fit(seed):
    texts, y = banking()
    lm = language_model(random_state=seed, max_epochs=1).fit(texts)
    classifier(random_state=seed, max_epochs=1).fit(lm.transform(texts), y)
    return torch.get_num_threads()

workers = joblib.Parallel(n_jobs=2)(joblib.delayed(threads_of_a_fit)(i) for i in range(4))
print(json.dumps({"workers": workers, "alone": threads_of_a_fit(0), "cores": joblib.cpu_count()}))
"""


def test_workers_do_not_take_more_threads_than_there_are_cores():
    # Without the limits that conftest.py, and Dask in other tests, set.
    environment = {
        name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")
    }
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    threads = json.loads(done.stdout)
    assert max(threads["workers"]) * 2 <= max(2, threads["cores"])
    assert threads["alone"] > 1 or threads["cores"] == 1, "alone, a fit takes all cores"


MANY_BATCHES = """
import json, torch
from sk_ulmfit.modules import LanguageModelOutput
from sk_ulmfit.training.devices import mixed_precision
from sk_ulmfit.training.sampled_softmax import sampled_next_token_loss
from tests.test_resources import resident

weight = torch.zeros(30_000, 64, requires_grad=True)
bias = torch.zeros(30_000, requires_grad=True)
random = torch.Generator().manual_seed(0)
sizes = []
for batch in range(90):
    hidden = torch.zeros(35, 64, 64, requires_grad=True)
    targets = torch.randint(30_000, (35, 64), generator=random)
    with mixed_precision(torch.device("cpu"), True):
        output = LanguageModelOutput(hidden, hidden, weight, bias, [])
        loss = sampled_next_token_loss(output, targets, 4096, random)
    loss.backward()
    sizes.append(resident())
print(json.dumps(sizes))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_a_long_training_with_a_sampled_softmax_takes_the_memory_of_a_short_one():
    # The number of different words drawn varies; oneDNN keeps code for every size it has seen.
    sizes = run_in_a_process(MANY_BATCHES)
    # Peaks, as large tensors come and go. (Of code for every size it would be 200 MB.)
    assert max(sizes[60:]) - max(sizes[:30]) < 100_000_000, sizes
