"""A run of a benchmark: fit a model, measure it, describe what was done and where."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from sk_ulmfit import ULMFiTClassifier

# Parameters of a classifier that is trained by the paper's techniques alone, for as long as what it
# is compared with.
PAPERS: dict[str, Any] = {
    "encoder_start": "language-model",
    "head_start": "random",
    "max_epochs": 15,
    "r_drop": 0.0,
    "label_smoothing": 0.0,
    "head_sizes": (50,),
}

# Those of its language model, however few texts there are.
PAPERS_LM: dict[str, Any] = {"max_epochs": 15, "min_freq": 2}

# Texts and their labels.
Labelled = tuple[list[str], list[str]]


def draw(data: Labelled, n: int, seed: int) -> tuple[Labelled, Labelled]:
    """Draw `n` labelled texts, each class with about its share, at least one; and the others."""
    texts, labels = data
    rows, others = train_test_split(
        np.arange(len(labels)), train_size=n, stratify=labels, random_state=seed
    )
    drawn, left = (
        ([texts[i] for i in part], [labels[i] for i in part])
        for part in (np.sort(rows), np.sort(others))
    )
    return drawn, left


def measure(
    model: Any, train: Labelled, test: Labelled, *, perplexity: bool = False
) -> dict[str, Any]:
    """Fit `model`, read `test` once, and describe both.

    Parameters
    ----------
    model : estimator
    train, test : (texts, labels)
    perplexity : bool, default=False
        Measure that of `test` too, for our own models.

    Returns
    -------
    dict
        JSON-able: the error in percent, times, and for our own models losses and parameters.
    """
    start = time.perf_counter()
    model.fit(*train)
    fitted = time.perf_counter()
    predicted = model.predict(test[0])
    done = time.perf_counter()
    result: dict[str, Any] = {
        "n_train": len(train[0]),
        "n_test": len(test[0]),
        "error": round(100 * float(np.mean(predicted != np.array(test[1]))), 3),
        "fit_seconds": round(fitted - start, 1),
        "predict_per_second": round(len(test[0]) / (done - fitted), 1),
    }
    if isinstance(model, ULMFiTClassifier):
        parts = {"lm": model.language_model_, "clf": model}
    elif isinstance(model, Pipeline) and "clf" in model.named_steps:
        parts = {"lm": model["lm"], "clf": model["clf"]}
    else:
        params = getattr(model, "best_params_", {})
        result["params"] = {key: str(value) for key, value in params.items()}
        return {**result, **environment()}
    result["losses"] = {
        step: [
            [epoch["direction"], epoch["epoch"], round(float(epoch["train_loss"]), 4)]
            for epoch in estimator.history_
        ]
        for step, estimator in parts.items()
    }
    if perplexity:
        result["test_perplexity"] = round(parts["lm"].perplexity(test[0]), 2)
    result["params"] = {step: plain_params(estimator) for step, estimator in parts.items()}
    return {**result, **environment()}


def plain_params(estimator: Any) -> dict[str, Any]:
    """Parameters of an estimator that JSON can hold."""
    kinds = (int, float, str, bool, type(None), list, tuple)
    params = estimator.get_params(deep=False)
    return {key: value for key, value in params.items() if isinstance(value, kinds)}


def environment() -> dict[str, Any]:
    """Versions and machine."""
    packages = ("sk-ulmfit", "torch", "scikit-learn", "skorch", "tokenizers")
    return {
        "versions": {package: version(package) for package in packages},
        "machine": {
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }
