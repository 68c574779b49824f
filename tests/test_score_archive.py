"""The example that scores an archive: in processes, on a cluster, and after it was stopped."""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sk_ulmfit import serving
from sk_ulmfit.export import export
from tests.helpers import banking, classifier, language_model

for needed in ("onnx", "onnxruntime"):
    pytest.importorskip(needed)
# (one that is there may not suit an older numpy)
pq = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
pytestmark = pytest.mark.one_version

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TEXTS, LABELS = banking(3, 20)
N_FILES = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "model"
    lm = language_model(max_epochs=0)
    export(classifier(language_model=lm, max_epochs=0).fit(TEXTS, LABELS), folder)
    return folder


def write_archive(folder: Path, n_texts: int) -> list[str]:
    """Files of numbered texts, all different; gives the texts."""
    import pyarrow as pa

    folder.mkdir()
    texts = [f"{TEXTS[i % len(TEXTS)]} {i}" for i in range(n_texts)]
    for n, rows in enumerate(np.array_split(np.arange(n_texts), N_FILES)):
        part = {"id": rows, "other": rows * 2, "text": [texts[i] for i in rows]}
        pq.write_table(pa.table(part), folder / f"part-{n}.parquet")
    return texts


def check(scored: Path, texts: list[str], model: Path) -> None:
    """What is in the files is what one process says of all texts."""
    assert sorted(file.name for file in scored.iterdir()) == [
        f"part-{n}.parquet" for n in range(N_FILES)
    ]
    found = pq.read_table(scored).to_pydict()
    assert found.keys() == {"id", "class", "probability"} and found["id"] == list(range(len(texts)))
    p = serving.load(model).predict_proba(texts)
    assert found["class"] == serving.load(model).classes_[p.argmax(axis=1)].tolist()
    np.testing.assert_allclose(found["probability"], p.max(axis=1), rtol=0, atol=1e-6)


def test_in_processes_and_again_where_it_was_stopped(model, tmp_path):
    texts = write_archive(tmp_path / "archive", 200)
    scored = tmp_path / "scored"
    command = [sys.executable, str(EXAMPLES / "score_archive.py"), model, tmp_path / "archive"]
    command += [scored, "--keep", "id", "--processes", "2"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.endswith("200 texts\n")
    check(scored, texts, model)
    (scored / "part-2.parquet").unlink()
    kept = (scored / "part-1.parquet").stat().st_mtime_ns
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said == "50 texts\n"
    assert (scored / "part-1.parquet").stat().st_mtime_ns == kept
    check(scored, texts, model)


@pytest.mark.parametrize(
    "n_texts", [400, pytest.param(200_000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_on_a_cluster(model, tmp_path, monkeypatch, n_texts):
    distributed = pytest.importorskip("distributed")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("PYTHONPATH", f"{EXAMPLES}:{EXAMPLES.parent}")  # of the workers
    script = importlib.import_module("score_archive")
    texts = write_archive(tmp_path / "archive", n_texts)
    score = partial(script.score_file, model=str(model), keep=("id",))
    files = script.jobs(tmp_path / "archive", tmp_path / "scored")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert sum(script.on_cluster(score, files, client)) == n_texts
    check(tmp_path / "scored", texts, model)
