"""A net whose training can be written down at any step, and goes on from there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from skorch.callbacks import EarlyStopping, PassthroughScoring
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from .._compat import EARLY_STOPPING_STATE
from ..callbacks import ScheduledLR
from ..models.directory import plain
from .net import ULMFiTNet


class ResumableNet(ULMFiTNet):
    """A net whose training goes on from a checkpoint, also from the middle of an epoch.

    Attributes
    ----------
    batches_before_ : list of (loss, size)
        Batches of the next epoch that were trained on before a checkpoint was taken up.
    epoch_begins_with_ : dict
        State of the random generator that shuffles, before it drew the epoch's order.

    Notes
    -----
    The state of callbacks of the user's own is not kept.
    """

    batches_before_: Sequence[tuple[float, float]] = ()
    epoch_begins_with_: Any = None

    @property
    def first_batch_(self) -> int:
        """Where the next epoch begins."""
        return len(self.batches_before_)

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kw: Any) -> ULMFiTNet:
        # History has epochs in it if a checkpoint was taken up.
        return super().fit_loop(X, y, epochs=self.max_epochs - len(self.history), **kw)

    def run_single_epoch(self, iterator: Any, training: bool, *args: Any, **kwargs: Any) -> None:
        if not training or iterator is None:
            super().run_single_epoch(iterator, training, *args, **kwargs)
            return
        random = iterator.dataset.rng.bit_generator
        if self.first_batch_:
            random.state = self.epoch_begins_with_
        else:
            self.epoch_begins_with_ = random.state
        iterator.first_batch = self.first_batch_
        for loss, size in self.batches_before_:
            self.history.new_batch()
            self.history.record_batch("train_loss", loss)
            self.history.record_batch("train_batch_size", int(size))
        self.batches_before_ = ()
        super().run_single_epoch(iterator, training, *args, **kwargs)
        self.history.record("train_batch_count", len(self.history[-1]["batches"]))

    def result(self) -> dict[str, Any]:
        """What is left of a training that is complete."""
        return {
            "history": json.dumps(self._epochs(), default=plain),
            "module": self._without_prefix(self.module_.state_dict()),
        }

    def progress(self) -> dict[str, Any]:
        """All that the rest of the training depends on, between two batches."""
        batches = [
            [row["train_loss"], row["train_batch_size"]] for row in self.history[-1]["batches"]
        ]
        assert self.masks.generator is not None
        stopping = self._callback(EarlyStopping)
        return {
            "module": self._without_prefix(self.module_.state_dict()),
            "optimizer": self.optimizer_.state_dict(),
            "generator": self.masks.generator.get_state(),
            "shuffle": json.dumps(self.epoch_begins_with_),
            "step": self._callback(ScheduledLR).step_,
            "history": json.dumps(self._epochs()[:-1], default=plain),
            "batches": torch.tensor(batches, dtype=torch.float64),
            "best_scores": {
                name: float(callback.best_score_)
                for name, callback in self.callbacks_
                if isinstance(callback, PassthroughScoring)
            },
            "stopping": json.dumps(
                stopping and {name: getattr(stopping, name) for name in EARLY_STOPPING_STATE},
                default=plain,
            ),
            "best": stopping and self._without_prefix(stopping.best_model_weights_ or {}),
        }

    def take_up(self, saved: dict[str, Any]) -> None:
        """Go on where `progress` was asked."""
        self.module_.load_state_dict(self._with_prefix(saved["module"]))
        self.optimizer_.load_state_dict(saved["optimizer"])
        generator, state = self.masks.generator, saved["generator"].cpu()
        if generator is not None and state.shape == generator.get_state().shape:
            generator.set_state(state)
        # else: from another kind of device, whose random numbers cannot be had here
        self.epoch_begins_with_ = json.loads(saved["shuffle"])
        self._callback(ScheduledLR).step_ = saved["step"]
        for epoch in json.loads(saved["history"]):
            self.history.new_epoch()
            for name, value in epoch.items():
                self.history.record(name, value)
        self.batches_before_ = saved["batches"].tolist()
        for name, callback in self.callbacks_:
            if name in saved["best_scores"]:
                callback.best_score_ = saved["best_scores"][name]
        stopping = self._callback(EarlyStopping)
        if stopping is not None:
            for name, value in json.loads(saved["stopping"]).items():
                setattr(stopping, name, value)
            stopping.best_model_weights_ = self._with_prefix(saved["best"]) or None

    def _callback(self, kind: type) -> Any:
        of_kind = (callback for _, callback in self.callbacks_ if isinstance(callback, kind))
        return next(of_kind, None)

    def _epochs(self) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in epoch.items() if name != "batches"}
            for epoch in self.history.to_list()
        ]

    # What the names of weights begin with where several processes train the module.

    @property
    def _prefix(self) -> str:
        return "module." if isinstance(self.module_, DistributedDataParallel) else ""

    def _with_prefix(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {self._prefix + name: tensor for name, tensor in weights.items()}

    def _without_prefix(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name.removeprefix(self._prefix): tensor for name, tensor in weights.items()}
