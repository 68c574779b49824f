"""Measure whether predictions hang on the words that `explain` names, and how long it takes.

    python benchmarks/deletion.py --data DIR --set sst2 --labels 1000
    python benchmarks/deletion.py --data DIR --set imdb --labels 400 --texts 40 --training head

A classifier is trained on texts drawn from the training set; of others of it, the words that speak
most for the predicted class are deleted from the text, beside as many random ones. A line a run
goes to benchmarks/results/deletion.jsonl; a run that is there already is not repeated.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from typing import Any

import _results
import numpy as np
import torch
from _data import read_split
from _runs import Labelled, draw, environment, plain_params
from paper import held_out

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, explain
from sk_ulmfit.explanation import Explanation

SHARES = (0.1, 0.2)  # of the words, that are deleted
LENGTHS = (20, 100, 500)  # in words, of the texts whose time is taken
# Enough for predictions that hang on something.
TRAINING: dict[str, dict[str, Any]] = {
    "full": {"max_epochs": 4, "r_drop": 0.0, "unfreeze_schedule": "full"},
    "head": {
        "max_epochs": 15,
        "r_drop": 0.0,
        "unfreeze_schedule": "last",
        "frozen_dropout": False,
    },
}


def without(found: Explanation, order: np.ndarray, share: float) -> str:
    """The text without the first words of an order, at least one."""
    words = found.words()
    text = found.text
    for i in sorted(order[: max(1, round(share * len(words)))], reverse=True):
        if span := words[i].span:
            text = text[: span[0]] + text[span[1] :]
    return text


def measure_deletion(
    clf: ULMFiTClassifier, found: list[Explanation], seed: int
) -> dict[str, dict[str, float]]:
    """How much predictions change, in the mean over texts, by named and by random words."""
    random = np.random.default_rng(seed)
    orders = {
        "named": [np.argsort([-word.attribution for word in one.words()]) for one in found],
        "random": [random.permutation(len(one.words())) for one in found],
    }
    columns = [clf.classes_.tolist().index(one.target) for one in found]
    result: dict[str, dict[str, float]] = {}
    for (name, order), share in product(orders.items(), SHARES):
        texts = [without(one, own, share) for one, own in zip(found, order, strict=True)]
        p = clf.predict_proba(texts)
        own = p[np.arange(len(p)), columns]
        falls = np.array([one.probability for one in found]) - own
        changed = p.argmax(axis=1) != np.array(columns)
        result[f"{name} {share:.0%}"] = {
            "fall": round(float(falls.mean()), 4),
            "changed": round(float(changed.mean()), 4),
        }
    return result


def measure_seconds(clf: ULMFiTClassifier, texts: list[str]) -> dict[str, float]:
    """CPU seconds of one core for a text of each length: the least of three times."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    words = " ".join(texts).split()
    seconds = {}
    for length in LENGTHS:
        parts = [" ".join(words[i * length : (i + 1) * length]) for i in range(4)]
        times = []
        for part in parts:  # the first builds the network
            start = time.process_time()
            explain(clf, [part])
            times.append(time.process_time() - start)
        seconds[str(length)] = round(min(times[1:]), 3)
    torch.set_num_threads(n_threads)
    return seconds


def run(train: Labelled, texts: list[str], seed: int, training: str) -> dict[str, Any]:
    """Fit a classifier, explain its predictions, delete what was named."""
    clf = ULMFiTClassifier(
        ULMFiTLanguageModel(max_epochs=0, random_state=seed),
        random_state=seed,
        verbose=1,
        **TRAINING[training],
    )
    clf.fit(*train)
    found = [one for one in explain(clf, texts) if one.words()]
    return {
        "training": training,
        "n_texts": len(found),
        "n_words": round(float(np.mean([len(one.words()) for one in found])), 1),
        "deleted": measure_deletion(clf, found, seed),
        "error": round(float(np.mean([one.error for one in found])), 4),
        "unexplained": round(float(np.mean([one.unexplained for one in found])), 4),
        "marked": round(float(np.mean([not one.within_tolerance for one in found])), 4),
        "seconds": measure_seconds(clf, texts),
        "params": plain_params(clf),
    }


def main() -> None:
    """Run what is asked for and is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", required=True, nargs="+", dest="sets", help="such as sst2")
    parser.add_argument("--labels", type=int, required=True, help="draw so many training texts")
    parser.add_argument("--texts", type=int, default=200, help="how many others are explained")
    parser.add_argument("--training", choices=TRAINING, default="full", help="all layers, or one")
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    for seed, name in product(options.seed, options.sets):
        key = (name, options.labels, seed)
        if key in _results.keys("deletion"):
            continue
        train, others = held_out(read_split(options.data, name, "train"), options.labels, seed)
        if options.texts < len(others[0]):
            others, _ = draw(others, options.texts, seed)
        described = {"set": name, "labels": options.labels, "seed": seed}
        measured = run(train, others[0], seed, options.training)
        result = {**described, **measured, **environment()}
        _results.write("deletion", result)
        named, by_chance = (result["deleted"][f"{what} 10%"] for what in ("named", "random"))
        print(
            f"{_results.called('deletion', key)}: probabilities fall by {named['fall']:.3f}, "
            f"{by_chance['fall']:.3f} by random words",
            flush=True,
        )


if __name__ == "__main__":
    main()
