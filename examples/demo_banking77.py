"""TF-IDF, frozen features and the classifier of ULMFiT side by side, on banking77.

banking77 holds 13,083 questions of bank customers, each about one of 77 things. All models are
trained on the same of them, by default on ten about each thing, and asked about the other 3,080.

    python examples/demo_banking77.py            # ten questions a class, half a minute
    python examples/demo_banking77.py --short    # five a class
    python examples/demo_banking77.py --all      # all 10,003: four minutes on two cores
"""

from __future__ import annotations

import argparse
import pickle
import time
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.datasets import load_banking77

# Seconds that the classifier may train for on all questions: fewer epochs than it would choose.
BUDGET = 200

QUESTIONS = ["I think somebody has stolen my card!", "How old do I have to be to sign up?"]


class Texts(NamedTuple):
    """Questions and what they are about."""

    questions: list[str]
    labels: np.ndarray


def read(subset: str, per_class: int | None, seed: int) -> Texts:
    """Questions of a subset; of each class so many, drawn by chance, if not all."""
    bunch = load_banking77(subset=subset)
    labels = np.array([bunch.target_names[i] for i in bunch.target])
    order = np.random.default_rng(seed).permutation(len(labels))
    rows = [row for name in bunch.target_names for row in order[labels[order] == name][:per_class]]
    return Texts([bunch.data[row] for row in rows], labels[rows])


def measure(model: Any, train: Texts, test: Texts) -> tuple[float, float, float, float]:
    """Test error in percent, seconds of fit, texts predicted a second, megabytes of a pickle."""
    start = time.perf_counter()
    model.fit(*train)
    fitted = time.perf_counter()
    predicted = model.predict(test.questions)
    done = time.perf_counter()
    error = 100 * float(np.mean(predicted != test.labels))
    rate = len(test.questions) / (done - fitted)
    return error, fitted - start, rate, len(pickle.dumps(model)) / 1e6


def main() -> None:
    """Train all three and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="five questions a class")
    parser.add_argument("--all", action="store_true", help="all questions")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    per_class = None if options.all else 5 if options.short else 10
    train, test = (
        read("train", per_class, options.seed),
        read("test", None, options.seed),
    )
    print(
        f"banking77: {len(train.labels):,} training and {len(test.labels):,} test texts, "
        f"{len(set(test.labels))} classes\n"
    )
    print(f"{'':35}{'error %':>8}{'fit s':>8}{'texts/s':>9}{'MB':>6}")
    models = {
        "TF-IDF + LogisticRegression": make_pipeline(
            TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)),
            LogisticRegression(C=10, max_iter=1000),
        ),
        "features of en-small + the same": make_pipeline(
            ULMFiTLanguageModel(output="features", random_state=options.seed),
            LogisticRegression(max_iter=1000),
        ),
    }
    budget = BUDGET if options.all else None
    name = f"ULMFiTClassifier({f'time_budget={budget}' if budget else ''})"
    models[name] = ULMFiTClassifier(
        time_budget=budget, random_state=options.seed, verbose=int(options.all)
    )
    for name, model in models.items():
        error, seconds, rate, size = measure(model, train, test)
        print(f"{name:35}{error:8.1f}{seconds:8.1f}{rate:9.0f}{size:6.0f}", flush=True)

    print()
    for question, label in zip(QUESTIONS, model.predict(QUESTIONS), strict=True):
        print(f"{question!r} is about {label}")


if __name__ == "__main__":
    main()
