"""How the error falls with the number of labelled texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.metrics import check_scoring

from .._compat import safe_indexing
from .._random import random_numbers
from ._axes import add_legend, axes_for, import_pyplot, style


@dataclass(kw_only=True, eq=False, repr=False)
class LowShotDisplay:
    """Error of classifiers against the number of texts that they were trained on.

    As figure 3 of the paper. It is recommended to use `from_estimators`.

    Parameters
    ----------
    n_labels : ndarray of shape (n_sizes,)
        Numbers of labelled texts.
    values : dict of str to ndarray of shape (n_sizes, n_draws)
        Error rates or scores by name of the classifier, a column for each draw of the texts.
    value_name : str, default="Test error"
        What the values are, for the axis. An error is drawn in percent.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.
    """

    n_labels: np.ndarray
    values: Mapping[str, np.ndarray]
    value_name: str = "Test error"

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: Any,
        y: Any,
        *,
        n_labels: Sequence[int],
        X_test: Any,
        y_test: Any,
        n_draws: int = 3,
        scoring: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        ax: Any = None,
    ) -> LowShotDisplay:
        """Train classifiers on few and on more labelled texts, and draw their errors.

        In every draw each class gets its share of the texts, one at least where there is room,
        and a larger number of texts contains the smaller ones. All classifiers are trained on the
        same texts.

        Parameters
        ----------
        estimators : dict of str to estimator
            scikit-learn classifiers by the names for the legend. Clones of them are fitted. A
            `ULMFiTClassifier` that may also learn from all texts without labels has a language
            model that was fitted on them, in `sklearn.frozen.FrozenEstimator`.
        X : array-like of str, or EncodedDocuments
            The texts to draw from.
        y : array-like of shape (n_texts,) or (n_texts, n_outputs)
            Their labels. Rows of a multilabel problem are drawn whatever their labels are.
        n_labels : sequence of int
            Numbers of labelled texts, from 2 to the number of texts.
        X_test : array-like of str, or EncodedDocuments
            The texts to test on.
        y_test : array-like of shape (n_test_texts,) or (n_test_texts, n_outputs)
            Their labels.
        n_draws : int, default=3
            How often texts are drawn.
        scoring : str or callable, default=None
            What scikit-learn takes as `scoring`. None: the error rate, one minus the accuracy.
        n_jobs : int or None, default=None
            Number of classifiers to train at the same time.
        random_state : int, RandomState or None, default=None
            Draws the texts. The estimators have their own.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        LowShotDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If a number is not valid, or there are no estimators.
        """
        import_pyplot()  # rather than miss it after hours of training
        sizes = _checked_sizes(n_labels, len(y))
        if not estimators:
            raise ValueError("estimators must hold a classifier at least, by its name.")
        if not isinstance(n_draws, Integral) or n_draws < 1:
            raise ValueError(f"n_draws must be a whole number from 1 up, got {n_draws!r}.")
        orders = _orders(np.asarray(y), n_draws, random_state)
        jobs = [
            (estimator, order[:size])
            for estimator in estimators.values()
            for size in sizes
            for order in orders
        ]
        scores = Parallel(n_jobs=n_jobs)(
            delayed(_score)(
                clone(estimator),
                (safe_indexing(X, rows), safe_indexing(y, rows)),
                (X_test, y_test),
                scoring or "accuracy",
            )
            for estimator, rows in jobs
        )
        table = np.reshape(scores, (len(estimators), len(sizes), n_draws))
        display = cls(
            n_labels=sizes,
            values=dict(zip(estimators, table if scoring else 1.0 - table, strict=True)),
            value_name=_name_of(scoring),
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> LowShotDisplay:
        """Draw mean and standard deviation of the draws over a logarithmic axis of numbers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        LowShotDisplay
        """
        ax = axes_for(ax)
        is_error = self.value_name == "Test error"
        n_draws = 1
        for number, (name, values) in enumerate(self.values.items()):
            values = 100 * values if is_error else values
            n_draws = values.shape[1]
            look, means = style(number), values.mean(axis=1)
            ax.plot(self.n_labels, means, **look, label=name)
            if n_draws > 1:
                spread = values.std(axis=1, ddof=1)
                low, high = means - spread, means + spread
                ax.fill_between(self.n_labels, low, high, color=look["color"], alpha=0.15, lw=0)
        ax.set_xscale("log")
        ax.set_xticks(self.n_labels, [f"{size}" for size in self.n_labels])
        ax.minorticks_off()
        if is_error:
            ax.set_ylim(bottom=0.0)
        ax.set(
            xlabel="Number of labelled texts",
            ylabel="Test error (%)" if is_error else self.value_name,
        )
        ax.grid(alpha=0.3)
        add_legend(ax, title=f"mean ± std of {n_draws} draws" if n_draws > 1 else None)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _checked_sizes(n_labels: Sequence[int], n_texts: int) -> np.ndarray:
    sizes = list(n_labels)
    valid = all(isinstance(size, Integral) and 2 <= size <= n_texts for size in sizes)
    if not sizes or not valid:
        raise ValueError(
            f"n_labels must hold whole numbers from 2 to the number of texts, {n_texts}, got "
            f"{sizes!r}."
        )
    return np.unique(sizes)


def _orders(y: np.ndarray, n_draws: int, random_state: Any) -> list[np.ndarray]:
    """Orders of the texts: the first n of one are a draw of n texts."""
    random = random_numbers(random_state)
    return [_order(y, random) for _ in range(n_draws)]


def _order(y: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Shuffle texts so that in the first n, whatever n is, each class has about its share."""
    shuffled = random.permutation(len(y))
    if y.ndim > 1:
        return shuffled
    _, codes, sizes = np.unique(y[shuffled], return_inverse=True, return_counts=True)
    rank = np.empty(len(y))  # of a text in its class
    for code, size in enumerate(sizes):
        rank[codes == code] = np.arange(size)
    # The k-th of n texts of a class comes when k / n of all texts have; the first ones first.
    place = (rank + random.uniform(size=len(y))) / sizes[codes]
    return shuffled[np.lexsort((place, rank > 0))]


def _score(estimator: Any, train: tuple[Any, Any], test: tuple[Any, Any], scoring: Any) -> float:
    estimator.fit(*train)
    return float(check_scoring(estimator, scoring=scoring)(estimator, *test))


def _name_of(scoring: Any) -> str:
    if scoring is None:
        return "Test error"
    if isinstance(scoring, str):
        return f"Test {scoring}"
    return "Test score"
