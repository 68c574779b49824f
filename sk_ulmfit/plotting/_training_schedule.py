"""Learning rates and unfreezing over the steps of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from ..schedules import SCHEDULES, discriminative_rates, trained_groups
from ._axes import add_legend, axes_for, style
from ._fitted import check_is_ours, group_names, groups_in_words, history_by_direction


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingScheduleDisplay:
    """Learning rate of every layer over the steps, and when each is trained.

    Discriminative learning rates, slanted triangular learning rates (section 3.2 of the paper) and
    gradual unfreezing (section 3.3) in one figure. It is recommended to use `from_estimator` or
    `from_parameters`.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_steps, n_groups)
        Learning rate of every layer group, lowest first, in every step.
    trained : ndarray of shape (n_steps, n_groups), bool
        Which groups are trained in which step. The others are frozen.
    steps_per_epoch : int
        Number of steps in an epoch.
    group_names : sequence of str
        Names of the layer groups.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.

    See Also
    --------
    TrainingHistoryDisplay : Losses of a training.
    """

    learning_rates: np.ndarray
    trained: np.ndarray
    steps_per_epoch: int
    group_names: Sequence[str]

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, log_scale: bool = True
    ) -> TrainingScheduleDisplay:
        """Draw how a fitted estimator was trained.

        Parameters
        ----------
        estimator : ULMFiTClassifier or ULMFiTLanguageModel
            The fitted estimator. Of two directions, which are trained alike, the one is drawn that
            early stopping let train longer.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        log_scale : bool, default=True
            Whether the axis of learning rates is logarithmic.

        Returns
        -------
        TrainingScheduleDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is not one of this package.
        ValueError
            If it was not trained, or its history is not that of one call to `fit` with its
            parameters.
        """
        epochs = max(history_by_direction(estimator).values(), key=len)
        ended_with = np.array([epoch["lr"] for epoch in epochs])
        n_groups = ended_with.shape[1]
        steps_per_epoch = int(epochs[0]["train_batch_count"])
        # Not by lr_decay: language models that begin with random weights have none.
        rates = estimator.lr * ended_with[0] / ended_with[0, -1]
        # (early stopping ends before all that was planned; a time budget plans fewer)
        planned = [len(_planned_groups(estimator, n_groups))]
        if estimator.time_budget is not None:
            planned.append(len(epochs))
        at_ends = slice(steps_per_epoch - 1, None, steps_per_epoch)
        for n_epochs in planned:
            schedule = _learning_rates(estimator, rates, steps_per_epoch, n_epochs, len(epochs))
            done = schedule[at_ends]
            if len(done) == len(epochs) and np.allclose(done, ended_with, rtol=1e-6, atol=0):
                break
        else:
            raise ValueError(
                "history_ is not that of one call to fit with the estimator's parameters: fit "
                "went on (warm_start, partial_fit), or parameters were changed, or a callback "
                "changed the learning rates."
            )
        every = list(range(n_groups))
        trained = _in_each_step(
            [epoch.get("trained_groups", every) for epoch in epochs], n_groups, steps_per_epoch
        )
        display = cls(
            learning_rates=schedule,
            trained=trained,
            steps_per_epoch=steps_per_epoch,
            group_names=group_names(estimator),
        )
        return display.plot(ax, log_scale=log_scale)

    @classmethod
    def from_parameters(
        cls,
        estimator: Any,
        *,
        n_layers: int,
        steps_per_epoch: int,
        ax: Any = None,
        log_scale: bool = True,
    ) -> TrainingScheduleDisplay:
        """Draw how an estimator would be trained.

        Parameters
        ----------
        estimator : ULMFiTClassifier or ULMFiTLanguageModel
            The estimator; it need not be fitted.
        n_layers : int
            Number of LSTM layers of the language model.
        steps_per_epoch : int
            Number of steps in an epoch: for a classifier the number of texts divided by
            `batch_size`.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        log_scale : bool, default=True
            Whether the axis of learning rates is logarithmic.

        Returns
        -------
        TrainingScheduleDisplay

        Raises
        ------
        TypeError
            If it is not an estimator of this package.
        ValueError
            If a number is not 1 at least, or the unfreezing schedule is not valid.
        """
        check_is_ours(estimator)
        if n_layers < 1 or steps_per_epoch < 1 or estimator._n_epochs < 1:
            raise ValueError(
                "n_layers, steps_per_epoch and the estimator's max_epochs must be 1 at least, got "
                f"{n_layers}, {steps_per_epoch} and {estimator._n_epochs}."
            )
        names = group_names(estimator, n_layers)
        epochs = _planned_groups(estimator, len(names))
        if is_classifier(estimator):
            decay = estimator.lr_decay
        else:
            decay = estimator._lr_decay(from_scratch=estimator.pretrained is None)
        rates = np.array(discriminative_rates(estimator.lr, len(names), decay))
        display = cls(
            learning_rates=_learning_rates(estimator, rates, steps_per_epoch, len(epochs)),
            trained=_in_each_step(epochs, len(names), steps_per_epoch),
            steps_per_epoch=steps_per_epoch,
            group_names=names,
        )
        return display.plot(ax, log_scale=log_scale)

    def plot(self, ax: Any = None, *, log_scale: bool = True) -> TrainingScheduleDisplay:
        """Draw a curve for every layer, faint where it is frozen.

        Layers that are trained alike share a curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        log_scale : bool, default=True
            Whether the axis of learning rates is logarithmic.

        Returns
        -------
        TrainingScheduleDisplay
        """
        ax = axes_for(ax)
        n_steps = len(self.learning_rates)
        for number, groups in enumerate(self._alike()):
            rates, trained = self.learning_rates[:, groups[0]], self.trained[:, groups[0]]
            look = {**style(number), "marker": "o" if n_steps == 1 else ""}
            ax.plot(rates, **{**look, "linestyle": "-"}, lw=0.8, alpha=0.45)
            # To the beginning of the step after, or one step alone would not be seen.
            seen = trained | np.r_[False, trained[:-1]]
            label = groups_in_words(self.group_names, groups)
            ax.plot(np.where(seen, rates, np.nan), **look, lw=2.2, label=label)
        if log_scale:
            ax.set_yscale("log")
        else:
            ax.set_ylim(bottom=0.0)
        ax.set(xlabel="Training step", ylabel="Learning rate")
        ax.margins(x=0.02)
        per_epoch = self.steps_per_epoch
        above = ax.secondary_xaxis(
            "top", functions=(lambda step: step / per_epoch, lambda epoch: epoch * per_epoch)
        )
        above.set_xlabel("Epochs")
        above.xaxis.get_major_locator().set_params(integer=True)
        for step in np.flatnonzero((self.trained[1:] != self.trained[:-1]).any(axis=1)) + 1:
            ax.axvline(step, color="0.8", lw=0.8, zorder=0)
        frozen = not self.trained.all()
        add_legend(ax, title="faint: frozen" if frozen else None)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _alike(self) -> list[list[int]]:
        """Layer groups that are trained in the same steps at the same rates, topmost first."""
        kinds: dict[bytes, list[int]] = {}
        for group in reversed(range(self.learning_rates.shape[1])):
            course = self.learning_rates[:, group].tobytes() + self.trained[:, group].tobytes()
            kinds.setdefault(course, []).append(group)
        return list(kinds.values())


def _planned_groups(estimator: Any, n_groups: int) -> list[tuple[int, ...]]:
    """Layer groups that the parameters plan to train, by epoch."""
    unfreezing = getattr(estimator, "unfreeze_schedule", "full")
    return trained_groups(unfreezing, n_groups, estimator._n_epochs)


def _learning_rates(
    estimator: Any,
    rates: np.ndarray,
    steps_per_epoch: int,
    n_planned: int,
    n_epochs: int | None = None,
) -> np.ndarray:
    """Rates of the groups in every step of the first `n_epochs`, or of all that are planned."""
    factor = SCHEDULES[estimator.schedule]
    course = {"cut_frac": estimator.cut_frac, "lr_ratio": estimator.lr_ratio}
    n_steps = n_planned * steps_per_epoch
    steps = range(n_steps)[: None if n_epochs is None else n_epochs * steps_per_epoch]
    return np.outer([factor(step, n_steps, **course) for step in steps], rates)


def _in_each_step(
    epochs: Sequence[Sequence[int]], n_groups: int, steps_per_epoch: int
) -> np.ndarray:
    """Table of the trained groups, shape (n_steps, n_groups)."""
    trained = np.zeros((len(epochs), n_groups), dtype=bool)
    for epoch, groups in enumerate(epochs):
        trained[epoch, list(groups)] = True
    return trained.repeat(steps_per_epoch, axis=0)
