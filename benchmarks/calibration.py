"""Measure what `calibrate=True` does to the probabilities of a classifier.

    python benchmarks/calibration.py --data DIR --set banking77 sst2 --labels 1500

One classifier is trained; its test probabilities are compared with the labels as they are after
temperature scaling, and as they would be without. A run is a line of
benchmarks/results/calibration.jsonl, with the bins of the reliability diagram; one that is there
already is not repeated.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import _results
import numpy as np
from _data import read_split
from _runs import PAPERS, PAPERS_LM, Labelled, draw, environment
from sklearn.metrics import log_loss

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.calibration import expected_calibration_error, top_predictions

N_BINS = 10


def measure_calibration(train: Labelled, test: Labelled, seed: int) -> dict[str, Any]:
    """Fit by the paper's techniques and `calibrate=True`; JSON-able figures before and after."""
    lm = ULMFiTLanguageModel(verbose=1, **PAPERS_LM)
    clf = ULMFiTClassifier(lm, calibrate=True, random_state=seed, verbose=1, **PAPERS).fit(*train)
    documents = clf.language_model_.transform(test[0])
    trained = clf.trained_
    result: dict[str, Any] = {"temperature": round(float(trained.temperature), 4)}
    for name, temperature in (("before", 1.0), ("after", trained.temperature)):
        clf.trained_ = replace(trained, temperature=temperature)
        probabilities = clf.predict_proba(documents)
        confidence, right = top_predictions(test[1], probabilities, clf.classes_)
        ece = expected_calibration_error(test[1], probabilities, classes=clf.classes_)
        result["error"] = round(100 * float(np.mean(~right)), 3)
        result[name] = {
            "ece": round(ece, 4),
            "log_loss": round(float(log_loss(test[1], probabilities, labels=clf.classes_)), 4),
            "bins": reliability(confidence, right),
        }
    return result


def reliability(confidence: np.ndarray, right: np.ndarray) -> list[list[float]]:
    """For each bin with predictions: their mean probability, the share of right ones, how many."""
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    return [
        [
            round(float(confidence[own].mean()), 4),
            round(float(right[own].mean()), 4),
            int(own.sum()),
        ]
        for own in (bins == n for n in range(N_BINS))
        if own.any()
    ]


def main() -> None:
    """Run what is asked for and is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", required=True, nargs="+", dest="sets", help="such as sst2")
    parser.add_argument("--labels", type=int, help="draw so many training texts, by the seed")
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    for seed, name in product(options.seed, options.sets):
        key = (name, options.labels, seed)
        if key in _results.keys("calibration"):
            continue
        train, test = (read_split(options.data, name, split) for split in ("train", "test"))
        if options.labels:
            train, _ = draw(train, options.labels, seed)
        described = {"set": name, "seed": seed, "labels": options.labels}
        result = {**described, **measure_calibration(train, test, seed), **environment()}
        _results.write("calibration", result)
        before, after = (result[side]["ece"] for side in ("before", "after"))
        run_name = _results.called("calibration", key)
        print(f"{run_name}: error {before:.3f} before, {after:.3f} after", flush=True)


if __name__ == "__main__":
    main()
