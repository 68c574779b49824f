"""Compare an exported classifier with the estimator and with what else one would serve.

    pip install sk-ulmfit[bench,onnx,serve] fastapi uvicorn
    python benchmarks/serving.py --data DATA --models FOLDER --fit    # some minutes, once
    python benchmarks/serving.py --data DATA --models FOLDER          # five, on an idle machine

Measured are answers on the whole test split, texts a second and milliseconds for one text with one
and two threads, seconds from a cold process to the first answer, sizes on disk, and a service under
load. Times are those of a clock: nothing else may run. With `--fit` what is missing in FOLDER is
fitted. A row is a line of benchmarks/results/serving.jsonl, or of
service.jsonl.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # (read when torch is imported)

import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import _clients
import _minilm
import _results
import joblib
import numpy as np
import torch
from _baselines import tfidf
from _data import read_split
from _runs import Labelled, draw, environment

import sk_ulmfit
from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, serving
from sk_ulmfit.export import export

# Labels that the classifier of every set is fitted on, and epochs of its language model and, from a
# solved head, of itself: what takes a minute at most.
FITS = {"trec6": (1000, 2), "sst2": (2000, 0), "banking77": (3080, 0)}

# Texts of these sets, of all lengths, are read by the classifier of the first.
MIXED = ("trec6", "sst2", "banking77", "imdb", "newsgroups20")

N_IN_BATCHES, N_ALONE, N_MIXED, N_STARTS = 500, 200, 400, 3
THREADS = (1, 2)
N_CLIENTS, SECONDS_OF_LOAD = 8, 10

# From a cold process to the first answer, of what lies in a folder or file.
_SERVED = "from sk_ulmfit import serving; serving.load(path).predict([text])"
COLD_START = {
    "estimator": "import sk_ulmfit; sk_ulmfit.load(path).predict([text])",
    "float32": _SERVED,
    "int8": _SERVED,
    "minilm": "from _minilm import Classifier; Classifier(path).predict([text])",
    "tfidf": "import joblib; joblib.load(path).predict([text])",
}
# What has to be installed for it, without what that brings along and is not imported.
_RUNTIME = ("numpy", "onnxruntime", "tokenizers")
_LEARN = ("numpy", "scipy", "joblib", "threadpoolctl", "scikit-learn")
PACKAGES = {
    "estimator": (*_LEARN, "torch", "skorch", "tokenizers", "safetensors", "tqdm", "sk-ulmfit"),
    "float32": (*_RUNTIME, "sk-ulmfit"),
    "int8": (*_RUNTIME, "sk-ulmfit"),
    "minilm": _RUNTIME,
    "tfidf": _LEARN,
}


def fit(folder: Path, name: str, train: Labelled) -> None:
    """Fit what is missing in the folder of a set: all forms of a classifier, by their names."""
    paths = {form: folder / form for form in COLD_START}
    if not paths["estimator"].exists():
        own: dict[str, Any] = {"head_start": "solved", "max_epochs": FITS[name][1]}
        if epochs := own["max_epochs"]:
            own["language_model"] = ULMFiTLanguageModel(max_epochs=epochs, min_freq=1)
        clf = ULMFiTClassifier(**own, random_state=0, device="cpu").fit(*train)
        clf.save(paths["estimator"])
    for precision in ("float32", "int8"):
        if not paths[precision].exists():
            export(sk_ulmfit.load(paths["estimator"]), paths[precision], precision=precision)
    if not paths["minilm"].exists():
        _minilm.export(folder / "incomplete")
        _minilm.add_head(folder / "incomplete", *train)
        (folder / "incomplete").rename(paths["minilm"])
    if not paths["tfidf"].exists():
        model = tfidf().estimator.set_params(tfidf__ngram_range=(1, 2), clf__C=10)
        joblib.dump(model.fit(*train), paths["tfidf"])


def opened(form: str, path: Path, n_threads: int) -> Any:
    """A form of a classifier, which computes with some threads."""
    if form == "estimator":
        torch.set_num_threads(n_threads)
        return sk_ulmfit.load(path)
    if form == "minilm":
        return _minilm.Classifier(path, n_threads)
    return joblib.load(path) if form == "tfidf" else serving.load(path, n_threads=n_threads)


def speed(predict: Callable[[list[str]], Any], texts: list[str]) -> dict[str, float]:
    """Texts a second, the median of three passes; milliseconds for one text."""
    predict(texts[:10])
    passes = []
    for _ in range(3):
        start = time.perf_counter()
        predict(texts[:N_IN_BATCHES])
        passes.append(min(N_IN_BATCHES, len(texts)) / (time.perf_counter() - start))
    times = []
    for text in texts[:N_ALONE]:
        start = time.perf_counter()
        predict([text])
        times.append(1000 * (time.perf_counter() - start))
    return {
        "per_second": round(float(np.median(passes))),
        "ms": round(float(np.median(times)), 2),
        "ms_p99": round(float(np.percentile(times, 99)), 2),
    }


def cold_start(form: str, path: Path) -> float:
    """Seconds from a cold process to the first answer, the median."""
    folder = Path(__file__).parent
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    code += f"path, text = {str(path)!r}, 'Where is my card?'\n{COLD_START[form]}"
    seconds = []
    for _ in range(N_STARTS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        seconds.append(time.perf_counter() - start)
    return round(float(np.median(seconds)), 2)


def megabytes(path: Path) -> float:
    """Size of a file or folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return round(sum(file.stat().st_size for file in files if file.is_file()) / 1e6, 1)


