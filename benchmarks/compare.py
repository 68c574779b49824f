"""Train one model on one data set, read its test split once, and write down what came out.

    python benchmarks/compare.py --data DIR --set trec6 --model ulmfit --seed 0
    python benchmarks/compare.py --data DIR --set sst2 --model tfidf en-small --labels 100

`DIR` holds a folder for each data set, with train.csv.xz and test.csv.xz (columns label, text).
Results go to benchmarks/results/, one JSON file a run; a run that is there already is not
repeated. `benchmarks/report.py` makes the tables of docs/results.md of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _data import read_split
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel

RESULTS = Path(__file__).parent / "results"


def tfidf(seed: int) -> Any:
    """TF-IDF + LogisticRegression, tuned by cross-validation on the training texts."""
    pipe = Pipeline(
        [
            ("tfidf", TfidfVectorizer(sublinear_tf=True)),
            ("clf", LogisticRegression(max_iter=2000)),
        ]
    )
    grid = {"tfidf__ngram_range": [(1, 1), (1, 2)], "clf__C": [1, 10]}
    return GridSearchCV(pipe, grid, cv=3)


def ulmfit(seed: int, direction: str = "forward") -> Pipeline:
    """All three stages on the training texts alone, with the package's defaults."""
    lm = ULMFiTLanguageModel(pretrained=None, direction=direction, random_state=seed, verbose=1)
    return Pipeline([("lm", lm), ("clf", ULMFiTClassifier(random_state=seed, verbose=1))])


def pretrained(seed: int) -> ULMFiTClassifier:
    """The shipped language model, with the package's defaults."""
    return ULMFiTClassifier(random_state=seed, verbose=1)


def pretrained_both(seed: int) -> ULMFiTClassifier:
    """The same in both directions."""
    lm = ULMFiTLanguageModel(direction="both", verbose=1)
    return ULMFiTClassifier(lm, random_state=seed, verbose=1)


MODELS = {
    "tfidf": tfidf,
    "ulmfit": ulmfit,
    "ulmfit-both": lambda seed: ulmfit(seed, "both"),
    "en-small": pretrained,
    "en-small-both": pretrained_both,
}


def few(labels: list[str], n_labels: int, seed: int) -> np.ndarray:
    """Draw rows: `n_labels` in all, each class with about its share, at least one."""
    every = np.arange(len(labels))
    rows, _ = train_test_split(every, train_size=n_labels, stratify=labels, random_state=seed)
    return np.sort(rows)


def run(
    data: Path, name: str, model_name: str, seed: int, n_labels: int | None = None
) -> dict[str, Any]:
    """Fit, predict the test split, and describe both."""
    train, test = read_split(data, name, "train"), read_split(data, name, "test")
    if n_labels is not None:
        rows = few(train[1], n_labels, seed)
        train = [train[0][i] for i in rows], [train[1][i] for i in rows]
    model = MODELS[model_name](seed)
    start = time.perf_counter()
    model.fit(*train)
    fitted = time.perf_counter()
    predicted = model.predict(test[0])
    done = time.perf_counter()
    result: dict[str, Any] = {
        "set": name,
        "model": model_name,
        "seed": seed,
        "labels": n_labels,
        "n_train": len(train[0]),
        "n_test": len(test[0]),
        "error": round(100 * float(np.mean(predicted != np.array(test[1]))), 3),
        "fit_seconds": round(fitted - start, 1),
        "predict_per_second": round(len(test[0]) / (done - fitted), 1),
    }
    if isinstance(model, (Pipeline, ULMFiTClassifier)):
        lone = isinstance(model, ULMFiTClassifier)
        lm, clf = (model.language_model_, model) if lone else (model["lm"], model["clf"])
        result["losses"] = {
            step: [
                [epoch["direction"], epoch["epoch"], round(float(epoch["train_loss"]), 4)]
                for epoch in estimator.history_
            ]
            for step, estimator in (("lm", lm), ("clf", clf))
        }
        result["test_perplexity"] = round(lm.perplexity(test[0]), 2)
        result["params"] = {
            step: {
                key: value
                for key, value in estimator.get_params(deep=False).items()
                if isinstance(value, (int, float, str, bool, type(None), list, tuple))
            }
            for step, estimator in (("lm", lm), ("clf", clf))
        }
    else:
        result["params"] = {key: str(value) for key, value in model.best_params_.items()}
    packages = ("sk-ulmfit", "torch", "scikit-learn", "skorch", "tokenizers")
    result["versions"] = {package: version(package) for package in packages}
    result["machine"] = {
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    return result


def main() -> None:
    """Run what is asked for, unless its result is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", required=True, nargs="+", dest="sets", help="such as trec6")
    parser.add_argument("--model", required=True, nargs="+", choices=sorted(MODELS))
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--labels", type=int, help="draw so many training texts, by the seed")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in options.sets:
        for model_name in options.model:
            for seed in options.seed:
                drawn = f"-{options.labels}labels" if options.labels else ""
                file = RESULTS / f"compare-{name}-{model_name}{drawn}-{seed}.json"
                if file.exists():
                    print(f"{file.name} is there already")
                    continue
                result = run(options.data, name, model_name, seed, options.labels)
                file.write_text(json.dumps(result, indent=1) + "\n")
                print(f"{file.name}: test error {result['error']:.2f} %")


if __name__ == "__main__":
    main()
