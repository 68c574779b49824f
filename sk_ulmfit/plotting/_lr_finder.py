"""The curve of a learning-rate range test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._axes import STYLES, add_legend, axes_for


@dataclass(kw_only=True, eq=False, repr=False)
class LRFinderDisplay:
    """Loss against learning rate, with the suggested rate marked.

    `sk_ulmfit.lr_find` makes the curve; its result's `plot` makes this display.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_steps,)
        Learning rate of the topmost layer in every step.
    losses : ndarray of shape (n_steps,)
        Training loss of the step's batch.
    smoothed_losses : ndarray of shape (n_steps,)
        Means of neighbouring losses.
    suggestion : float
        The suggested rate; NaN if there is none.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.

    See Also
    --------
    sk_ulmfit.lr_find : Makes the curve.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed_losses: np.ndarray
    suggestion: float

    def plot(self, ax: Any = None) -> LRFinderDisplay:
        """Draw the curve over a logarithmic axis of learning rates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        LRFinderDisplay
        """
        ax = axes_for(ax)
        blue, red = STYLES[0][0], STYLES[1][0]
        ax.plot(self.learning_rates, self.losses, color="0.65", lw=0.8, label="each batch")
        ax.plot(self.learning_rates, self.smoothed_losses, color=blue, lw=2, label="smoothed")
        if np.isfinite(self.suggestion):
            at = np.argmin(np.abs(self.learning_rates - self.suggestion))
            ax.axvline(self.suggestion, color=red, ls="--", lw=1)
            ax.plot(
                self.suggestion,
                self.smoothed_losses[at],
                color=red,
                ls="--",
                marker="o",
                label=f"suggestion: {self.suggestion:.2g}",
            )
        ax.set_ylim(*self._limits())
        ax.set(xscale="log", xlabel="Learning rate of the topmost layer", ylabel="Training loss")
        ax.grid(alpha=0.3)
        add_legend(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _limits(self) -> tuple[float, float]:
        """Losses that are shown: the valley, not how far up its other side goes."""
        minimum = int(self.smoothed_losses.argmin())
        low, high = self.smoothed_losses[minimum], self.smoothed_losses.max()
        if minimum:
            high = min(high, 2 * self.smoothed_losses[:minimum].max() - low)
        margin = 0.25 * (high - low) or 1.0
        return max(0.0, low - margin), high + margin
