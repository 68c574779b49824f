"""How long a training will take, said in the log before it has taken long."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from skorch.callbacks import Callback

_log = logging.getLogger("sk_ulmfit")

# Seconds of training after which its speed is known well enough.
_MEASURED = 2.0

# Seconds beyond which a training is told of even where no log was asked for.
_LONG = 600.0

_UNITS = (("hour", 3600.0), ("minute", 60.0), ("second", 1.0))


class Forecast(Callback):
    """Log what is trained and about how long it will take, once the first steps have shown it.

    The line is of the level INFO, of a training of ten minutes and more without a progress bar
    WARNING: Python shows that unless it was told otherwise.

    Parameters
    ----------
    label : str
        What is being trained.
    unit : {"tok", "doc"}
        What is counted.
    shows_progress : bool
        Whether there is a bar, which tells the time left anyway.
    costs : sequence of float, default=None
        What the epochs cost, relative to one another; None: the same.
    """

    def __init__(
        self, label: str, unit: str, shows_progress: bool, costs: Sequence[float] | None = None
    ):
        self.label = label
        self.unit = unit
        self.shows_progress = shows_progress
        self.costs = costs

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.begin_: float | None = None
        self.spent_ = 0.0
        self.told_ = False

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        self.dataset_ = dataset_train

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if self.told_ or not training:
            return
        now = time.monotonic()
        if self.begin_ is None:  # the first step warms up
            self.begin_ = now
            return
        costs = self.costs or [1.0] * net.max_epochs
        epoch = min(len(net.history), net.max_epochs) - 1  # a callback may have loaded some
        self.spent_ += costs[epoch]
        if now - self.begin_ < _MEASURED:
            return
        self.told_ = True
        n_batches = len(net.get_iterator(self.dataset_, training=True))
        seconds = (now - self.begin_) / self.spent_ * n_batches * sum(costs[epoch:])
        alarming = seconds >= _LONG and not self.shows_progress
        what = "tokens" if self.unit == "tok" else "texts"
        _log.log(
            logging.WARNING if alarming else logging.INFO,
            "%s: %d epochs of %s %s on %s take about %s%s",
            self.label,
            net.max_epochs,
            f"{len(self.dataset_):,}",
            what,
            net.device,
            duration(seconds),
            "; verbose=1 shows progress, fewer max_epochs take less time" if alarming else "",
        )


def duration(seconds: float) -> str:
    """Say how long something takes, in the unit that fits.

    Examples
    --------
    >>> duration(90), duration(3600), duration(0.1)
    ('2 minutes', '60 minutes', '1 second')
    """
    name, size = next(
        ((name, size) for name, size in _UNITS if seconds >= 1.5 * size), ("second", 1.0)
    )
    n = max(1, round(seconds / size))
    return f"{n} {name}{'s' if n > 1 else ''}"
