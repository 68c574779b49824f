"""Time a search over unfreeze schedules and rates of layers.

    python benchmarks/search.py --data DIR

Six candidates in three folds and the refit, on 500 labels of TREC-6: a pipeline whose language
model is fine-tuned once a fold, as the guide has it. The run is a line of
benchmarks/results/search.jsonl.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import _results
from _data import read_split
from _runs import Labelled, draw, environment
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel

GRID = {
    "clf__unfreeze_schedule": ["gradual", "full"],
    "clf__lr_decay": [1.0, 2.6, 4.0],
}


def measure_search(train: Labelled, test: Labelled, seed: int) -> dict[str, Any]:
    """Search, refit and predict; JSON-able figures."""
    with tempfile.TemporaryDirectory() as cache:
        pipe = Pipeline(
            [
                ("lm", ULMFiTLanguageModel(max_epochs=3, random_state=seed)),
                ("clf", ULMFiTClassifier(max_epochs=8, r_drop=0, random_state=seed)),
            ],
            memory=cache,
        )
        search = GridSearchCV(pipe, GRID, cv=3, error_score="raise")
        begin = time.perf_counter()
        search.fit(*train)
        seconds = time.perf_counter() - begin
    results = search.cv_results_
    scores = zip(results["params"], results["mean_test_score"], strict=True)
    return {
        "folds": search.n_splits_,
        "seconds": round(seconds, 1),
        "refit_seconds": round(search.refit_time_, 1),
        "error": round(100 * (1 - float(search.score(*test))), 3),
        "chosen": search.best_params_,
        "candidates": [{**params, "error": round(100 * (1 - mean), 2)} for params, mean in scores],
    }


def main() -> None:
    """Run it, unless it is there already."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", default="trec6", dest="name")
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    key = (options.name, options.labels, options.seed)
    if key in _results.keys("search"):
        return
    train, test = (read_split(options.data, options.name, split) for split in ("train", "test"))
    train, _ = draw(train, options.labels, options.seed)
    described = {"set": options.name, "labels": options.labels, "seed": options.seed}
    result = {**described, **measure_search(train, test, options.seed), **environment()}
    _results.write("search", result)
    print(f"{_results.called('search', key)}: {result['seconds']:.0f} s, {result['error']} %")


if __name__ == "__main__":
    main()
