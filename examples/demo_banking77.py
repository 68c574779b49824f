"""TF-IDF + LogisticRegression and the ULMFiT Pipeline side by side, on banking77.

banking77 holds 13,083 questions of bank customers, each about one of 77 things. Both models are
trained on the same 10,003 of them and asked about the other 3,080.

    python examples/demo_banking77.py            # all of it, half an hour on two cores
    python examples/demo_banking77.py --short    # 10 of the 77 classes, a minute or two
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.datasets import load_banking77

Texts = tuple[Sequence[str], np.ndarray]


def load(n_classes: int) -> tuple[Texts, Texts, list[str]]:
    """Training and test texts of the first classes, and the names of these."""
    parts = []
    for subset in ("train", "test"):
        bunch = load_banking77(subset=subset)
        rows = np.flatnonzero(bunch.target < n_classes)
        parts.append(([bunch.data[i] for i in rows], bunch.target[rows]))
    return parts[0], parts[1], list(bunch.target_names)


def measure(model: Pipeline, train: Texts, test: Texts) -> tuple[float, float, float]:
    """Test error in percent, seconds of fit, documents predicted a second."""
    start = time.perf_counter()
    model.fit(*train)
    fitted = time.perf_counter()
    predicted = model.predict(test[0])
    done = time.perf_counter()
    return 100 * np.mean(predicted != test[1]), fitted - start, len(test[0]) / (done - fitted)


def main() -> None:
    """Train both and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="10 classes only, fewer epochs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    n_classes = 10 if options.short else 77
    train, test, names = load(n_classes)
    print(f"banking77: {len(train[0])} training and {len(test[0])} test texts, {n_classes} classes")

    tfidf = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)),
        LogisticRegression(C=10, max_iter=1000),
    )
    ulmfit = Pipeline(
        [
            ("lm", ULMFiTLanguageModel(max_epochs=5, random_state=options.seed, verbose=1)),
            ("clf", ULMFiTClassifier(random_state=options.seed, verbose=1)),
        ]
    )
    if options.short:
        ulmfit.set_params(lm__max_epochs=3, clf__max_epochs=8)

    results = {
        "TF-IDF + LogisticRegression": measure(tfidf, train, test),
        "ULMFiT from en-small": measure(ulmfit, train, test),
    }
    print(f"\n{'':30}{'test error %':>14}{'fit seconds':>14}{'predict docs/s':>16}")
    for name, (error, seconds, rate) in results.items():
        print(f"{name:30}{error:14.2f}{seconds:14.1f}{rate:16.0f}")

    questions = ["I think somebody has stolen my card!", "How old do I have to be to sign up?"]
    print()
    for question, label in zip(questions, ulmfit.predict(questions), strict=True):
        print(f"{question!r} is about {names[label]}")


if __name__ == "__main__":
    main()
