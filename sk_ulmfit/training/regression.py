"""Regularised regression on blocks of features, each of which counts as much as it is worth.

A block is a matrix with a row a text, of about unit length: what a text means, say, or which words
it has. Rows enter by their inner products alone, summed over the blocks by a share each, so that
shares and strength can be tried at the cost of a small matrix however many features there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

# Inverse strengths of the penalty that are compared, as C of LogisticRegression: a larger one fits
# closer.
STRENGTHS = (0.25, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)

# Shares and strength are chosen on this many texts at most.
_MOST_COMPARED = 700

# More texts than this are not solved by inner products: the coefficients themselves are fewer.
_MOST_BY_PRODUCTS = 2000

# Shares are changed by this factor, as strengths are, and in all by it this many times at most.
_STEP, _MOST_STEPS = 4.0, 6

# What unequal shares have to gain, for every step of their standard deviation: on few texts
# differences of the loss are chance.
_COST_OF_UNEQUAL_SHARES = 0.03

# Up to how many texts there are five folds, three of more.
_FEW = 250

# The penalty on intercepts, as a share of that on coefficients: without any, the one of a class
# that no text has would fall without end.
_INTERCEPT_PENALTY = 1e-2

Blocks = Mapping[str, Any]


@dataclass(frozen=True)
class Solution:
    """Solution of a regression on blocks of features.

    Parameters
    ----------
    coef : dict of str to ndarray of shape (n_outputs, n_features)
        Of every block.
    intercept : ndarray of shape (n_outputs,)
    strength : float
        What the cross-validation chose.
    shares : dict of str to float
        How much every block counts, of geometric mean 1.
    loss : float
        Cross entropy on texts held out by the cross-validation, NaN where there was none.
    """

    coef: dict[str, np.ndarray]
    intercept: np.ndarray
    strength: float
    shares: dict[str, float]
    loss: float


def solve(
    blocks: Blocks, targets: np.ndarray, weights: np.ndarray, n_outputs: int, seed: int
) -> Solution:
    """Fit a multinomial or, of rows of targets, a binary regression for every output.

    Parameters
    ----------
    blocks : dict of str to ndarray or csr_array of shape (n, n_features)
        Rows have about unit length.
    targets : ndarray of shape (n,) or (n, n_outputs)
        Class numbers, or 0/1 rows of a multilabel problem.
    weights : ndarray of shape (n,)
    n_outputs : int
    seed : int
        Of the texts that are compared, and the folds.
    """
    n = len(weights)
    # (no text has any of its features: it says nothing)
    blocks = {name: block for name, block in blocks.items() if block.shape[1]}
    regression = Regression.of_targets(targets, weights, n_outputs)
    some = np.sort(np.random.default_rng(seed).permutation(n)[:_MOST_COMPARED])
    compared = regression.of(some)
    products = [_products(block[some]) for block in blocks.values()]
    # Threads that share products of small matrices wait for one another most of the time.
    with threadpool_limits(1, user_api="blas"):
        shares, strength, loss = choose(products, compared, seed)
    if n <= _MOST_BY_PRODUCTS:
        if n > len(some):
            products = [_products(block) for block in blocks.values()]
        coordinates, back = _coordinates(_weighted_sum(shares, products))
        theta, intercept = regression.solve([coordinates], strength)
        dual = back @ theta
        coef = [share * (b.T @ dual) for share, b in zip(shares, blocks.values(), strict=True)]
    else:
        roots = np.sqrt(shares).astype(np.float32)
        scaled = [block * root for root, block in zip(roots, blocks.values(), strict=True)]
        theta, intercept = regression.solve(scaled, strength)
        parts = np.split(theta, np.cumsum([block.shape[1] for block in scaled])[:-1])
        coef = [part * root for root, part in zip(roots, parts, strict=True)]
    # (told so that the shares' geometric mean is 1)
    scale = float(np.exp(np.log(shares).mean()))
    return Solution(
        {name: np.asarray(c.T, np.float32) for name, c in zip(blocks, coef, strict=True)},
        np.asarray(intercept, np.float32),
        strength * scale,
        {name: float(share / scale) for name, share in zip(blocks, shares, strict=True)},
        loss,
    )


def choose(
    products: Sequence[np.ndarray], regression: Regression, seed: int
) -> tuple[np.ndarray, float, float]:
    """Choose what every block counts, and the strength, by what predicts texts left out best.

    Parameters
    ----------
    products : sequence of ndarray of shape (n, n)
        Inner products of the rows of every block.
    regression : Regression
    seed : int
        Of the folds.

    Returns
    -------
    shares : ndarray of shape (n_blocks,)
    strength : float
        Beside these shares: twice the shares and half of the strength are as good.
    loss : float
        On the texts left out, NaN if there is none whose class others have.
    """
    n_blocks, middle = len(products), len(STRENGTHS) // 2
    splits = _splits(regression, 5 if len(regression.weights) <= _FEW else 3, seed)
    total = sum(regression.weights[out].sum() for _, out in splits)
    if not total:
        return np.ones(n_blocks), STRENGTHS[middle], np.nan

    @cache
    def loss(place: tuple[int, ...]) -> float:
        *logs, n_strength = place
        summed = _weighted_sum(_STEP ** np.array(logs), products)
        losses = (
            _loss_left_out(summed, regression, rest, out, STRENGTHS[n_strength])
            for rest, out in splits
        )
        return float(sum(losses) / total)

    def cost(place: tuple[int, ...]) -> float:
        return loss(place) + _COST_OF_UNEQUAL_SHARES * float(np.std(place[:-1]))

    def is_within(place: tuple[int, ...]) -> bool:
        *logs, n_strength = place
        return 0 <= n_strength < len(STRENGTHS) and max(map(abs, logs)) <= _MOST_STEPS

    # Downhill from equal shares, along one of them or the strength at a time.
    best = (*(0,) * n_blocks, middle)
    while True:
        before = best
        for i in reversed(range(n_blocks + 1) if n_blocks > 1 else [1]):
            near = ((*best[:i], best[i] + step, *best[i + 1 :]) for step in (-1, 1))
            best = min([best, *filter(is_within, near)], key=cost)
        if best == before:
            return _STEP ** np.array(best[:-1]), STRENGTHS[best[-1]], loss(best)


def _splits(regression: Regression, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of texts that are fitted, and of others that these are judged by, for every fold.

    A text whose class no other has judges nothing: the best that can be said of it is that it is
    unlike all others.
    """
    n_folds = min(n_folds, len(regression.weights))
    fold = balanced_folds(regression.one_hot, n_folds, seed)
    splits = []
    for i in range(n_folds):
        rest, out = np.flatnonzero(fold != i), np.flatnonzero(fold == i)
        if not regression.multilabel:
            known = regression.one_hot[rest].sum(axis=0) > 0
            out = out[known[regression.one_hot[out].argmax(axis=1)]]
        if len(rest) and len(out):
            splits.append((rest, out))
    return splits


