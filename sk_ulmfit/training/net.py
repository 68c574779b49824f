"""What both trainings share: options, the net around skorch's, and each direction in turn."""

from __future__ import annotations

import dis
import math
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import Tensor
from torch.utils.data import Dataset

from .._warnings import warn
from ..callbacks import DiscriminativeLR, ScheduledLR
from ..models.networks import Weights
from ..modules.dropout import MaskSource
from .devices import mixed_precision, resolve_device, wants_bfloat16, warn_of_busy_cores
from .distributed import own_share
from .forecast import Forecast
from .progress import ProgressBar


@dataclass(frozen=True)
class TrainingOptions:
    """How to train: parameters that both estimators share, under their names."""

    lr: float
    lr_decay: float
    schedule: str
    cut_frac: float
    lr_ratio: float
    max_epochs: int
    batch_size: int
    bptt: int
    dropout_mult: float
    weight_decay: float
    early_stopping: bool
    patience: int
    callbacks: tuple[Any, ...]
    device: torch.device
    amp: bool | str
    verbose: int
    seed: int
    label: str = ""  # of the progress bar
    deadline: float | None = None  # by the clock of a time budget
    quiet: bool = False  # whether nothing is said of it

    @classmethod
    def of(cls, estimator: Any, **changes: Any) -> Self:
        """Read options off an estimator's parameters, all but some."""
        given = {**estimator.get_params(deep=False), **changes}
        options = {field.name: given[field.name] for field in fields(cls) if field.name in given}
        options["device"] = resolve_device(given["device"])
        options["callbacks"] = () if given["callbacks"] is None else tuple(given["callbacks"])
        return cls(**options)


class Outcome(NamedTuple):
    """What a training ends with.

    Parameters
    ----------
    weights : dict of str to dict of str to ndarray
        By direction.
    history : list of dict
        Of all directions, an entry an epoch.
    interrupt : KeyboardInterrupt or None
        The Ctrl-C that ended it early, if one did.
    """

    weights: dict[str, Weights]
    history: list[dict[str, Any]]
    interrupt: KeyboardInterrupt | None


