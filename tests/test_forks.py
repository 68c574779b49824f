"""Forks of a process in which torch has several threads, in every order of imports and uses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import ROUNDING, banking, classifier, language_model

pytestmark = [
    pytest.mark.one_version,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here"),
]

ROOT = Path(__file__).resolve().parent.parent
TEXTS, LABELS = banking(2, 20)

# What a process may do before it forks; "fork" is the fork, after which the rest runs in the child.
STEPS = {
    "package": "import sk_ulmfit",
    "model": "clf = sk_ulmfit.load(folder)",
    "predict": "clf.predict_proba(texts)",
    "torch": "import torch; torch.set_num_threads(2)",
    "compute": "torch.ones(4_000_000).add_(1).sum(); torch.ones(700, 700) @ torch.ones(700, 700)",
    "fork": "fork()",
}
PROGRAM = """
import os, sys
folder, texts = sys.argv[1], sys.argv[3:]

def fork():
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

{steps}
import numpy as np, sk_ulmfit, torch
np.save(sys.argv[2], sk_ulmfit.load(folder).predict_proba(texts))
print(torch.get_num_threads())
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model that is large enough for two threads, and what it predicts."""
    lm = language_model(emb_size=128, hidden_size=256, max_epochs=1).fit(TEXTS)
    clf = classifier(language_model=None, max_epochs=1).fit(lm.transform(TEXTS), LABELS)
    folder = tmp_path_factory.mktemp("forks") / "model"
    clf.save(folder)
    return folder, clf.predict_proba(TEXTS)


@pytest.mark.parametrize(
    ("order", "n_threads"),
    [
        ("package torch compute fork", 1),
        ("torch compute fork package", 1),
        ("torch compute fork", 1),
        ("torch compute fork fork", 1),
        ("package torch model predict fork", 1),
        ("package torch model fork predict", 1),
        ("package fork torch compute", 2),
        ("fork torch compute package", 2),
        ("fork package torch compute fork", 1),
    ],
)
def test_a_fork_does_not_hang_and_predicts_the_same(saved, tmp_path, order, n_threads):
    folder, expected = saved
    program = PROGRAM.format(steps="\n".join(STEPS[step] for step in order.split()))
    file = tmp_path / "predicted.npy"
    done = subprocess.run(
        [sys.executable, "-c", program, folder, file, *TEXTS],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(file), expected, atol=ROUNDING)
    assert int(done.stdout) == n_threads
