"""Compare an exported classifier with the estimator: answers, speed, cold start, size on disk.

    python benchmarks/serving.py --data DATA --models FOLDER

Fitted classifiers are kept in FOLDER, and taken from there if they are: `ULMFiTClassifier` with a
solved head, on all training texts or on a draw of `--labels`. Everything runs with one thread, and
times are those of the processor, so that work beside it counts little; run it on an idle machine
all the same. A row is a line of benchmarks/results/serving.jsonl.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # (read when torch is imported)

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _results
import joblib
import numpy as np
from _baselines import tfidf
from _data import read_split
from _runs import Labelled, draw, environment

from sk_ulmfit import ULMFiTClassifier, load, serving
from sk_ulmfit.export import export

SETS = ("trec6", "sst2", "banking77")
N_IN_BATCHES, N_ALONE, N_COMPARED, N_STARTS = 500, 300, 2000, 5

# From a cold process to the first answer, of what lies in a folder or file.
COLD_START = {
    "estimator": "import sk_ulmfit; sk_ulmfit.load(path).predict([text])",
    "float32": "from sk_ulmfit import serving; serving.load(path).predict([text])",
    "int8": "from sk_ulmfit import serving; serving.load(path).predict([text])",
    "tfidf": "import joblib; joblib.load(path).predict([text])",
}


def fitted(folder: Path, name: str, labels: int | None, train: Labelled) -> ULMFiTClassifier:
    """The classifier of a set, from the folder of those that are kept if it is there."""
    path = folder / f"{name}-{labels or 'all'}"
    if not path.exists():
        clf = ULMFiTClassifier(head_start="solved", max_epochs=0, random_state=0, device="cpu")
        clf.fit(*train).save(path)
    return load(path)


def per_second(predict: Callable[[list[str]], Any], texts: list[str]) -> float:
    """Texts a second of the processor, the median of three passes."""
    predict(texts[:10])
    rates = []
    for _ in range(3):
        start = time.process_time()
        predict(texts)
        rates.append(len(texts) / (time.process_time() - start))
    return round(float(np.median(rates)), 1)


def alone(predict: Callable[[list[str]], Any], texts: list[str]) -> dict[str, float]:
    """Milliseconds of the processor for one text: median and 99th percentile."""
    times = []
    for text in texts:
        start = time.process_time()
        predict([text])
        times.append(1000 * (time.process_time() - start))
    return {
        "one_text_ms": round(float(np.median(times)), 2),
        "one_text_ms_p99": round(float(np.percentile(times, 99)), 2),
    }


def cold_start(form: str, path: Path) -> float:
    """Seconds of the processor from a cold process to the first answer, the median."""
    code = f"path, text = {str(path)!r}, 'Where is my card?'\n{COLD_START[form]}"
    seconds = []
    for _ in range(N_STARTS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return round(float(np.median(seconds)), 2)


def megabytes(path: Path) -> float:
    """Size of a file or folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)


def compare(clf: ULMFiTClassifier, train: Labelled, test: Labelled) -> dict[str, dict[str, Any]]:
    """What every form of a classifier does, by its name."""
    texts, labels = test
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {form: Path(folder) / form for form in COLD_START}
        clf.save(paths["estimator"])
        models = {"estimator": clf}
        for precision in ("float32", "int8"):
            export(clf, paths[precision], precision=precision)
            models[precision] = serving.load(paths[precision])
        models["tfidf"] = tfidf().fit(*train).best_estimator_
        joblib.dump(models["tfidf"], paths["tfidf"])
        expected = clf.predict_proba(texts[:N_COMPARED])
        for form, model in models.items():
            result = {"error": round(100 * float(np.mean(model.predict(texts) != labels)), 2)}
            if form in ("float32", "int8"):
                found = model.predict_proba(texts[:N_COMPARED])
                result["largest_difference"] = float(f"{np.abs(found - expected).max():.1e}")
            result["per_second"] = per_second(model.predict, texts[:N_IN_BATCHES])
            result |= alone(model.predict, texts[:N_ALONE])
            result["cold_start_seconds"] = cold_start(form, paths[form])
            result["megabytes"] = megabytes(paths[form])
            results[form] = result
    return results


def main() -> None:
    """Do the sets that are asked for and are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the data sets")
    parser.add_argument("--models", required=True, type=Path, help="where fitted ones are kept")
    parser.add_argument("--set", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--labels", type=int, help="how many texts to fit on; all if not given")
    options = parser.parse_args()
    for name in options.set:
        if (name, options.labels, "int8") in _results.keys("serving"):
            continue
        train = read_split(options.data, name, "train")
        if options.labels:
            train, _ = draw(train, options.labels, seed=0)
        clf = fitted(options.models, name, options.labels, train)
        test = read_split(options.data, name, "test")
        for form, result in compare(clf, train, test).items():
            run = {"set": name, "labels": options.labels, "form": form, **result}
            _results.write("serving", {**run, **environment()})
            print(run, flush=True)


if __name__ == "__main__":
    main()