class ULMFiTNet(NeuralNet):
    """What both nets add to skorch's: mixed precision, a check for divergence, interrupts.

    Parameters
    ----------
    masks : MaskSource
        Where the dropout masks come from.
    amp : bool, default=False
        Compute in bfloat16 where that is safe.
    **kwargs
        Of `skorch.NeuralNet`.

    Attributes
    ----------
    interrupt_ : KeyboardInterrupt or None
        skorch ends a training quietly on Ctrl-C. Kept here for the caller to raise again.
    """

    interrupt_: KeyboardInterrupt | None = None

    def __init__(
        self,
        *args: Any,
        masks: MaskSource = MaskSource(),  # noqa: B008
        amp: bool = False,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.masks = masks
        self.amp = amp

    def notify(self, method_name: str, **kwargs: Any) -> None:
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt as interrupt:
            # That is how skorch's callbacks end a training that has gone on for long enough.
            self._ended_by_callback = is_raised_by_code(interrupt)
            raise

    def fit_loop(self, X: Any, *args: Any, **kwargs: Any) -> ULMFiTNet:
        self.interrupt_, self._ended_by_callback = None, False
        try:
            super().fit_loop(X, *args, **kwargs)
            self._check_last_step(X)
            self._warn_if_astray(X)
            return self
        except KeyboardInterrupt as interrupt:
            if not self._ended_by_callback:
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
        batches = self._with_known_vectors(self.get_iterator(train, training=True))
        self.validation_step(next(iter(batches)))
        self.check_weights()

    def _with_known_vectors(self, batches: Any) -> Any:
        """The same batches, of vectors in place of texts where these are known already."""
        return batches

    def check_weights(self) -> None:
        """Refuse weights that are not finite.

        Raises
        ------
        FloatingPointError
        """
        if not all(torch.isfinite(value).all() for value in self.module_.state_dict().values()):
            raise self._diverged("weights that are not finite")

    def _warn_if_astray(self, train: Dataset) -> None:
        """Say so where all that was trained is worse than nothing."""
        losses = [epoch["train_loss"] for epoch in self.history if "train_loss" in epoch]
        constant = self._loss_of_constant_answer(train)
        # How far apart two readings are (R-Drop) is in the loss too, and much in the beginning.
        margin = 1 + getattr(self.criterion_, "r_drop", 0.0)
        if losses and losses[-1] > min(_ASTRAY * losses[0], constant) + margin:
            warn(
                f"Training went astray: the loss ended at {losses[-1]:.3g}, that of the first "
                f"epoch was {losses[0]:.3g}, that of an answer which is the same for every input "
                f"is {constant:.3g}. Lower lr (now {self.lr:g}), or lengthen the warm-up "
                "(cut_frac).",
                RuntimeWarning,
            )

    def _loss_of_constant_answer(self, train: Dataset) -> float:
        raise NotImplementedError

    def infer(self, x: Any, **fit_params: Any) -> Any:
        with mixed_precision(torch.device(self.device), self.amp):
            return super().infer(x, **fit_params)

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        if not any(parameter.requires_grad for parameter in self.module_.parameters()):
            raise ValueError(
                f"Nothing is left to train in epoch {len(self.history)}: every layer is frozen. Of "
                "those that train in it (the head first, where layers are unfrozen one by one) a "
                "callback (Freezer?) has to leave one as it is."
            )
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


# How many times the loss in the beginning, or of a constant answer, is far above it.
_ASTRAY = 2.0


def is_raised_by_code(interrupt: KeyboardInterrupt) -> bool:
    """Tell a ``raise KeyboardInterrupt`` in somebody's code from a Ctrl-C that came meanwhile."""
    place = interrupt.__traceback__
    assert place is not None
    while place.tb_next is not None:
        place = place.tb_next
    code = place.tb_frame.f_code
    if code is getattr(signal.getsignal(signal.SIGINT), "__code__", None):
        return False  # a program's own handler, which raises for the signal
    return dis.opname[code.co_code[place.tb_lasti]] == "RAISE_VARARGS"


def check_callbacks(callbacks: Iterable[Any] | None, holds_out: bool = True) -> None:
    """Refuse callbacks that skorch would fail on after an epoch, or after hours of stage 2.

    Parameters
    ----------
    callbacks : iterable or None
        As users pass them: callbacks, classes of them, or pairs of a name and one of these.
    holds_out : bool, default=True
        Whether texts are set aside, whose loss can be watched.

    Raises
    ------
    TypeError
        If one is no callback.
    ValueError
        If one watches the loss of texts that are not set aside.
    """
    callbacks = [] if callbacks is None else list(callbacks)
    plain = [c[1] if isinstance(c, (tuple, list)) and len(c) == 2 else c for c in callbacks]
    plain = [c() if isinstance(c, type) else c for c in plain]  # as skorch does
    for given, callback in zip(callbacks, plain, strict=True):
        if not hasattr(callback, "on_train_begin"):
            raise TypeError(
                "callbacks must hold callbacks of skorch, or pairs of a name and one, got "
                f"{given!r}."
            )
    if holds_out:
        return
    scores = [c.name or c.scoring for c in plain if hasattr(c, "scoring") and not c.on_train]
    for callback in plain:
        watched = getattr(callback, "monitor", None)
        if isinstance(watched, str) and (watched.startswith("valid_") or watched in scores):
            raise ValueError(
                f"{type(callback).__name__} watches {watched!r}, but no texts are set aside to "
                "take it of. Set early_stopping=True, which sets validation_fraction of the texts "
                "aside in fit (partial_fit sets none aside), give a classifier X_val and y_val, or "
                "watch 'train_loss'."
            )


def common_arguments(
    module: torch.nn.Module,
    masks: MaskSource,
    valid: Dataset | None,
    options: TrainingOptions,
    *callbacks: Callback,
    unit: str = "doc",
    costs: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Arguments that both nets share; `costs` are those of `Forecast`."""
    check_callbacks(options.callbacks, valid is not None)
    schedule = ScheduledLR(options.schedule, options.cut_frac, options.lr_ratio)
    every: list[Any] = [DiscriminativeLR(options.lr_decay), schedule]
    if options.early_stopping:
        stopping = EarlyStopping(
            monitor="valid_loss" if valid is not None else "train_loss",
            patience=options.patience,
            load_best=True,
            sink=noop,
        )
        every.append(stopping)
    every.extend(callbacks)  # behind early stopping, whose state a checkpoint sets
    if own_share().is_first and not options.quiet:
        every.append(Forecast(options.label, unit, bool(options.verbose), costs))
        if options.verbose:
            every.append(ProgressBar(options.label, unit))
    # By names of our own: skorch calls callbacks of one name together, where the first stands, and
    # would call a user's EarlyStopping before the score that it monitors.
    named = [(f"sk_ulmfit_{type(callback).__name__}", callback) for callback in every]
    return {
        "module": module,
        "masks": masks,
        "lr": options.lr,
        "max_epochs": options.max_epochs,
        "batch_size": options.batch_size,
        "optimizer": torch.optim.AdamW,
        "optimizer__betas": (0.8, 0.99),  # the authors' scripts; the paper's text has 0.7
        "optimizer__weight_decay": options.weight_decay,
        "optimizer__fused": True,
        "train_split": predefined_split(valid) if valid is not None else None,
        "callbacks": [*named, *options.callbacks],
        "callbacks__print_log": None,
        "device": options.device,
        "amp": wants_bfloat16(options.amp, options.device, module),
        "verbose": 0,
    }


def each_direction(
    directions: Iterable[str],
    train_one: Callable[[str, Any], tuple[Weights, list[dict[str, Any]], KeyboardInterrupt | None]],
    options: TrainingOptions,
    label: str,
) -> Outcome:
    """Train one direction after another, until one is interrupted.

    Directions that an interrupt did not let begin are left out: they would spoil the average.

    Parameters
    ----------
    directions : iterable of {"forward", "backward"}
    train_one : callable
        Takes a direction and its options, and gives its weights, its history and the interrupt.
    options : TrainingOptions
    label : str
        What is trained, for the progress bar.
    """
    warn_of_busy_cores(options.device)
    weights: dict[str, Weights] = {}
    history: list[dict[str, Any]] = []
    for n, direction in enumerate(directions):
        own = replace(options, seed=options.seed + n, label=f"{direction} {label}")
        with torch.inference_mode(False):  # whatever the caller is in
            weights[direction], epochs, interrupt = train_one(direction, own)
        history += [{"direction": direction, **epoch} for epoch in epochs]
        if interrupt is not None:
            return Outcome(weights, history, interrupt)
    return Outcome(weights, history, None)


def split_rows(
    rows: np.ndarray, fraction: float, seed: int, strata: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, and those that are set aside: one at least of either.

    Parameters
    ----------
    rows : ndarray of int
        Two at least.
    fraction : float
        How much is set aside.
    seed : int
    strata : ndarray, default=None
        What either part is to have alike.
    """
    n_held_out = min(math.ceil(fraction * len(rows)), len(rows) - 1)
    kept, held_out = train_test_split(
        rows, test_size=n_held_out, random_state=seed, stratify=strata
    )
    return kept, held_out


def history_of(epochs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
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
