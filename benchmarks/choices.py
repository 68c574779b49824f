"""Compare choices of the classifier's parameters, on texts held out of the training set.

    python benchmarks/choices.py --data DIR --set banking77 --seed 0 1 2
    python benchmarks/choices.py --data DIR --set trec6 --labels 500 --choice start no-r-drop

A fifth of the training texts is held out, by the seed; no test split is read. Choices that leave
the language model as it is share one. A run is a line of benchmarks/results/choices.jsonl; one that
is there already is not repeated.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import _results
from _data import read_split
from _runs import PAPERS, PAPERS_LM, Labelled, measure
from paper import held_out
from sklearn.frozen import FrozenEstimator

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel

# What of the defaults was another when the choices were compared.
START: dict[str, Any] = {
    "encoder_start": "language-model",
    "head_start": "random",
    "max_epochs": 15,
}

# What each choice changes there; "lm__" is of the language model.
CHOICES: dict[str, dict[str, Any]] = {
    "start": {},
    "papers": {name: value for name, value in PAPERS.items() if name not in START},
    "no-r-drop": {"r_drop": 0.0},
    "r-drop-3": {"r_drop": 3.0},
    "no-smoothing": {"label_smoothing": 0.0},
    "head-50": {"head_sizes": (50,)},
    "epochs-8": {"max_epochs": 8},
    "epochs-25": {"max_epochs": 25},
    "dropout-0.7": {"dropout_mult": 0.7},
    "dropout-1": {"dropout_mult": 1.0},
    "rate-0.02": {"lr": 0.02},
    "decay-1.6": {"lr_decay": 1.6},
    "batch-32": {"batch_size": 32},
    "lm-epochs-5": {"lm__max_epochs": 5},
    "lm-epochs-30": {"lm__max_epochs": 30},
    "lm-dropout-0.5": {"lm__dropout_mult": 0.5},
}
LM = "lm__"

Tuned = dict[str, ULMFiTLanguageModel]


def fine_tuned(texts: list[str], seed: int, params: dict[str, Any], tuned: Tuned) -> Any:
    """The language model with such parameters, fine-tuned unless `tuned` holds it."""
    key = json.dumps(params)
    if key not in tuned:
        tuned[key] = ULMFiTLanguageModel(random_state=seed, verbose=1, **params).fit(texts)
    return FrozenEstimator(tuned[key])


def run(
    train: Labelled, measured: Labelled, seed: int, choice: str, tuned: Tuned
) -> dict[str, Any]:
    """Train by one choice, and read the texts held out."""
    changed = CHOICES[choice]
    own = {key.removeprefix(LM): v for key, v in changed.items() if key.startswith(LM)}
    of_clf = START | {key: value for key, value in changed.items() if not key.startswith(LM)}
    lm = fine_tuned(train[0], seed, PAPERS_LM | own, tuned)
    clf = ULMFiTClassifier(lm, random_state=seed, verbose=1, **of_clf)
    described = {"choice": choice, "changed": changed, "n_held_out": len(measured[0])}
    return {**described, **measure(clf, train, measured)}


def main() -> None:
    """Run what is asked for and is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", required=True, nargs="+", dest="sets", help="such as trec6")
    parser.add_argument("--labels", type=int, help="draw so many training texts, by the seed")
    parser.add_argument("--choice", nargs="+", choices=CHOICES, default=list(CHOICES))
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    for seed, name in product(options.seed, options.sets):
        texts = read_split(options.data, name, "train")
        train, measured = held_out(texts, options.labels, seed, parts=5)
        tuned: Tuned = {}
        for choice in options.choice:
            key = (name, choice, options.labels, seed)
            if key in _results.keys("choices"):
                continue
            result = run(train, measured, seed, choice, tuned)
            described = {"set": name, "labels": options.labels, "seed": seed}
            _results.write("choices", {**described, **result})
            run_name = _results.called("choices", key)
            print(f"{run_name}: {result['error']:.2f} % of the texts held out", flush=True)


if __name__ == "__main__":
    main()
