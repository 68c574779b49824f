"""Putting a net, its optimizer and its callbacks together, and training it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping
from skorch.helper import predefined_split
from skorch.utils import noop
from torch.utils.data import Dataset

from ..callbacks import DiscriminativeLR, GradualUnfreezing, ScheduledLR
from ..modules import LanguageModel, TextClassifier
from .batching import BPTTBatches, LabelledDocuments, LengthBatches, TextStream
from .checkpoints import Checkpoints
from .devices import seeded_generator
from .distributed import own_share
from .gradients import gradients_of_rows
from .losses import ClassificationLoss, LanguageModelLoss
from .nets import ClassifierNet, LanguageModelNet, ULMFiTNet
from .progress import ProgressBar

# From which size on the softmax is sampled, and how many words are drawn, unless users say so.
_LARGE_VOCABULARY, _SAMPLES = 16_384, 4096


@dataclass(frozen=True)
class TrainingOptions:
    """How to train: the parameters that both estimators share."""

    lr: float
    lr_decay: float
    schedule: str
    cut_frac: float
    lr_ratio: float
    max_epochs: int
    batch_size: int
    bptt: int
    weight_decay: float
    patience: int | None  # None: no early stopping
    device: torch.device
    amp: bool
    seed: int
    verbose: int
    label: str = ""  # of the progress bar
    label_smoothing: float = 0.0  # of a classifier's targets
    r_drop: float = 0.0  # weight of a classifier's R-Drop
    softmax_samples: int | str | None = None  # None: the whole softmax
    checkpoints: Path | None = None  # directory for the state of an unfinished training
    checkpoint_minutes: float = 10.0
    callbacks: Sequence[Any] = field(default_factory=tuple)


def train_language_model(
    module: LanguageModel,
    train: TextStream,
    valid: TextStream | None,
    options: TrainingOptions,
    regularisation: float = 1.0,
) -> list[dict[str, Any]]:
    """Train `module` in place (stages 1 and 2).

    Among processes that torchrun started, each computes its share of every batch.

    Parameters
    ----------
    module : LanguageModel
    train, valid : TextStream
    options : TrainingOptions
    regularisation : float, default=1.0
        Multiplier of AR and TAR.

    Returns
    -------
    list of dict
        One an epoch: losses, learning rates.
    """
    share = own_share()
    module.encoder.share = (share.index, share.count)
    callbacks: list[Callback] = [GradientNormClipping(0.3)]
    if options.checkpoints is not None:
        file = options.checkpoints / ("backward.pt" if train.backward else "forward.pt")
        checkpoints = Checkpoints(file, options.checkpoint_minutes, share)
        if (finished := checkpoints.finished()) is not None:
            module.load_state_dict(finished["module"])
            return _without_timings(finished["history"])
        callbacks.append(checkpoints)
    n_samples = options.softmax_samples
    if n_samples == "auto":
        n_samples = _SAMPLES if module.encoder.sizes.vocab_size > _LARGE_VOCABULARY else None
    # (the processes that share a training sum up dense gradients)
    by_rows = options.device.type == "cpu" and share.count == 1
    n_layers = len(module.encoder.layers)
    # The embedding is the softmax too, so it is the top of a language model.
    groups = [f"*encoder.layers.{layer}.*" for layer in range(n_layers)]
    common = _common(module, valid, options, *callbacks, unit="tok")
    net = LanguageModelNet(
        module,
        share=share,
        criterion=LanguageModelLoss,
        criterion__regularisation=regularisation,
        criterion__n_samples=n_samples,
        criterion__generator=module.encoder.generator,
        criterion__sparse_gradients=by_rows,
        optimizer__param_groups=[(pattern, {}) for pattern in groups],
        iterator_train=BPTTBatches,
        iterator_train__bptt=options.bptt,
        iterator_train__share=share,
        iterator_valid=BPTTBatches,
        iterator_valid__bptt=options.bptt,
        **common,
    )
    with gradients_of_rows(module.encoder) if by_rows else nullcontext():
        return _run(net, train)


def train_classifier(
    module: TextClassifier,
    train: LabelledDocuments,
    valid: LabelledDocuments | None,
    options: TrainingOptions,
    unfreeze_schedule: str | Sequence[int],
    multilabel: bool,
    frozen_dropout: bool = True,
) -> list[dict[str, Any]]:
    """Train `module` in place (stage 3).

    Returns
    -------
    list of dict
        One an epoch: losses, learning rates, trained layer groups.
    """
    if options.max_epochs == 0:
        return []
    n_layers = len(module.encoder.layers)
    groups = ["encoder.embedding", *(f"encoder.layers.{layer}.*" for layer in range(n_layers))]
    net = ClassifierNet(
        module,
        frozen_dropout=frozen_dropout,
        criterion=ClassificationLoss,
        criterion__multilabel=multilabel,
        criterion__label_smoothing=options.label_smoothing,
        criterion__r_drop=options.r_drop,
        optimizer__param_groups=[(pattern, {}) for pattern in groups],
        iterator_train=LengthBatches,
        iterator_valid=LengthBatches,
        **_common(
            module, valid, options, GradientNormClipping(25.0), GradualUnfreezing(unfreeze_schedule)
        ),
    )
    return _run(net, train)


def _common(
    module: LanguageModel | TextClassifier,
    valid: Dataset | None,
    options: TrainingOptions,
    *callbacks: Callback,
    unit: str = "doc",
) -> dict[str, Any]:
    """Arguments that both nets share."""
    module.encoder.generator = seeded_generator(options.seed, options.device)
    schedule = ScheduledLR(options.schedule, options.cut_frac, options.lr_ratio)
    every: list[Any] = [DiscriminativeLR(options.lr_decay), schedule]
    if options.patience is not None:
        stopping = EarlyStopping(
            monitor="valid_loss" if valid is not None else "train_loss",
            patience=options.patience,
            load_best=True,
            sink=noop,
        )
        every.append(stopping)
    every.extend(callbacks)  # behind early stopping, whose state a checkpoint sets
    if options.verbose and own_share().is_first:
        every.append(ProgressBar(options.label, unit))
    # skorch sets attributes of the callbacks it is given: the user's own stay as they are.
    every.extend(copy.deepcopy(list(options.callbacks)))
    return {
        "lr": options.lr,
        "max_epochs": options.max_epochs,
        "batch_size": options.batch_size,
        "optimizer": torch.optim.AdamW,
        "optimizer__betas": (0.8, 0.99),  # the authors' scripts; the paper's text has 0.7
        "optimizer__weight_decay": options.weight_decay,
        "optimizer__fused": True,
        "train_split": predefined_split(valid) if valid is not None else None,
        "callbacks": every,
        "callbacks__print_log": None,
        "device": options.device,
        "amp": options.amp,
        "verbose": 0,
    }


def _run(net: ULMFiTNet, train: Dataset) -> list[dict[str, Any]]:
    net.fit(train, y=None)
    history = _without_timings(net.history.to_list())
    if net.interrupt_ is not None:
        raise TrainingInterrupted(history) from net.interrupt_
    return history


def _without_timings(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in epoch.items() if name not in ("batches", "dur")}
        for epoch in epochs
        if "train_loss" in epoch  # not one that was interrupted
    ]


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during training: what had been learned is in the module.

    It is a `KeyboardInterrupt`, so that a search around the fit stops too.
    """

    def __init__(
        self,
        history: list[dict[str, Any]],
        message: str = "Interrupted: the estimator is fitted with what it had learned so far.",
    ):
        super().__init__(message)
        self.history = history

    def __reduce__(self) -> Any:
        # An exception is pickled by the arguments of its base: a worker's would lose the message.
        return type(self), (self.history, str(self))
