"""The learning-rate range test (Smith 2017): at which rates an estimator can be trained."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone
from skorch.callbacks import Callback

from ._estimator import ULMFiTEstimator
from ._warnings import warn
from .plotting import LRFinderDisplay

__all__ = ["LRFindResult", "lr_find"]

# Fewer steps or losses make no curve.
_FEWEST = 10

# Fraction of the steps over which a step's weight falls to 1 / e, in the means that smooth losses:
# the same stretch of learning rates, however many steps go through it.
_WIDTH = 0.045

# How many times its lowest value the running mean of the losses is when the test ends.
_DIVERGED = 4.0


@dataclass(frozen=True, eq=False)
class LRFindResult:
    """The curve of a learning-rate range test.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_steps,)
        Learning rate of the topmost layer in every step.
    losses : ndarray of shape (n_steps,)
        Training loss of the step's batch, before the step.
    smoothed_losses : ndarray of shape (n_steps,)
        Means of neighbouring losses.
    suggestion : float
        The learning rate at which the smoothed loss falls fastest; NaN if it does not fall.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed_losses: np.ndarray
    suggestion: float

    def plot(self, ax: Any = None) -> LRFinderDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        LRFinderDisplay
        """
        return LRFinderDisplay(**vars(self)).plot(ax)


def lr_find(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    min_lr: float = 1e-6,
    max_lr: float = 10.0,
    n_steps: int = 100,
) -> LRFindResult:
    """Find a learning rate: train at rates that rise from step to step, and watch the loss.

    This is the learning-rate range test [1]_. A clone of the estimator is trained for `n_steps`
    steps at exponentially rising rates, or until the loss diverges: until its running mean is four
    times the lowest one, or it is not finite. All layers are trained from the first step on,
    whatever `unfreeze_schedule` says, as in most epochs of gradual unfreezing. Every layer's
    rate keeps its ratio to that of the layer above it (`lr_decay`): the rates of the result are
    those of the parameter `lr`.

    Parameters
    ----------
    estimator : ULMFiTClassifier or ULMFiTLanguageModel
        It is left as it is, fitted or not.
    X : iterable of str, or EncodedDocuments
        The texts, as for the estimator's `fit`. A classifier fine-tunes its language model on raw
        texts first, in every call: hand over `EncodedDocuments`, or put a fitted language model
        into `sklearn.frozen.FrozenEstimator`, to do that only once.
    y : array-like, default=None
        The labels, as for the classifier's `fit`.
    min_lr, max_lr : float, default=1e-6, 10.0
        Learning rates of the first and of the last step.
    n_steps : int, default=100
        Number of steps, from 10 up.

    Returns
    -------
    LRFindResult
        The curve, and the suggested rate.

    Raises
    ------
    TypeError
        If it is another kind of estimator.
    ValueError
        If a parameter is not valid, or the loss diverges before there is a curve.
    FloatingPointError
        If the training of the classifier's language model, which comes first, diverges.

    Warns
    -----
    RuntimeWarning
        If the loss does not fall at any rate, so that there is no suggestion.

    See Also
    --------
    sk_ulmfit.plotting.LRFinderDisplay : The figure.

    Notes
    -----
    The suggestion is the rate at which the smoothed loss falls fastest, on its way down to its
    minimum from where it was last as high as in the beginning (batches differ: before that, there
    are falls that are not learned). At the minimum itself the rate is already too high: there the
    gain of a step is just lost again. It is a place to begin a search at, and as rough as the
    curve is: look at its plot.

    Smoothed losses are means whose weights fall with the distance to both sides, to 1 / e over
    4.5 % of the steps, so that the curve is not shifted to higher rates, as by a running mean. A
    loss above four times the lowest mean counts as that much.

    Of two directions, the first is tested. With an int as the estimator's `random_state`, equal
    calls give equal results. Callbacks of the estimator take part. `verbose` has no effect: the
    test is over long before a progress bar of all its possible epochs would be.

    References
    ----------
    .. [1] L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017,
       section 3.3.

    Examples
    --------
    >>> from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, lr_find
    >>> texts = ["Where is my card?", "The app does not start."] * 10
    >>> labels = ["card", "app"] * 10
    >>> documents = ULMFiTLanguageModel(max_epochs=0).fit(texts).transform(texts)
    >>> result = lr_find(ULMFiTClassifier(random_state=0), documents, labels)
    >>> result.losses.shape == result.learning_rates.shape
    True
    """
    _check(estimator, min_lr, max_lr, n_steps)
    rising = _RisingLR(np.geomspace(min_lr, max_lr, n_steps))
    tested = clone(estimator)
    params = tested.get_params(deep=False)
    wanted = {
        "callbacks": [*(params["callbacks"] or ()), rising],  # the last to set the rates
        "schedule": "constant",
        "unfreeze_schedule": "full",
        "max_epochs": n_steps,  # an epoch has at least one step
        "linear_share": 0.0,
        "early_stopping": False,  # neither this nor calibration: every batch is one of training
        "calibrate": False,
        "checkpoint_dir": None,
        "verbose": 0,
    }
    tested.set_params(**{name: value for name, value in wanted.items() if name in params})
    try:
        tested.fit(X, y)
    except _TestEnded:
        pass
    except FloatingPointError:
        if not rising.began:
            raise  # the language model below the classifier
    else:
        if len(rising.losses) < _FEWEST:
            raise ValueError(
                f"A callback ended the training after {len(rising.losses)} of {n_steps} steps: "
                "leave it out here."
            )
    losses = np.array(rising.losses)
    if len(losses) < _FEWEST:
        raise ValueError(
            f"The loss diverged within {len(losses)} steps, from min_lr={min_lr:g} on: lower it."
        )
    rates = rising.learning_rates[: len(losses)]
    smoothed = smooth(np.minimum(losses, _DIVERGED * rising.best), _WIDTH * n_steps)
    return LRFindResult(rates, losses, smoothed, suggest(rates, smoothed))


def _check(estimator: Any, min_lr: float, max_lr: float, n_steps: int) -> None:
    if not isinstance(estimator, ULMFiTEstimator):
        raise TypeError(
            "lr_find takes a ULMFiTClassifier or a ULMFiTLanguageModel, got "
            f"{type(estimator).__name__}. Of a Pipeline hand over the step, and as X what the "
            "steps before it give."
        )
    numbers = isinstance(min_lr, Real) and isinstance(max_lr, Real)
    if not numbers or not 0 < min_lr < max_lr < np.inf:
        raise ValueError(
            "min_lr must be above 0 and below max_lr, which must be finite, got "
            f"min_lr={min_lr!r} and max_lr={max_lr!r}."
        )
    if not isinstance(n_steps, Integral) or n_steps < _FEWEST:
        raise ValueError(f"n_steps must be a whole number from {_FEWEST} up, got {n_steps!r}.")


class _TestEnded(Exception):
    """All steps are done, or the loss has diverged: ends the training around the test."""


class _RisingLR(Callback):
    """Sets the rates of the test and writes down the losses.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_steps,)
    """

    def __init__(self, learning_rates: np.ndarray):
        self.learning_rates = learning_rates
        self.losses: list[float] = []
        self.best = np.inf  # running mean of the losses, at its lowest
        self.began = False

    def on_batch_begin(self, net: Any, **kwargs: Any) -> None:
        """Set the rates of the step."""
        self.began = True
        rate = self.learning_rates[len(self.losses)]
        for group in net.optimizer_.param_groups:
            group["lr"] = group["initial_lr"] * rate / net.lr

    def on_batch_end(self, net: Any, loss: Any = None, **kwargs: Any) -> None:
        """Write down the loss, and end the test if it is enough."""
        self.losses.append(loss.item())
        age = np.arange(len(self.losses))[::-1] / len(self.learning_rates)
        mean = float(np.average(self.losses, weights=np.exp(-age / _WIDTH)))
        self.best = min(self.best, mean)
        diverged = len(self.losses) >= _FEWEST and mean > _DIVERGED * self.best
        if diverged or len(self.losses) == len(self.learning_rates):
            raise _TestEnded


def smooth(losses: np.ndarray, width: float) -> np.ndarray:
    """Means of neighbouring losses, with weights that fall with the distance to both sides.

    Parameters
    ----------
    losses : ndarray of shape (n_steps,)
    width : float
        Distance, in steps, over which a weight falls to 1 / e.

    Returns
    -------
    ndarray of shape (n_steps,)
    """
    steps = np.arange(len(losses))
    weights = np.exp(-np.abs(steps[:, None] - steps) / width)
    return weights @ losses / weights.sum(axis=1)


def suggest(learning_rates: np.ndarray, smoothed_losses: np.ndarray) -> float:
    """Learning rate of the fastest fall on the way to the minimum.

    Parameters
    ----------
    learning_rates, smoothed_losses : ndarray of shape (n_steps,)

    Returns
    -------
    float
        NaN, with a warning, if the loss does not fall.
    """
    minimum = int(smoothed_losses.argmin())
    if minimum == 0:
        warn(
            f"The loss did not fall at any learning rate from {learning_rates[0]:.3g} to "
            f"{learning_rates[-1]:.3g}: no rate is suggested. Lower "
            "min_lr, or train on more texts.",
            RuntimeWarning,
        )
        return float("nan")
    # Rates rise exponentially: a step is the same distance on the logarithmic axis everywhere.
    start = smoothed_losses[0]
    slopes = np.gradient(np.minimum(smoothed_losses, start))
    first = int(np.flatnonzero(smoothed_losses[:minimum] >= start)[-1])
    return float(learning_rates[first + slopes[first : minimum + 1].argmin()])
