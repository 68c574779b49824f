"""Solving for a linear head: where stage 3 can begin instead of at random weights.

Training moves the encoder as long as the head above it errs. A head that begins at the solution of
a regularised regression on what the frozen encoder says of the texts spares it that (Kumar et al.
2022, "Fine-tuning can distort pretrained features"), and takes seconds.

The regression weighs three blocks of features: the form of a text (the pools of the encoder), its
words (TF-IDF), and its meaning, if the language model has learned what texts mean. A meaning is the
sum of a vector of words and a linear map of the pools: what is solved for it goes into the head's
weights and those of the words, so that a classifier stays encoder, pools, head and a term of words.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..calibration import fit_temperature, held_out_loss
from ..models.classifier import TrainedClassifier
from ..models.inference import pooled_vectors
from ..models.networks import Weights, load_arrays, to_arrays
from ..models.sentences import POOLING
from ..models.words import WordTerm
from ..text.rules import SPECIAL_TOKENS
from ..text.token_lists import TokenLists
from .classifier import ClassifierOptions, Labelled, classifier_stage
from .net import Outcome
from .regression import solve

# No more texts than this are solved for, by chance: their vectors are held in memory.
_MOST_SOLVED = 25_000

# Of fewer texts than this each is worth a training that takes twice as long.
_FEW_ENOUGH_TO_TRAIN_TWICE = 1000

# How much the linear model may count beside a trained network.
_SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)

_log = logging.getLogger("sk_ulmfit")


def head_stage(
    start: TrainedClassifier,
    train: Labelled,
    valid: Labelled | None,
    options: ClassifierOptions,
    seed: int,
    *,
    keeps_out: bool = False,
) -> tuple[TrainedClassifier, Outcome]:
    """Solve for a linear head, train a network from it on or beside it, and mix both (stage 3).

    Only one of the two is done if the options ask for that one alone.

    Parameters
    ----------
    start : TrainedClassifier
        Without weights, or what training goes on from.
    train, valid : tuple of (documents, targets, weights)
        What is held out says how much of either counts, unless the options do.
    options : ClassifierOptions
    seed : int
    keeps_out : bool, default=False
        Whether nothing is ever solved for what is held out, since it is not of the training texts.

    Returns
    -------
    begin : TrainedClassifier
        All of the classifier but the trained weights.
    outcome : Outcome
    """
    if not options.solves:
        return start, classifier_stage(start, train, valid, options, seed)
    linear = replace(start, head_sizes=())
    solution = begin_solved(linear, train, options, seed)
    if options.linear_share == 1:
        return solution, Outcome(solution.weights, [], None)
    begin = solution if options.head_start == "solved" else start
    outcome = classifier_stage(begin, train, valid, options, seed)
    if not outcome.history:
        return solution, outcome._replace(weights=solution.weights)
    trained = replace(begin, weights=outcome.weights)
    if not isinstance(options.linear_share, str):
        share = float(options.linear_share)
    elif valid is not None:
        share, trained, solution = choose_share(trained, solution, valid, options)
    else:  # too few texts to set any aside: either may be the better one
        share = 0.5
    # What was held out is learned from as well, where it need not judge anything more.
    if valid is not None and not (options.calibrate or keeps_out or outcome.interrupt):
        everything = _joined(train, valid)
        if share:
            temperature = solution.temperature
            solution = begin_solved(linear, everything, options, seed)
            solution = replace(solution, temperature=temperature)
        watched = options.early_stopping or options.callbacks
        if share < 1 and not watched and len(everything[0]) < _FEW_ENOUGH_TO_TRAIN_TWICE:
            outcome = classifier_stage(begin, everything, None, options, seed)
            trained = replace(trained, weights=outcome.weights)
    if share == 1:
        solution = replace(solution, temperature=1.0)
        return solution, outcome._replace(weights=solution.weights)
    beside = solution.with_directions(outcome.weights) if share else None
    return replace(trained, weights={}, linear_share=share, beside=beside), outcome


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
    language_model = start.language_model
    vocab = language_model.tokenizer.vocab
    no_words = [vocab.id(token) for token in SPECIAL_TOKENS]
    counted = WordTerm.of_documents(
        # (of no documents there are no words)
        documents if options.word_features else documents.take(range(0)),
        np.array(no_words),
    )
    found: dict[str, Weights] = {}
    chosen: dict[str, dict[str, float]] = {}
    words: dict[str, WordTerm] = {}
    for direction in language_model.directions:
        module = start.empty_module(direction, options.bptt)
        module.head.reset_parameters()
        encoder = language_model.encoder_weights(direction)
        load_arrays(module, {**to_arrays(module), **encoder})
        read = documents.reversed() if direction == "backward" else documents
        pools = pooled_vectors(module.to(options.device), read, options.device)
        mean, variance = _scales(start, direction, pools)
        pools -= mean
        pools /= np.sqrt((variance + module.head.blocks[0].norm.eps) * pools.shape[1])
        blocks: dict[str, Any] = {"form": pools, "words": counted.rows(documents)}
        meaning = _Meaning.of(start, direction, documents, pools)
        if meaning is not None:
            blocks["meaning"] = meaning.rows
        solution = solve(blocks, targets, weights, len(start.classes), seed)
        coef = solution.coef
        none = np.zeros((len(start.classes), 0), np.float32)
        term = replace(counted, coef=coef.get("words", none), meaning=none)
        if meaning is not None:
            coef["form"] += coef["meaning"] @ meaning.of_pools.T
            term = replace(term, meaning=coef["meaning"] * meaning.of_words)
        parts = (mean, variance, coef["form"], solution.intercept)
        module.head.begin_at(*(torch.from_numpy(part) for part in parts))
        found[direction] = {**to_arrays(module), **encoder}  # (no copy of what is not trained)
        chosen[direction] = {"strength": solution.strength, **solution.shares}
        if term.coef.size or term.meaning.size:
            words[direction] = term
        _log.info(
            "%s head solved on %d texts: strength %g, shares of %s; loss %.3f in cross-validation",
            *(direction, len(documents), solution.strength),
            " ".join(f"{name} {share:.3g}" for name, share in solution.shares.items()),
            solution.loss,
        )
    return replace(start, weights=found, solved=chosen, words=words, linear_share=1.0)


def _scales(
    start: TrainedClassifier, direction: str, pools: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of pools: the language model's, or those of the texts if it has none."""
    sentences = start.language_model.sentences
    if sentences is None or start.pooling != POOLING:
        return pools.mean(axis=0), pools.var(axis=0)
    mean, scale = (sentences.arrays[f"{direction}.{name}"] for name in ("mean", "scale"))
    return mean, scale**2


