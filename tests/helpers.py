"""Small estimators and real texts for the tests."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sklearn
import torch
from sklearn.utils.fixes import parse_version
from skorch.callbacks import Callback

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.datasets import load_banking77

# By how much two ways to compute a probability may differ: a GPU rounds products to ten bits.
ON_GPU = torch.cuda.is_available()
ROUNDING = 1e-3 if ON_GPU else 1e-5

SMALL = {"emb_size": 24, "hidden_size": 32, "n_layers": 2}


def language_model(**params) -> ULMFiTLanguageModel:
    """Language model small enough for tests."""
    training = {
        "pretrained": None,
        "pooling": "concat",
        "max_epochs": 2,
        "batch_size": 4,
        "bptt": 20,
        "lr": 0.02,
        "random_state": 0,
    }
    return ULMFiTLanguageModel(**{**SMALL, **training, **params})


def classifier(**params) -> ULMFiTClassifier:
    """Classifier that learns quickly from few texts, which it reads once."""
    training = {"max_epochs": 4, "batch_size": 8, "lr": 0.02, "dropout_mult": 0.3, "r_drop": 0.0}
    own = {"language_model": None, "random_state": 0}
    return ULMFiTClassifier(**{**training, **own, **params})


@cache
def banking(n_classes: int = 3, per_class: int = 30) -> tuple[list[str], np.ndarray]:
    """The first texts of the first classes of banking77, mixed."""
    texts, target = load_banking77(return_X_y=True)
    target = np.asarray(target)
    rows = np.concatenate([np.flatnonzero(target == c)[:per_class] for c in range(n_classes)])
    rows = np.random.default_rng(0).permutation(rows)
    names = np.array(["activate", "age", "apple_pay", "atm", "top_up"])
    return [texts[i] for i in rows], names[target[rows]]


def needs_sklearn(version: str, why: str) -> pytest.MarkDecorator:
    """Skip a test of what scikit-learn itself cannot do before some version."""
    earlier = parse_version(sklearn.__version__) < parse_version(version)
    return pytest.mark.skipif(earlier, reason=f"scikit-learn before {version}: {why}")


class Cut(Exception):
    """What stands for a power cut in this process."""


class CutAfter(Callback):
    """Break a training off after some batches."""

    def __init__(self, n_batches):
        self.n_batches = n_batches

    def initialize(self):
        self.seen_ = 0
        return self

    def on_batch_end(self, net, training=False, **kwargs):
        self.seen_ += training
        if self.seen_ == self.n_batches:
            raise Cut
