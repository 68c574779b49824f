"""How long a training would take: some of its steps are tried, on its own texts.

A rehearsal is the stage itself, at a learning rate near zero and ended after a few steps. It builds
networks and random generators of its own, so that the training after it is what it would have been.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

from ..models import TrainedClassifier, TrainedLanguageModel
from ..schedules import layer_groups
from ..text.token_lists import TokenLists
from .budget import clock
from .classifier import (
    ClassifierOptions,
    Labelled,
    LabelledDocuments,
    LengthBatches,
    classifier_stage,
    costs_of_epochs,
)
from .distributed import own_share
from .language_model import (
    BPTTBatches,
    LanguageModelOptions,
    TextStream,
    language_model_stage,
    set_aside,
)
from .net import Outcome, TrainingOptions

# Steps that warm up, and steps that are timed.
_WARM_UP, _TIMED = 2, 6

# The share of the time left that a rehearsal takes at most, as soon as a step has been timed.
_SHARE = 0.1

# Tokens of a text that are enough to tell how long one takes.
_BEGINNING = 500

# An epoch forward and back through all layers, as `costs_of_epochs` counts; forward it is 1.
_WHOLE = 3.0

# No epoch costs less: what is done beside the network takes time too.
_LEAST_COST = 0.1


class Stopwatch(Callback):
    """Time the steps of a training, and end it when they have been timed.

    Parameters
    ----------
    latest : float
        By `clock`: when one timed step is enough.

    Attributes
    ----------
    seconds : float
        That the steps took, without those which warm up.
    length : int
        Number of tokens that each row of their batches had, padding included.
    """

    def __init__(self, latest: float):
        self.latest = latest
        self.seconds = 0.0
        self.length = 0

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.n_steps_, self.before_ = 0, clock()

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        if not training:
            return
        if torch.device(net.device).type == "cuda":
            torch.cuda.synchronize(net.device)
        now = clock()
        self.n_steps_ += 1
        if self.n_steps_ > _WARM_UP:
            inputs = batch[0]
            self.seconds += now - self.before_
            self.length += inputs["ids"].shape[1] if isinstance(inputs, dict) else len(inputs)
            # (processes that train one model together have to do so after equal steps)
            in_haste = now > self.latest and own_share().count == 1
            if in_haste or self.n_steps_ == _WARM_UP + _TIMED:
                raise KeyboardInterrupt  # ends the training of this direction
        self.before_ = now

    @staticmethod
    def options(options: TrainingOptions) -> dict[str, Any]:
        """What a training is changed in to be timed."""
        assert options.deadline is not None
        now = clock()
        return {
            "callbacks": (Stopwatch(now + _SHARE * (options.deadline - now)),),
            "max_epochs": _WARM_UP + _TIMED,
            "lr": 1e-12,
            "schedule": "constant",
            "early_stopping": False,
            "quiet": True,
            "deadline": None,
        }


def classifier_seconds(
    start: TrainedClassifier,
    train: Labelled,
    valid: Labelled | None,
    options: ClassifierOptions,
    head_seed: int,
) -> np.ndarray:
    """Estimate how long stage 3 takes, for every number of epochs up to the planned one.

    Parameters
    ----------
    start, train, valid, options, head_seed
        Of `classifier_stage`.

    Returns
    -------
    ndarray of shape (max_epochs,)
    """
    begin = clock()
    documents, targets, weights = train
    changes = {**Stopwatch.options(options), "unfreeze_schedule": "full", "frozen_dropout": True}
    tried = replace(options, **changes)
    watch = tried.callbacks[0]
    some = (documents.head(_BEGINNING), targets, weights)
    _check(classifier_stage(start, some, None, tried, head_seed))
    around = clock() - begin - watch.seconds  # building the network, and all that goes with it
    forward = _forward(watch, _padded(train, options.batch_size, shuffled=True))
    n_groups = len(layer_groups("classifier", start.language_model.n_layers))
    costs = np.maximum(costs_of_epochs(options, n_groups), _LEAST_COST)
    judged = 0.0
    if valid is not None:  # after every epoch, and by whoever asks what both models are worth
        judged = _forward(watch, _padded(valid, options.batch_size, shuffled=False))
        around += 4 * judged
    if not options.frozen_dropout:
        around += forward  # for the vectors that are kept
    n_directions = len(start.language_model.directions)
    return around + n_directions * np.cumsum(forward * costs + judged)


def language_model_seconds(
    start: TrainedLanguageModel,
    documents: TokenLists,
    options: LanguageModelOptions,
    split_seed: int,
) -> np.ndarray:
    """Estimate how long stage 1 or 2 takes, for every number of epochs up to the planned one.

    Parameters
    ----------
    start, documents, options, split_seed
        Of `language_model_stage`.

    Returns
    -------
    ndarray of shape (max_epochs,)
    """
    begin = clock()
    tried = replace(options, **Stopwatch.options(options))
    watch = tried.callbacks[0]
    _check(language_model_stage(start, documents, tried, split_seed))
    around = clock() - begin - watch.seconds
    train, valid = set_aside(documents, options, split_seed)
    lengths = [
        BPTTBatches(
            TextStream(part, eos_id=0), options.batch_size, options.bptt, own_share()
        ).part_length
        for part in (train, valid)
        if part is not None
    ]
    forward = [_forward(watch, length) for length in lengths]
    n_directions = len(start.directions)
    # (features are made of all texts at the end)
    around += n_directions * forward[0]
    an_epoch = _WHOLE * forward[0] + sum(forward[1:])
    return around + n_directions * an_epoch * np.arange(1, options.max_epochs + 1)


def _forward(watch: Stopwatch, length: int) -> float:
    """Seconds that a network takes to read batches of some length in all."""
    return watch.seconds / watch.length * length / _WHOLE


def _padded(data: Labelled, batch_size: int, shuffled: bool) -> int:
    """Length of all batches of labelled documents."""
    rng = np.random.default_rng(0) if shuffled else None
    batches = LengthBatches(LabelledDocuments(*data, rng), batch_size)
    return sum(int(data[0].lengths[batch].max()) for batch in batches.draw())


def _check(outcome: Outcome) -> None:
    if outcome.interrupt is not None:
        raise outcome.interrupt