def balanced_folds(targets: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Number of the fold of every text: in each, classes (or sets of labels) are as frequent.

    Parameters
    ----------
    targets : ndarray of shape (n,) or (n, n_outputs)
    n_folds : int
    seed : int
    """
    n = len(targets)
    _, kind = np.unique(targets, axis=0, return_inverse=True)
    fold = np.empty(n, dtype=int)
    fold[np.lexsort((np.random.default_rng(seed).random(n), kind.ravel()))] = np.arange(n) % n_folds
    return fold


def _loss_left_out(
    products: np.ndarray, regression: Regression, rest: np.ndarray, out: np.ndarray, strength: float
) -> float:
    """Summed loss on texts left out of a regression on the rest."""
    coordinates, back = _coordinates(products[np.ix_(rest, rest)])
    theta, intercept = regression.of(rest).solve([coordinates], strength, tolerance=1e-4)
    test = regression.of(out)
    logits = products[np.ix_(out, rest)] @ (back @ theta) + intercept
    return float(test.losses(logits)[0] @ test.weights)


def _products(block: Any) -> np.ndarray:
    # (sums of float32 would not be positive definite)
    block = block.astype(np.float64)
    found = block @ block.T
    return found if isinstance(found, np.ndarray) else found.toarray()


def _weighted_sum(shares: np.ndarray, products: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(sum(s * one for s, one in zip(shares, products, strict=True)))


def _coordinates(products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of rows that have these inner products, and what turns new rows to them.

    Returns
    -------
    coordinates : ndarray of shape (n, n)
    back : ndarray of shape (n, n)
        ``products_with_new @ back`` are the coordinates of new rows.
    """
    n = len(products)
    # (a little more than zero, where rows are equal or zero)
    lower = np.linalg.cholesky(products + np.eye(n) * (1e-6 * max(products.trace() / n, 1e-6)))
    return lower, solve_triangular(lower, np.eye(n), lower=True).T


@dataclass(frozen=True)
class Regression:
    """Targets and weights of a regression with a squared penalty on its coefficients.

    Parameters
    ----------
    one_hot : ndarray of shape (n, n_outputs)
    weights : ndarray of shape (n,)
    multilabel : bool
    """

    one_hot: np.ndarray
    weights: np.ndarray
    multilabel: bool

    @classmethod
    def of_targets(cls, targets: np.ndarray, weights: np.ndarray, n_outputs: int) -> Regression:
        multilabel = targets.ndim == 2
        one_hot = targets if multilabel else np.eye(n_outputs)[targets]
        return cls(one_hot.astype(np.float64), weights, multilabel)

    def of(self, rows: np.ndarray) -> Regression:
        return Regression(self.one_hot[rows], self.weights[rows], self.multilabel)

    def losses(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cross entropy of every row, and its slopes in the logits."""
        if self.multilabel:
            each = np.logaddexp(0, logits) - self.one_hot * logits
            return each.sum(axis=1), expit(logits) - self.one_hot
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        # (a probability that is rounded to zero has a large loss, not an infinite one)
        return -np.log((self.one_hot * p).sum(axis=1) + 1e-30), p - self.one_hot

    def solve(
        self,
        blocks: Sequence[Any],
        strength: float,
        tolerance: float = 1e-7,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of shape (n_features, n_outputs) and intercepts, by L-BFGS.

        The features are columns of several matrices, dense and sparse ones.
        """
        n_outputs = self.one_hot.shape[1]
        ends = np.cumsum([block.shape[1] for block in blocks])
        scale = 1 / max(self.weights.sum(), 1e-12)
        penalty = scale / strength

        def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
            theta = flat.reshape(-1, n_outputs)
            parts = np.split(theta[:-1].astype(blocks[0].dtype), ends[:-1])
            logits = theta[-1] + sum(b @ part for b, part in zip(blocks, parts, strict=True))
            losses, slopes = self.losses(logits)
            residual = (scale * self.weights)[:, None] * slopes
            gradient = np.empty_like(theta)
            typed = residual.astype(blocks[0].dtype)
            np.concatenate([block.T @ typed for block in blocks], out=gradient[:-1])
            gradient[-1] = residual.sum(axis=0)
            shrunk = penalty * theta
            shrunk[-1] *= _INTERCEPT_PENALTY
            loss = scale * (losses @ self.weights) + 0.5 * np.vdot(shrunk, theta)
            return float(loss), (gradient + shrunk).ravel()

        begin = np.zeros((ends[-1] + 1) * n_outputs)
        options = {"maxiter": 500, "ftol": tolerance, "gtol": 1e-6}
        found = minimize(loss_and_gradient, begin, jac=True, method="L-BFGS-B", options=options)
        theta = found.x.reshape(-1, n_outputs)
        return theta[:-1], theta[-1]
