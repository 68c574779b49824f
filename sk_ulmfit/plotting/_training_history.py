"""Losses of a training by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from ._axes import add_legend, axes_for, style
from ._fitted import group_names, groups_in_words, history_by_direction


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingHistoryDisplay:
    """Loss by epoch, of training and of validation, and when layers were unfrozen.

    It is recommended to use `from_estimator`.

    Parameters
    ----------
    train_losses : dict of str to ndarray of shape (n_epochs,)
        Mean training loss of every epoch, by direction of the language model.
    valid_losses : dict of str to ndarray of shape (n_epochs,)
        Loss on the texts set aside; empty if there were none.
    unfrozen : sequence of (int, str)
        Epochs, from 1, from which on other layers were trained than before, and what is new.
    loss_name : str, default="Loss"
        What the loss is, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.

    See Also
    --------
    TrainingScheduleDisplay : Learning rates of a training.
    """

    train_losses: Mapping[str, np.ndarray]
    valid_losses: Mapping[str, np.ndarray]
    unfrozen: Sequence[tuple[int, str]]
    loss_name: str = "Loss"

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> TrainingHistoryDisplay:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : ULMFiTClassifier or ULMFiTLanguageModel
            The fitted estimator. Epochs of later fits (`warm_start`, `partial_fit`) are drawn
            behind those before.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        TrainingHistoryDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is not one of this package.
        ValueError
            If it was not trained.
        """
        directions = history_by_direction(estimator)
        longest = max(directions.values(), key=len)
        classifies = is_classifier(estimator)
        display = cls(
            train_losses=_losses(directions, "train_loss"),
            valid_losses=_losses(directions, "valid_loss"),
            unfrozen=_unfrozen(longest, group_names(estimator)) if classifies else [],
            loss_name="Loss (nats per text)" if classifies else "Loss (nats per token)",
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> TrainingHistoryDisplay:
        """Draw the losses.

        An epoch's training loss is the mean over its steps, so layers are marked between the
        epoch that first trains them and the one before. Training losses are computed with
        dropout, and contain a language model's regularisation, or a classifier's label smoothing
        and R-Drop: losses on the texts set aside may well be lower.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        TrainingHistoryDisplay
        """
        ax = axes_for(ax)
        several = len(self.train_losses) > 1
        kinds = {"training": self.train_losses, "validation": self.valid_losses}
        curves = [
            (f"{kind}, {direction}" if several else kind, losses[direction])
            for direction in self.train_losses
            for kind, losses in kinds.items()
            if direction in losses
        ]
        for number, (label, losses) in enumerate(curves):
            ax.plot(np.arange(1, len(losses) + 1), losses, **style(number), label=label)
        for epoch, what in self.unfrozen:
            ax.axvline(epoch - 0.5, color="0.6", ls=":", lw=1.2, zorder=0)
            # Above the axes, where no data are.
            ax.annotate(
                what,
                (epoch - 0.5, 1.0),
                xycoords=ax.get_xaxis_transform(),
                xytext=(0, 3),
                textcoords="offset points",
                rotation=30,
                rotation_mode="anchor",
                ha="left",
                va="bottom",
                fontsize="small",
                color="0.3",
            )
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set(xlabel="Epoch", ylabel=self.loss_name)
        ax.grid(axis="y", alpha=0.3)
        add_legend(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _losses(directions: Mapping[str, list[dict[str, Any]]], name: str) -> dict[str, np.ndarray]:
    """Losses by direction, NaN in epochs without."""
    losses = {
        direction: np.array([epoch.get(name, np.nan) for epoch in epochs], dtype=float)
        for direction, epochs in directions.items()
    }
    return {direction: row for direction, row in losses.items() if not np.isnan(row).all()}


def _unfrozen(epochs: Sequence[dict[str, Any]], names: Sequence[str]) -> list[tuple[int, str]]:
    """Epochs with other layers than the one before: what is new, or what is left."""
    changes: list[tuple[int, str]] = []
    before: set[int] = set()
    for number, epoch in enumerate(epochs, start=1):
        now = set(epoch["trained_groups"])
        if now != before:
            new = now - before
            one_more = before and before <= now and len(new) == 1
            what = f"+ {names[new.pop()]}" if one_more else groups_in_words(names, now)
            changes.append((number, what))
        before = now
    # The same layers from the beginning to the end: nothing was unfrozen.
    return changes if len(changes) > 1 else []
