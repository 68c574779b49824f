"""A progress bar over all steps of a training."""

from __future__ import annotations

import math
from typing import Any

from skorch.callbacks import Callback

from ..progress_bar import Bar

# A terminal of 80 columns cuts a long line at its right: what is awaited comes first, the bar last.
_FORMAT = "{desc}, {percentage:.0f}%, {elapsed}<{remaining}, {rate_fmt}{postfix} |{bar}|"


class ProgressBar(Callback):
    """Show how much has been trained, how fast, and the time left.

    A language model's bar counts tokens and shows the perplexity, which is a mean over about the
    last hundred batches. A classifier's counts documents, and shows loss and accuracy on the texts
    that are set aside, if there are any.

    Parameters
    ----------
    label : str
        What is being trained.
    unit : {"tok", "doc"}
        What is counted.
    """

    def __init__(self, label: str = "", unit: str = "doc"):
        self.label = label
        self.unit = unit

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.bar_: Any = None
        self.mean_nll_: Any = None

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        if self.bar_ is None:
            size = len(dataset_train)
            # Done before, if a checkpoint was taken up.
            epochs = float(len(net.history) - 1)
            if batches := getattr(net, "first_batch_", 0):
                epochs += batches / len(net.get_iterator(dataset_train, training=True))
            self.bar_ = Bar(
                total=size * net.max_epochs,
                initial=round(size * epochs),
                desc=self.label,
                unit=self.unit,
                unit_scale=True,
                bar_format=_FORMAT,
                mininterval=0.5,
            )

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        if not training or self.bar_.disable:
            return
        inputs, targets = batch
        if self.unit == "tok":
            nll, mean = net.criterion_.last_nll, self.mean_nll_
            self.mean_nll_ = nll if mean is None else mean * 0.99 + nll * 0.01
            self.bar_.update(inputs.numel() * net.share.count)
        else:
            self.bar_.update(len(targets))
        # Reading a number off a GPU waits for it: only when the bar has just been drawn.
        if self.mean_nll_ is not None and self.bar_.n == self.bar_.last_print_n:
            self.bar_.set_postfix(self._state(net), refresh=False)

    def _state(self, net: Any, **held_out: str) -> dict[str, str]:
        state = {"epoch": f"{len(net.history)}/{net.max_epochs}", **held_out}
        if self.mean_nll_ is not None:
            state["perplexity"] = _perplexity(float(self.mean_nll_))
        return state

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        last, held_out = net.history[-1], {}
        shown = _perplexity if self.unit == "tok" else "{:.3f}".format
        if "valid_loss" in last:
            held_out["valid"] = shown(last["valid_loss"])
        if "valid_acc" in last:
            held_out["accuracy"] = f"{last['valid_acc']:.3f}"
        state = self._state(net, **held_out)
        if self.unit == "doc":
            state["loss"] = shown(last["train_loss"])
        self.bar_.set_postfix(state)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.bar_ is not None:
            self.bar_.close()


def _perplexity(nll: float) -> str:
    return f"{math.exp(min(nll, 50.0)):.1f}"
