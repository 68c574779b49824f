"""A progress bar over all steps of a training."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm


class ProgressBar(Callback):
    """Show steps, epoch and losses, with the time left.

    Parameters
    ----------
    label : str
        What is being trained.
    """

    def __init__(self, label: str = ""):
        self.label = label

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.bar_: Any = None

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        if self.bar_ is None:
            steps = len(net.get_iterator(dataset_train, training=True))
            self.bar_ = tqdm(
                total=steps * net.max_epochs, desc=self.label, unit="batch", mininterval=0.5
            )

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if training:
            self.bar_.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        last = net.history[-1]
        losses = {
            name: f"{last[name]:.3f}" for name in ("train_loss", "valid_loss") if name in last
        }
        self.bar_.set_postfix(epoch=f"{last['epoch']}/{net.max_epochs}", **losses)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.bar_ is not None:
            self.bar_.close()
