"""ULMFiT's ways of training as skorch callbacks, for any skorch net.

A *layer group* is a parameter group of the net's optimizer, lowest layer first and the head last.
skorch makes them of parameter names; what no pattern takes becomes the last group::

    NeuralNetClassifier(
        module,
        optimizer__param_groups=[("embedding*", {}), ("hidden*", {})],  # and the rest: the head
        callbacks=[DiscriminativeLR(), SlantedTriangularLR(), GradualUnfreezing()],
    )
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skorch.callbacks import Callback

from .schedules import SCHEDULES, discriminative_rates, trained_groups

__all__ = ["DiscriminativeLR", "GradualUnfreezing", "ScheduledLR", "SlantedTriangularLR"]


class DiscriminativeLR(Callback):
    """Lower learning rates for lower layers (paper section 3.2).

    Parameters
    ----------
    lr_decay : float, default=2.6
        The rate of a layer group is that of the group above it divided by this. The last group
        learns at the net's ``lr``.
    """

    def __init__(self, lr_decay: float = 2.6):
        self.lr_decay = lr_decay

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        groups = net.optimizer_.param_groups
        rates = discriminative_rates(net.lr, len(groups), self.lr_decay)
        for group, rate in zip(groups, rates, strict=True):
            # torch's schedulers too take "initial_lr" for the rate that they vary.
            group["lr"] = group["initial_lr"] = rate


class ScheduledLR(Callback):
    """Vary the learning rate of every layer group from step to step.

    Each group's rate is the one it began with (that of `DiscriminativeLR`, if it comes first
    among the callbacks) times a factor between 0 and 1.

    Parameters
    ----------
    schedule : {"slanted_triangular", "one_cycle", "cosine", "constant"}
    cut_frac : float, default=0.1
        Fraction of the steps in which the rate rises.
    lr_ratio : float, default=32.0
        How many times lower the lowest rate is than the highest.
    n_epochs : int, default=None
        Number of epochs that the schedule spans; the net's ``max_epochs`` if None.

    Notes
    -----
    The number of steps of an epoch is the ``len`` of the net's training iterator: an
    `IterableDataset` needs a ``__len__``.
    """

    def __init__(
        self,
        schedule: str = "slanted_triangular",
        cut_frac: float = 0.1,
        lr_ratio: float = 32.0,
        n_epochs: int | None = None,
    ):
        self.schedule = schedule
        self.cut_frac = cut_frac
        self.lr_ratio = lr_ratio
        self.n_epochs = n_epochs

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        for group in net.optimizer_.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.step_ = 0
        self.n_steps_ = 0  # not known before the first epoch

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        if not self.n_steps_:
            n_epochs = self.n_epochs or net.max_epochs
            try:
                n_batches = len(net.get_iterator(dataset_train, training=True))
            except TypeError as error:
                raise TypeError(
                    "A course of the learning rate needs to know how many steps an epoch has, and "
                    "the data are a stream without a length: give the dataset a __len__."
                ) from error
            self.n_steps_ = n_epochs * n_batches

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if not training:
            return
        factor = SCHEDULES[self.schedule](
            min(self.step_, self.n_steps_),
            self.n_steps_,
            cut_frac=self.cut_frac,
            lr_ratio=self.lr_ratio,
        )
        for group in net.optimizer_.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.step_ += 1

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        net.history.record("lr", [group["lr"] for group in net.optimizer_.param_groups])

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        for group in net.optimizer_.param_groups:
            # Not kept: the net's next fit may be at another rate.
            group["lr"] = group.pop("initial_lr")


class SlantedTriangularLR(ScheduledLR):
    """Slanted triangular learning rates (paper section 3.2): a short rise, a long linear fall.

    Parameters
    ----------
    cut_frac : float, default=0.1
        Fraction of the steps in which the rate rises.
    lr_ratio : float, default=32.0
        How many times lower the lowest rate is than the highest.
    n_epochs : int, default=None
        Number of epochs that the triangle spans; the net's ``max_epochs`` if None.
    """

    def __init__(self, cut_frac: float = 0.1, lr_ratio: float = 32.0, n_epochs: int | None = None):
        super().__init__("slanted_triangular", cut_frac, lr_ratio, n_epochs)


class GradualUnfreezing(Callback):
    """Train the last layer group first and the lower ones from later epochs on (section 3.3).

    Parameters
    ----------
    schedule : {"gradual", "full", "last", "chain-thaw"} or tuple of int, default="gradual"
        See `sk_ulmfit.schedules.trained_groups`.

    Notes
    -----
    A frozen parameter has ``requires_grad=False``: no backward pass is computed below the lowest
    trained layer, and an adaptive optimizer makes its state when the group is first trained. What
    another callback freezes, such as skorch's `Freezer`, stays frozen, whatever their order: this
    one is called after the others, and frees at the end of an epoch what it froze itself.
    """

    def __init__(self, schedule: str | Sequence[int] = "gradual"):
        self.schedule = schedule

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.epoch_ = 0
        groups = net.optimizer_.param_groups
        self.plan_ = trained_groups(self.schedule, len(groups), net.max_epochs)
        self.frozen_: list[Any] = []
        # Called last it sees what others freeze.
        net.callbacks_ = sorted(net.callbacks_, key=lambda named: named[1] is self)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        # A net that trains on past the plan stays with its last step.
        trained = self.plan_[min(self.epoch_, len(self.plan_) - 1)]
        for i, group in enumerate(net.optimizer_.param_groups):
            for parameter in group["params"]:
                if i not in trained and parameter.requires_grad:
                    parameter.requires_grad_(False)
                    self.frozen_.append(parameter)
                if not parameter.requires_grad:
                    parameter.grad = None  # or the optimizer would go on with the last one
        net.history.record("trained_groups", list(trained))
        self.epoch_ += 1

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.epoch_ < net.max_epochs:
            self.on_train_end(net)  # before others freeze for the next epoch

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        for parameter in self.frozen_:  # by this callback: what others froze stays frozen
            parameter.requires_grad_(True)
        self.frozen_ = []
