"""The scripts of the gallery run as they are: without a network, and without a warning of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_version

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
QUICK = {"plot_08_callbacks.py"}  # the others take longer than a test should

# What a script is run by: no connection, and warnings by the place that caused them.
RUN = """
import runpy, socket, sys, warnings

def refuse(self, address):
    raise OSError(f"The network is cut: no connection to {address}.")

socket.socket.connect = refuse
warnings.filterwarnings("error", module=r"sk_ulmfit(\\.|$)")
warnings.filterwarnings("error", module=r"__main__$")
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_there_are_examples():
    numbers = [int(re.match(r"plot_(\d\d)_", path.name)[1]) for path in EXAMPLES]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 12


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(path, id=path.stem, marks=[] if path.name in QUICK else [pytest.mark.slow])
        for path in EXAMPLES
    ],
)
def test_script_runs(script, tmp_path):
    pytest.importorskip("matplotlib")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", RUN, script],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list(tmp_path.iterdir()), "a script leaves nothing behind"
    assert re.search(r"^# %%$", script.read_text("utf-8"), flags=re.MULTILINE)
