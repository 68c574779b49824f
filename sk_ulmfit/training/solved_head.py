"""Solving for a linear head: where stage 3 can begin instead of at random weights.

Training moves the encoder as long as the head above it errs. A head that begins at the solution of
a regularised regression on what the frozen encoder says of the texts spares it that (Kumar et al.
2022, "Fine-tuning can distort pretrained features"), and takes seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit

from ..models.classifier import TrainedClassifier
from ..models.inference import pooled_vectors
from ..models.networks import Weights, load_arrays, to_arrays
from ..models.words import WordTerm
from ..text.rules import SPECIAL_TOKENS
from ..text.token_lists import TokenLists
from .classifier import ClassifierOptions, Labelled, classifier_stage
from .net import Outcome

# Candidates of the cross-validation: inverse strengths of the penalty on the coefficients (larger
# fits closer), and what an inner product of words counts beside one of vectors.
STRENGTHS = (1.0, 4.0, 16.0, 64.0, 256.0)
WORD_SHARES = (0.0, 0.5, 2.0)

# The choice is made on this many texts at most. Up to twice as many are solved by their inner
# products; for more of them the coefficients themselves are fewer.
_MOST_COMPARED = 1000

# The penalty on intercepts, as a share of that on coefficients: without any, the one of a class
# that no text has would fall without end.
_INTERCEPT_PENALTY = 1e-2

# No more texts than this are solved for, by chance: their vectors are held in memory.
_MOST_SOLVED = 25_000

# Shares of what training has changed that are compared, beside none of it.
_TRAINED_SHARES = (0.25, 0.5, 0.75, 1.0)

_log = logging.getLogger("sk_ulmfit")


def solved_stage(
    start: TrainedClassifier,
    train: Labelled,
    valid: Labelled | None,
    options: ClassifierOptions,
    seed: int,
    *,
    keeps_out: bool = False,
) -> tuple[TrainedClassifier, Outcome]:
    """Train a classifier from a solved head on, and keep what helped (stage 3).

    Parameters
    ----------
    start : TrainedClassifier
        Without weights, and without hidden layers in the head.
    train, valid : tuple of (documents, targets, weights)
        What is held out says how much of the training is kept.
    options : ClassifierOptions
    seed : int
    keeps_out : bool, default=False
        Whether nothing is ever solved for what is held out, since it is not of the training texts.

    Returns
    -------
    begin : TrainedClassifier
        The solution.
    outcome : Outcome
        What the training made of it.
    """
    begin = begin_solved(start, train, options, seed)
    outcome = classifier_stage(begin, train, valid, options, seed)
    if valid is None or not outcome.history:
        return begin, outcome
    kept = keep_what_helped(begin, outcome.weights, valid, options)
    helped = any(chosen["trained_share"] for chosen in kept.solved.values())
    if not (helped or options.calibrate or keeps_out):  # then no text needs to be held out
        kept = begin_solved(start, _joined(train, valid), options, seed)
    return kept, outcome._replace(weights=kept.weights)


def begin_solved(
    start: TrainedClassifier,
    train: Labelled,
    options: ClassifierOptions,
    seed: int,
) -> TrainedClassifier:
    """Solve for the head of every direction of a language model."""
    documents, targets, weights = train
    if len(documents) > _MOST_SOLVED:
        some = np.random.default_rng(seed).permutation(len(documents))[:_MOST_SOLVED]
        documents, targets, weights = documents.take(some), targets[some], weights[some]
    vocab = start.language_model.tokenizer.vocab
    no_words = np.array([vocab.id(token) for token in SPECIAL_TOKENS])
    counted = WordTerm.of_documents(documents, no_words)
    rows = counted.rows(documents) if options.word_features else None
    found: dict[str, Weights] = {}
    chosen: dict[str, dict[str, float]] = {}
    words: dict[str, WordTerm] = {}
    for direction in start.language_model.directions:
        module = start.empty_module(direction, options.bptt)
        module.head.reset_parameters()
        encoder = start.language_model.encoder_weights(direction)
        load_arrays(module, {**to_arrays(module), **encoder})
        read = documents.reversed() if direction == "backward" else documents
        vectors = pooled_vectors(module.to(options.device), read, options.device)
        mean, variance = vectors.mean(axis=0), vectors.var(axis=0)
        vectors -= mean
        vectors /= np.sqrt((variance + module.head.blocks[0].norm.eps) * vectors.shape[1])
        head = solve_head(vectors, rows, targets, weights, len(start.classes), seed)
        parts = (mean, variance, head.coef, head.intercept)
        module.head.begin_at(*(torch.from_numpy(part) for part in parts))
        found[direction] = to_arrays(module)
        chosen[direction] = {
            "strength": head.strength,
            "word_share": head.word_share,
            "trained_share": 0.0,
        }
        if head.word_share:
            words[direction] = replace(counted, coef=head.word_coef)
        _log.info(
            "%s head solved on %d texts: strength %g, words %g; loss %.3f in cross-validation",
            *(direction, len(documents), head.strength, head.word_share, head.loss),
        )
    return replace(start, weights=found, solved=chosen, words=words)


def keep_what_helped(
    begin: TrainedClassifier,
    trained: dict[str, Weights],
    held_out: Labelled,
    options: ClassifierOptions,
) -> TrainedClassifier:
    """Go back from trained weights toward those of the solved start, as far as held-out texts say.

    Weights between those of a start that generalises and those that training made of them are
    often better than both (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
    Training has to be better than the start by more than a standard error, or none of it is kept.
    """
    documents, targets, weights = held_out
    regression = _Regression.of_targets(targets, weights, len(begin.classes))
    kept = dict(begin.weights)
    chosen = {name: dict(choice) for name, choice in begin.solved.items()}
    for direction, goal in trained.items():

        def losses(between: Weights, direction: str = direction) -> np.ndarray:
            model = replace(begin, weights={direction: between})
            (logits,) = model.logits(documents, options.device, options.bptt)
            return regression.weights * regression.losses(logits.astype(np.float64))[0]

        at_start = losses(begin.weights[direction])
        best = 0.0
        for share in _TRAINED_SHARES:
            between = {
                name: np.asarray(array + share * (goal[name] - array), array.dtype)
                for name, array in begin.weights[direction].items()
            }
            gains = at_start - losses(between)
            if gains.mean() > max(best, gains.std() / np.sqrt(len(gains))):
                kept[direction], best = between, float(gains.mean())
                chosen[direction]["trained_share"] = share
        _log.info(
            "%s: %g of what training changed is kept; loss %.3f -> %.3f on %d texts held out",
            *(direction, chosen[direction]["trained_share"], at_start.mean()),
            *(at_start.mean() - best, len(documents)),
        )
    return replace(begin, weights=kept, solved=chosen)


def _joined(*parts: Labelled) -> Labelled:
    documents, targets, weights = zip(*parts, strict=True)
    lists = [part.document(i) for part in documents for i in range(len(part))]
    return TokenLists.from_lists(lists), np.concatenate(targets), np.concatenate(weights)


@dataclass(frozen=True)
class LinearHead:
    """Solution of a regression on vectors of texts, and on their words.

    Parameters
    ----------
    coef : ndarray of shape (n_outputs, n_features)
    word_coef : ndarray of shape (n_outputs, n_words)
    intercept : ndarray of shape (n_outputs,)
    strength, word_share : float
        What the cross-validation chose.
    loss : float
        Cross entropy on texts held out by the cross-validation, NaN where there was none.
    """

    coef: np.ndarray
    word_coef: np.ndarray
    intercept: np.ndarray
    strength: float
    word_share: float
    loss: float


def solve_head(
    vectors: np.ndarray,
    words: csr_array | None,
    targets: np.ndarray,
    weights: np.ndarray,
    n_outputs: int,
    seed: int,
) -> LinearHead:
    """Fit a multinomial or, of rows of targets, a binary regression for every output.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_features)
        Scaled so that their squared lengths are about one.
    words : csr_array of shape (n, n_words) or None
        Rows of unit length. None: the vectors alone.
    targets : ndarray of shape (n,) or (n, n_outputs)
        Class numbers, or 0/1 rows of a multilabel problem.
    weights : ndarray of shape (n,)
    n_outputs : int
    seed : int
        Of the folds.
    """
    n = len(vectors)
    regression = _Regression.of_targets(targets, weights, n_outputs)
    if words is None:
        words = csr_array((n, 0))
    some = np.random.default_rng(seed).permutation(n)
    compared = np.sort(some[:_MOST_COMPARED])
    strength, share, loss = _choose(
        vectors[compared], words[compared], regression.of(compared), seed
    )
    if n <= 2 * _MOST_COMPARED:
        products = vectors @ vectors.T + share * (words @ words.T).toarray()
        coordinates, back = _coordinates(products.astype(np.float64))
        theta, intercept = regression.solve([coordinates], strength)
        dual = back @ theta
        coef, word_coef = vectors.T @ dual, share * (words.T @ dual)
    else:
        theta, intercept = regression.solve([vectors, words * np.sqrt(share)], strength)
        coef, word_coef = np.split(theta, [vectors.shape[1]])
        word_coef = word_coef * np.sqrt(share)
    coef, word_coef, intercept = (
        np.asarray(part.T, np.float32) for part in (coef, word_coef, intercept)
    )
    return LinearHead(coef, word_coef, intercept, strength, share, loss)


def _choose(
    vectors: np.ndarray, words: csr_array, regression: _Regression, seed: int
) -> tuple[float, float, float]:
    """The strength and the share of words that predict texts left out best."""
    n = len(vectors)
    k = min(5 if n <= 500 else 3, n)
    shares = WORD_SHARES if words.shape[1] else (0.0,)
    share, strength = shares[len(shares) // 2], STRENGTHS[len(STRENGTHS) // 2]
    if k < 2:
        return strength, share, np.nan
    # Folds in which classes (or sets of labels) are as frequent as they can be.
    _, kind = np.unique(regression.one_hot, axis=0, return_inverse=True)
    fold = np.empty(n, dtype=int)
    fold[np.lexsort((np.random.default_rng(seed).random(n), kind.ravel()))] = np.arange(n) % k
    of_vectors, of_words = vectors @ vectors.T, (words @ words.T).toarray()

    def losses(share: float, strengths: Sequence[float]) -> list[float]:
        products = (of_vectors + share * of_words).astype(np.float64)
        total = np.zeros(len(strengths))
        for held_out in range(k):
            rest, out = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
            coordinates, back = _coordinates(products[np.ix_(rest, rest)])
            left_out = products[np.ix_(out, rest)] @ back
            training, test = regression.of(rest), regression.of(out)
            start = None
            for i, strength in enumerate(strengths):
                theta, intercept = start = training.solve([coordinates], strength, start, 1e-5)
                total[i] += test.losses(left_out @ theta + intercept)[0] @ test.weights
        return (total / regression.weights.sum()).tolist()

    # One after the other: the best strength hardly depends on the share.
    loss, strength = min(zip(losses(share, STRENGTHS), STRENGTHS, strict=True))
    others = [(losses(other, [strength])[0], other) for other in shares if other != share]
    loss, share = min([(loss, share), *others])
    return strength, share, loss


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
class _Regression:
    """Targets and weights of a regression with a squared penalty on its coefficients."""

    one_hot: np.ndarray
    weights: np.ndarray
    multilabel: bool

    @classmethod
    def of_targets(cls, targets: np.ndarray, weights: np.ndarray, n_outputs: int) -> _Regression:
        multilabel = targets.ndim == 2
        one_hot = targets if multilabel else np.eye(n_outputs)[targets]
        return cls(one_hot.astype(np.float64), weights, multilabel)

    def of(self, rows: np.ndarray) -> _Regression:
        return _Regression(self.one_hot[rows], self.weights[rows], self.multilabel)

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
        start: tuple[np.ndarray, np.ndarray] | None = None,
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

        begin = np.zeros((ends[-1] + 1, n_outputs)) if start is None else np.vstack(start)
        begin = begin.ravel()
        options = {"maxiter": 500, "ftol": tolerance, "gtol": 1e-6}
        found = minimize(loss_and_gradient, begin, jac=True, method="L-BFGS-B", options=options)
        theta = found.x.reshape(-1, n_outputs)
        return theta[:-1], theta[-1]