def megabytes_of_packages(form: str) -> int:
    """Size of what has to be installed, without compiled Python."""
    size = 0
    for name in PACKAGES[form]:
        if name == "sk-ulmfit":  # (which may be installed as a link to its source)
            root = Path(sk_ulmfit.__file__).parent
            files = [file for file in root.rglob("*") if file.is_file()]
            if form != "estimator":
                files = [file for file in files if "en-small" not in file.parts]
        else:
            files = [Path(str(file.locate())) for file in distribution(name).files or ()]
        left = [file for file in files if "__pycache__" not in file.parts and file.exists()]
        size += sum(file.stat().st_size for file in left)
    return round(size / 1e6)


def mixed_texts(data: str) -> list[str]:
    """Texts of several sets, of very different lengths, in random order."""
    found: list[str] = []
    for name in MIXED:
        texts, _ = read_split(data, name, "test")
        rows = np.random.default_rng(0).permutation(len(texts))[:N_MIXED]
        found += [texts[i] for i in rows]
    return [found[i] for i in np.random.default_rng(1).permutation(len(found))]


def differences(p: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """The largest difference of a probability, and how many texts have another class."""
    return {
        "n_texts": len(p),
        "largest": float(f"{np.abs(p - expected).max():.1e}"),
        "other_class": int(np.count_nonzero(p.argmax(axis=1) != expected.argmax(axis=1))),
    }


def compare(folder: Path, test: Labelled, mixed: list[str]) -> dict[str, dict[str, Any]]:
    """What every form of a classifier does, by its name."""
    texts, labels = test
    paths = {form: folder / form for form in COLD_START}
    models = {form: opened(form, path, 1) for form, path in paths.items()}
    expected = models["estimator"].predict_proba(texts)
    of_mixed = models["estimator"].predict_proba(mixed) if mixed else None
    results: dict[str, dict[str, Any]] = {}
    for form, model in models.items():
        result = results[form] = {}
        if form in ("float32", "int8"):
            result["difference"] = differences(model.predict_proba(texts), expected)
            if mixed:
                result["mixed"] = differences(model.predict_proba(mixed), of_mixed)
                result["mixed"]["longest"] = int(model._encode(mixed).lengths.max())
        predicted = model.predict(texts)
        result["error"] = round(100 * float(np.mean(predicted != np.array(labels))), 2)
    del models, model
    for form, path in paths.items():
        for n in THREADS:
            if n == 1 or form != "tfidf":
                results[form][f"threads_{n}"] = speed(opened(form, path, n).predict, texts)
        results[form]["cold_start_seconds"] = cold_start(form, path)
        results[form]["megabytes"] = megabytes(path)
        results[form]["megabytes_of_packages"] = megabytes_of_packages(form)
    return results


def serve(folder: Path, texts: list[str]) -> None:
    """Ask a service that holds a classifier, and stop it."""
    for form in ("float32", "int8"):
        with _clients.service(folder / form) as (port, process):
            result = _clients.load(port, process, texts, N_CLIENTS, SECONDS_OF_LOAD)
        run = {"form": form, "clients": N_CLIENTS, **result}
        print(run, flush=True)
        _results.write("service", {**run, **environment()})


def main() -> None:
    """Fit, or measure the sets that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the data sets")
    parser.add_argument("--models", required=True, type=Path, help="where fitted ones are kept")
    parser.add_argument("--set", nargs="+", choices=FITS, default=list(FITS))
    parser.add_argument("--fit", action="store_true", help="fit what is missing")
    options = parser.parse_args()
    first = next(iter(FITS))
    for name in options.set:
        (n_labels, epochs), folder = FITS[name], options.models / name
        if options.fit:
            train, _ = draw(read_split(options.data, name, "train"), n_labels, seed=0)
            fit(folder, name, train)
            continue
        test = read_split(options.data, name, "test")
        mixed = mixed_texts(options.data) if name == first else []
        for form, result in compare(folder, test, mixed).items():
            run = {"set": name, "labels": n_labels, "epochs": epochs, "form": form, **result}
            print(run, flush=True)
            _results.write("serving", {**run, **environment()})
        if name == first:
            serve(folder, test[0])


if __name__ == "__main__":
    main()
