"""What both trainings share: options, the net around skorch's, and each direction in turn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import Tensor
from torch.utils.data import Dataset

from ..callbacks import DiscriminativeLR, ScheduledLR
from ..models.language_model import Weights, to_arrays
from ..modules import LanguageModel, TextClassifier
from .devices import mixed_precision, seeded_generator, warn_of_busy_cores
from .distributed import own_share
from .progress import ProgressBar

# Weights of each direction, history of all, and the Ctrl-C that ended it early, if one did.
Outcome = tuple[dict[str, Weights], list[dict[str, Any]], "TrainingInterrupted | None"]


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


class ULMFiTNet(NeuralNet):
    """What both nets add to skorch's: mixed precision, a check for divergence, interrupts.

    Parameters
    ----------
    amp : bool, default=False
        Compute in bfloat16 where that is safe.
    **kwargs
        Of `skorch.NeuralNet`.

    Attributes
    ----------
    interrupt_ : KeyboardInterrupt or None
        skorch ends a training quietly on Ctrl-C. Kept here for the caller to raise again.
    """

    def __init__(self, *args: Any, amp: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.amp = amp

    def fit_loop(self, X: Any, *args: Any, **kwargs: Any) -> ULMFiTNet:
        self.interrupt_: KeyboardInterrupt | None = None
        try:
            super().fit_loop(X, *args, **kwargs)
            self._check_last_step(X)
            return self
        except KeyboardInterrupt as interrupt:
            if not self._stopped_early():
                self.interrupt_ = interrupt
            raise
        except Exception:
            # skorch tells callbacks of an end only if it is a good one; a bar would stay open.
            for _, callback in self.callbacks_:
                if isinstance(callback, ProgressBar):
                    callback.on_train_end(self)
            raise

    def _check_last_step(self, train: Dataset) -> None:
        """Refuse weights that only one batch more would have shown to be useless."""
        batches = self._as_read(self.get_iterator(train, training=True))
        self.validation_step(next(iter(batches)))
        self.check_weights()

    def _as_read(self, batches: Any) -> Any:
        """What the network is given in place of batches of the data."""
        return batches

    def check_weights(self) -> None:
        """Refuse weights that are not finite.

        Raises
        ------
        FloatingPointError
        """
        if not all(torch.isfinite(value).all() for value in self.module_.state_dict().values()):
            raise self._diverged("weights that are not finite")

    def _stopped_early(self) -> bool:
        """Tell whether it was skorch's own early stopping that raised the interrupt."""
        return any(
            isinstance(callback, EarlyStopping) and callback.misses_ == callback.patience
            for _, callback in self.callbacks_
        )

    def infer(self, x: Any, **fit_params: Any) -> Any:
        with mixed_precision(torch.device(self.device), self.amp):
            return super().infer(x, **fit_params)

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        try:
            return super().train_step(batch, **fit_params)
        except torch.cuda.OutOfMemoryError as error:
            n_weights = sum(parameter.numel() for parameter in self.module_.parameters())
            raise torch.cuda.OutOfMemoryError(
                f"{self.device} ran out of memory while training a network of "
                f"{n_weights / 1e6:.1f} million weights on {self._describe(batch)} "
                f"({str(error).partition('.')[0]})."
            ) from error

    def _describe(self, batch: Any) -> str:
        """Name the sizes of a batch and the parameters that make it smaller."""
        raise NotImplementedError

    def get_loss(self, y_pred: Any, y_true: Any, *args: Any, **kwargs: Any) -> Tensor:
        with mixed_precision(torch.device(self.device), self.amp):
            loss = super().get_loss(y_pred, y_true, *args, **kwargs)
        if not self._is_sound(loss):
            raise self._diverged(f"a loss of {loss.item():.3g}")
        return loss

    def _is_sound(self, loss: Tensor) -> bool:
        return bool(torch.isfinite(loss))

    def _diverged(self, found: str) -> FloatingPointError:
        rate = max(group["lr"] for group in self.optimizer_.param_groups)
        return FloatingPointError(
            f"Training diverged: {found} in epoch {len(self.history)} at a learning rate of "
            f"{rate:.3g}. Lower lr (now {self.lr:g}), or lengthen the warm-up (cut_frac)."
        )


def each_direction(
    modules: dict[str, Any],
    train_one: Callable[[Any, bool, TrainingOptions], list[dict[str, Any]]],
    options: TrainingOptions,
    label: str,
) -> Outcome:
    """Train the modules one after another, until one is interrupted.

    Directions that an interrupt did not let begin are left out: they would spoil the average.
    """
    warn_of_busy_cores(options.device)
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


def common_arguments(
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


def run(net: ULMFiTNet, train: Dataset) -> list[dict[str, Any]]:
    """Train a net, and give its history: an entry an epoch."""
    net.fit(train, y=None)
    history = without_timings(net.history.to_list())
    if net.interrupt_ is not None:
        raise TrainingInterrupted(history) from net.interrupt_
    return history


def without_timings(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """History as users get it: whole epochs, without batches and durations."""
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