@dataclass(frozen=True)
class _Meaning:
    """Vectors of what texts mean, as a sum of two parts.

    Parameters
    ----------
    rows : ndarray of shape (n, size)
        Of about unit length.
    of_words : float
        What the direction of a text's words is multiplied by.
    of_pools : ndarray of shape (pooled size, size)
        What scaled pools are multiplied by.
    """

    rows: np.ndarray
    of_words: float
    of_pools: np.ndarray

    @classmethod
    def of(
        cls, start: TrainedClassifier, direction: str, documents: TokenLists, pools: np.ndarray
    ) -> _Meaning | None:
        """Of documents, if the language model knows what they mean."""
        sentences = start.language_model.sentences
        if sentences is None or not sentences.size:
            return None
        directions = sentences.word_directions(documents)
        length = np.linalg.norm(sentences.word_means(documents), axis=1).mean()
        of_pools = sentences.arrays[f"{direction}.map"]
        if start.pooling != POOLING:
            of_pools = np.zeros((pools.shape[1], sentences.size), np.float32)
        rows = length * directions + pools @ of_pools
        scale = 1 / np.sqrt((rows**2).sum(axis=1).mean() + 1e-12)
        return cls(scale * rows, scale * length, scale * of_pools)


def choose_share(
    trained: TrainedClassifier,
    solution: TrainedClassifier,
    held_out: Labelled,
    options: ClassifierOptions,
) -> tuple[float, TrainedClassifier, TrainedClassifier]:
    """Choose how much a linear model counts beside a network, by the loss on held-out texts.

    They err in other places; with few labels the linear model is better, with many the network, in
    between the mean of their log-probabilities is better than both. Each has the temperature that
    suits it: a network predicts better and is too sure at the same time.

    Returns
    -------
    share : float
    trained, solution : TrainedClassifier
        Both at their temperatures.
    """
    documents, targets, weights = held_out
    judged = (targets, weights, trained.multilabel)
    models, found = [], []
    for model in (trained, solution.with_directions(trained.weights)):
        found.append(model.logits(documents, options.device, options.bptt))
        models.append(replace(model, temperature=fit_temperature(found[-1], *judged)))
    own, its = models
    losses = {}
    for share in _SHARES:
        both = replace(own, linear_share=share, beside=its)
        logits = [both.mixed(*pair) for pair in zip(*found, strict=True)]
        losses[share] = held_out_loss(logits, own.temperature, *judged)
    # (of what is as good the linear model, which has seen nothing of them)
    share = min(_SHARES, key=lambda share: round(losses[share], 4))
    _log.info(
        "share of the linear model: %g; loss on %d texts held out %.3f, of the network alone %.3f, "
        "of the linear model alone %.3f",
        *(share, len(documents), losses[share], losses[0.0], losses[1.0]),
    )
    return share, own, its


def _joined(*parts: Labelled) -> Labelled:
    documents, targets, weights = zip(*parts, strict=True)
    lists = [part.document(i) for part in documents for i in range(len(part))]
    return TokenLists.from_lists(lists), np.concatenate(targets), np.concatenate(weights)
