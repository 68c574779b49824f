"""Stages 1 to 3 for every direction of a language model, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..modules import AWD_LM_DROPOUTS, LanguageModel, TextClassifier
from ..pretrained import TrainedLanguageModel
from ..pretrained.trained import Weights, to_arrays
from ..text.token_lists import Selection, TokenLists
from .batching import LabelledDocuments, TextStream
from .fitting import TrainingInterrupted, TrainingOptions, train_classifier, train_language_model
from .narrowing import narrowed, renumbering, used_tokens

# Documents, targets and weights in the loss.
Labelled = tuple[TokenLists, np.ndarray, np.ndarray]

# Weights of each direction, history of all, and the Ctrl-C that ended it early, if one did.
Outcome = tuple[dict[str, Weights], list[dict[str, Any]], TrainingInterrupted | None]


def language_model_stage(
    start: TrainedLanguageModel,
    train: TokenLists | Selection,
    valid: TokenLists | Selection | None,
    options: TrainingOptions,
    dropout_mult: float,
) -> Outcome:
    """Train a language model in each of its directions (stages 1 and 2).

    Parameters
    ----------
    start : TrainedLanguageModel
        Vocabulary and weights to begin with.
    train, valid : TokenLists or Selection
    options : TrainingOptions
    dropout_mult : float
    """
    dropouts = AWD_LM_DROPOUTS.scaled(dropout_mult)
    eos_id = start.tokenizer.vocab.bos_id

    def train_one(
        module: LanguageModel, backward: bool, options: TrainingOptions
    ) -> list[dict[str, Any]]:
        rng = np.random.default_rng(options.seed)
        stream = TextStream(train, eos_id=eos_id, backward=backward, rng=rng)
        held_out = None
        if valid is not None:
            held_out = TextStream(valid, eos_id=eos_id, backward=backward)
        return train_language_model(module, stream, held_out, options, dropout_mult)

    modules = {name: start.module(name, dropouts) for name in start.directions}
    return _each_direction(modules, train_one, options, "LM")


def classifier_stage(
    modules: dict[str, TextClassifier],
    train: Labelled,
    valid: Labelled | None,
    options: TrainingOptions,
    unfreeze_schedule: str | Sequence[int],
    multilabel: bool,
    frozen_dropout: bool,
) -> Outcome:
    """Train a classifier in each direction (stage 3).

    Parameters
    ----------
    modules : dict of str to TextClassifier
        By direction.
    train, valid : tuple of (documents, targets, weights)
    options : TrainingOptions
    unfreeze_schedule : str or sequence of int
    multilabel : bool
    frozen_dropout : bool
        Whether the encoder drops out while it is frozen.
    """
    n_tokens = next(iter(modules.values())).encoder.sizes.vocab_size
    used = used_tokens(n_tokens, train[0], *([] if valid is None else [valid[0]]))

    def labelled(
        data: Labelled, backward: bool, rng: np.random.Generator | None
    ) -> LabelledDocuments:
        documents, targets, weights = data
        if used is not None:
            documents = documents.renumbered(renumbering(n_tokens, used))
        read = documents.reversed() if backward else documents
        return LabelledDocuments(read, targets, weights, rng)

    def train_one(
        module: TextClassifier, backward: bool, options: TrainingOptions
    ) -> list[dict[str, Any]]:
        shuffled = labelled(train, backward, np.random.default_rng(options.seed))
        held_out = None if valid is None else labelled(valid, backward, None)
        with narrowed(module, used):
            return train_classifier(
                module, shuffled, held_out, options, unfreeze_schedule, multilabel, frozen_dropout
            )

    return _each_direction(modules, train_one, options, "classifier")


def _each_direction(
    modules: dict[str, Any],
    train_one: Callable[[Any, bool, TrainingOptions], list[dict[str, Any]]],
    options: TrainingOptions,
    label: str,
) -> Outcome:
    """Train the modules one after another, until one is interrupted.

    Directions that an interrupt did not let begin are left out: they would spoil the average.
    """
    weights: dict[str, Weights] = {}
    history: list[dict[str, Any]] = []
    interrupt: TrainingInterrupted | None = None
    for n, (direction, module) in enumerate(modules.items()):
        own = replace(options, seed=options.seed + n, label=f"{direction} {label}")
        try:
            with torch.inference_mode(False):  # whatever the caller is in
                epochs = train_one(module, direction == "backward", own)
        except TrainingInterrupted as error:
            epochs, interrupt = error.history, error
        weights[direction] = to_arrays(module)
        history += [{"direction": direction, **epoch} for epoch in epochs]
        if interrupt is not None:
            break
    return weights, history, interrupt
