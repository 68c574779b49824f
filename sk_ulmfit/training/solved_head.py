"""Solving for a linear head: where stage 3 can begin instead of at random weights.

Training moves the encoder as long as the head above it errs. A head that begins at the solution of
a regularised regression on what the frozen encoder says of the texts spares it that (Kumar et al.
2022, "Fine-tuning can distort pretrained features"), and takes seconds.

The regression weighs three blocks of features: the form of a text (the pools of the encoder), its
words (TF-IDF), and its meaning, if the language model has learned what texts mean.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..calibration import held_out_loss
from ..models.classifier import TrainedClassifier, mixed
from ..models.networks import Weights, to_arrays
from ..models.sentences import POOLING
from ..models.words import WordTerm
from ..text.rules import SPECIAL_TOKENS
from .amount import MANY_TEXTS
from .budget import clock, epochs_within, fits
from .classifier import ClassifierOptions, Labelled, classifier_stage
from .net import Outcome
from .regression import balanced_folds, solve
from .rehearsal import classifier_seconds

# No more texts than this are solved for, by chance: their vectors are held in memory.
_MOST_SOLVED = 25_000

# From how many texts on, and up to how many, either half of them is asked what the other is worth.
_FEWEST_HALVED, _MANY_TO_HALVE = 20, MANY_TEXTS

# Epochs that a half of them is trained for, to say how much a training is worth.
_EPOCHS_OF_A_HALF = 10

# How much the linear model may count beside a trained network.
_SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)

_log = logging.getLogger("sk_ulmfit")


def head_stage(
    start: TrainedClassifier,
    train: Labelled,
    valid: Labelled | None,
    options: ClassifierOptions,
    seed: int,
) -> tuple[TrainedClassifier, Outcome]:
    """Solve for a linear head, train a network from it on or beside it, and mix both (stage 3).

    Only one of the two is done if the options ask for that one alone.

    Parameters
    ----------
    start : TrainedClassifier
        Without weights, or what training goes on from.
    train, valid : tuple of (documents, targets, weights)
        What is held out, if anything is, says how much of either counts, unless the options do.
    options : ClassifierOptions
    seed : int

    Returns
    -------
    begin : TrainedClassifier
        All of the classifier but the trained weights.
    outcome : Outcome
    """
    if not options.solves:
        try:
            options = within_budget(start, train, valid, options, seed)
        except KeyboardInterrupt as interrupt:
            options = replace(options, max_epochs=0)
            outcome = classifier_stage(start, train, valid, options, seed)
            return start, outcome._replace(interrupt=interrupt)
        return start, classifier_stage(start, train, valid, options, seed)
    began = clock()
    solution = begin_solved(start, train, options, seed)
    begin = solution if options.head_start == "solved" else start
    try:
        options = within_budget(begin, train, valid, options, seed, clock() - began)
        share = options.linear_share
        if isinstance(share, str) and valid is None:
            share = share_by_halves(start, train, options, seed)
    except KeyboardInterrupt as interrupt:
        return solution, Outcome(solution.weights, [], interrupt)
    if share == 1:
        return solution, Outcome(solution.weights, [], None)
    outcome = classifier_stage(begin, train, valid, options, seed)
    if not outcome.history:
        return solution, outcome._replace(weights=solution.weights)
    begin = begin.with_directions(outcome.weights)
    if isinstance(share, str):
        assert valid is not None
        network = replace(begin, weights=outcome.weights)
        beside = solution.with_directions(outcome.weights)
        how = (options.device, options.bptt)
        try:
            own, its = (one.logits(valid[0], *how) for one in (network, beside))
            share = choose_share(own, its, *valid[1:], start.multilabel)
        except KeyboardInterrupt as interrupt:
            share, outcome = 0.5, outcome._replace(interrupt=interrupt)
    if share == 1:
        return solution, outcome._replace(weights=solution.weights)
    mixed = replace(begin, weights={}, linear_share=share, beside=solution if share else None)
    return mixed, outcome


def within_budget(
    begin: TrainedClassifier,
    train: Labelled,
    valid: Labelled | None,
    options: ClassifierOptions,
    seed: int,
    solving: float = 0.0,
) -> ClassifierOptions:
    """Plan a training that ends by its deadline, if it has one.

    Parameters
    ----------
    begin, train, valid, options, seed
        Of `classifier_stage`.
    solving : float, default=0.0
        Seconds that the solution of the linear model took.

    Returns
    -------
    ClassifierOptions
        With fewer epochs, where there is no time for all; with none the linear model is all.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C.
    """
    deadline = options.deadline
    if deadline is None or options.max_epochs == 0 or options.linear_share == 1:
        return options
    seconds = classifier_seconds(begin, train, valid, options, seed)
    share = options.linear_share
    if isinstance(share, str) and valid is None and _are_halved(len(train[0])):
        # Two trainings on a half take as long as one on all.
        few = seconds[min(options.max_epochs, _EPOCHS_OF_A_HALF) - 1]
        if fits(solving + 2 * few, deadline):
            seconds = seconds + solving + few
        else:
            share = 0.5
    n_epochs = epochs_within(deadline, seconds, int(not options.solves), "classifier")
    if n_epochs == 0:
        share = 1.0
    return replace(options, max_epochs=n_epochs, linear_share=share, deadline=None)


def _are_halved(n_texts: int) -> bool:
    return _FEWEST_HALVED <= n_texts < _MANY_TO_HALVE


def share_by_halves(
    start: TrainedClassifier, train: Labelled, options: ClassifierOptions, seed: int
) -> float:
    """Choose the share by short trainings on either half of the texts, judged by the other half.

    Of many texts both models count the same: hardly any of the sets that were tried gain by
    another share, and none much.

    Parameters
    ----------
    start, train, options, seed
        As for `head_stage`.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, which a training of skorch would keep quiet about.
    """
    documents, targets, weights = train
    if not _are_halved(len(documents)):
        return 0.5
    short = replace(
        options,
        max_epochs=min(options.max_epochs, _EPOCHS_OF_A_HALF),
        linear_share=0.5,
        early_stopping=False,
        r_drop=0.0,
        callbacks=(),
    )
    half = balanced_folds(targets, 2, seed)
    found: list[list[Any]] = [[], []]
    for n in range(2):
        rows, out = np.flatnonzero(half != n), np.flatnonzero(half == n)
        part = (documents.take(rows), targets[rows], weights[rows])
        model, outcome = head_stage(start, part, None, short, seed)
        if outcome.interrupt is not None:
            raise outcome.interrupt
        assert model.beside is not None
        network = replace(model, weights=outcome.weights, beside=None)
        for logits, one in zip(found, (network, model.beside), strict=True):
            logits.append(one.logits(documents.take(out), options.device, options.bptt))
    order = np.argsort(half, kind="stable")
    own, its = ([np.concatenate(each) for each in zip(*both, strict=True)] for both in found)
    share = choose_share(own, its, targets[order], weights[order], start.multilabel)
    # Of twice the texts, and of more epochs, a network learns more than a linear model does.
    return share if share in (0.0, 1.0) else share - 0.25


def choose_share(
    own: Sequence[np.ndarray],
    its: Sequence[np.ndarray],
    targets: np.ndarray,
    weights: np.ndarray,
    multilabel: bool,
) -> float:
    """Choose how much a linear model counts beside a network, by the loss on held-out texts.

    They err in other places; with few labels the linear model is better, with many the network, in
    between the mean of their log-probabilities is better than both.

    Parameters
    ----------
    own, its : sequence of ndarray of shape (n, n_outputs)
        Logits of the network, and of the linear model, in every direction.
    targets, weights : ndarray
        Of the texts.
    multilabel : bool
    """
    losses = {
        share: held_out_loss(
            [mixed(one, other, (1 - share, share)) for one, other in zip(own, its, strict=True)],
            1.0,
            *(targets, weights, multilabel),
        )
        for share in _SHARES
    }
    # (of what is as good the linear model, which is surer to be)
    share = min(_SHARES, key=lambda share: round(losses[share], 4))
    _log.info(
        "share of the linear model: %g; loss on %d texts held out %.3f, of the network alone %.3f, "
        "of the linear model alone %.3f",
        *(share, len(targets), losses[share], losses[0.0], losses[1.0]),
    )
    return share


def begin_solved(
    start: TrainedClassifier,
    train: Labelled,
    options: ClassifierOptions,
    seed: int,
) -> TrainedClassifier:
    """Solve for the head of every direction of a language model.

    It is told of the texts' meaning. (A trained network is not: the mean of both is better, the
    more unlike they are.)
    """
    sentences = start.language_model.sentences
    knows = start.pooling == POOLING and sentences is not None and sentences.size
    start = replace(start, head_sizes=(), pooling="sentences" if knows else start.pooling)
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
    rows = counted.rows(documents)
    every = start.reader.pools(documents, start.pools, options.device)
    meanings = start.meanings(documents, options.device, every)
    found: dict[str, Weights] = {}
    chosen: dict[str, dict[str, float]] = {}
    words: dict[str, WordTerm] = {}
    for direction in language_model.directions:
        module = start.empty_module(direction, options.bptt)
        module.head.reset_parameters()
        pools = every[direction]
        blocks: dict[str, Any] = {"form": pools, "words": rows}
        if meanings is not None:
            blocks["meaning"] = meanings
        mean, variance = _scales(start, direction, pools)
        pools -= mean
        pools /= np.sqrt((variance + module.head.blocks[0].norm.eps) * pools.shape[1])
        solution = solve(blocks, targets, weights, len(start.classes), seed)
        none = np.zeros((len(start.classes), 0), np.float32)
        coef = {name: solution.coef.get(name, none) for name in ("form", "words", "meaning")}
        term = replace(counted, coef=coef["words"])
        of_head = np.hstack([coef["form"], coef["meaning"]])
        parts = (mean, variance, of_head, solution.intercept)
        module.head.begin_at(*(torch.from_numpy(part) for part in parts))
        # (no copy of what is not trained)
        found[direction] = {**to_arrays(module), **start.reader.encoder_weights(direction)}
        chosen[direction] = {"strength": solution.strength, **solution.shares}
        if term.coef.size:
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
    if sentences is None or start.pools != POOLING:
        return pools.mean(axis=0), pools.var(axis=0)
    mean, scale = sentences.pool_scales(direction)
    return mean, scale**2
