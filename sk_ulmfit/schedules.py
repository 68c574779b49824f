"""Learning rates and unfreezing as pure functions of training progress.

Nothing here knows torch or skorch: `sk_ulmfit.callbacks` applies these to a net.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import NamedTuple

__all__ = [
    "LayerGroup",
    "constant",
    "cosine",
    "discriminative_rates",
    "layer_groups",
    "one_cycle",
    "slanted_triangular",
    "trained_groups",
]

# More epochs than a training can have: a list of them would fill the memory.
MOST_EPOCHS = 1_000_000

UNFREEZE_SCHEDULES = ("gradual", "full", "last", "chain-thaw")


class LayerGroup(NamedTuple):
    """Parameters of a network that learn at one rate and are unfrozen together.

    Parameters
    ----------
    name : str
        For figures.
    pattern : str
        What the names of its parameters match, and those of no group below it.
    """

    name: str
    pattern: str


def layer_groups(kind: str, n_layers: int) -> list[LayerGroup]:
    """The layer groups of a network, lowest first.

    Parameters
    ----------
    kind : {"language model", "classifier"}
        What the network is.
    n_layers : int
        Number of its LSTM layers.

    Returns
    -------
    list of LayerGroup
        The last one takes what those before leave.
    """
    layers = [LayerGroup(f"layer {n + 1}", f"*encoder.layers.{n}.*") for n in range(n_layers)]
    if kind == "language model":
        # The embedding is the softmax too, so it is the top.
        return [*layers, LayerGroup("embedding and softmax", "*")]
    return [LayerGroup("embedding", "*encoder.embedding"), *layers, LayerGroup("head", "*")]


def slanted_triangular(
    step: int, n_steps: int, *, cut_frac: float = 0.1, lr_ratio: float = 32.0
) -> float:
    """Slanted triangular learning rate as a fraction of the highest rate (paper section 3.2).

    Parameters
    ----------
    step : int
        Number of the optimizer step, from 0.
    n_steps : int
        Number of all steps.
    cut_frac : float, default=0.1
        Fraction of the steps in which the rate rises.
    lr_ratio : float, default=32.0
        How many times lower the lowest rate is than the highest.

    Returns
    -------
    float
        Between ``1 / lr_ratio`` and 1.

    Notes
    -----
    With fewer than ``1 / cut_frac`` steps the paper's ``cut`` is zero; it is taken as one then.
    As the paper rounds it down, the lowest rate is reached some steps before the last where
    ``n_steps * cut_frac`` is not whole: 9 of 19, 9 of 199. A single step is taken at the lowest
    rate; the second of two at the highest.
    """
    cut = max(1, math.floor(n_steps * cut_frac))
    if step < cut:
        p = step / cut
    else:
        p = 1 - (step - cut) / (cut * (1 / cut_frac - 1))
    return (1 + max(p, 0.0) * (lr_ratio - 1)) / lr_ratio


def one_cycle(step: int, n_steps: int, *, cut_frac: float = 0.25, lr_ratio: float = 32.0) -> float:
    """Cosine rise for `cut_frac` of the steps, then cosine fall (Smith 2018).

    The lowest rate would be that of the step after the last.

    Parameters
    ----------
    step : int
        Number of the optimizer step, from 0.
    n_steps : int
        Number of all steps.
    cut_frac : float, default=0.25
        Fraction of the steps in which the rate rises.
    lr_ratio : float, default=32.0
        How many times lower the lowest rate is than the highest.

    Returns
    -------
    float
        Between ``1 / lr_ratio`` and 1.
    """
    cut = max(1, math.floor(n_steps * cut_frac))
    p = step / cut if step < cut else 1 - (step - cut) / max(1, n_steps - cut)
    return (1 + (1 - math.cos(math.pi * p)) / 2 * (lr_ratio - 1)) / lr_ratio


def cosine(step: int, n_steps: int, *, cut_frac: float = 0.0, lr_ratio: float = 32.0) -> float:
    """Cosine fall from the first step to the one after the last (Loshchilov and Hutter 2017).

    Parameters
    ----------
    step : int
        Number of the optimizer step, from 0.
    n_steps : int
        Number of all steps.
    cut_frac : float, default=0.0
        Ignored: the rate never rises.
    lr_ratio : float, default=32.0
        How many times lower the lowest rate is than the highest.

    Returns
    -------
    float
        Between ``1 / lr_ratio`` and 1.
    """
    return (1 + (1 + math.cos(math.pi * step / n_steps)) / 2 * (lr_ratio - 1)) / lr_ratio


def constant(step: int, n_steps: int, *, cut_frac: float = 0.0, lr_ratio: float = 1.0) -> float:
    """Give the same rate at every step.

    Parameters
    ----------
    step : int
        Number of the optimizer step, from 0.
    n_steps : int
        Number of all steps.
    cut_frac : float, default=0.0
        Ignored.
    lr_ratio : float, default=1.0
        Ignored.

    Returns
    -------
    float
        1.
    """
    return 1.0


SCHEDULES: dict[str, Callable[..., float]] = {
    "slanted_triangular": slanted_triangular,
    "one_cycle": one_cycle,
    "cosine": cosine,
    "constant": constant,
}


def discriminative_rates(lr: float, n_groups: int, decay: float = 2.6) -> list[float]:
    """Learning rates of layer groups, lowest layer first (paper section 3.2).

    The last layer learns at `lr` and every layer at ``1 / decay`` of the one above it.

    Parameters
    ----------
    lr : float
        Learning rate of the last group.
    n_groups : int
        Number of layer groups.
    decay : float, default=2.6
        What the rate is divided by from group to group.

    Returns
    -------
    list of float
    """
    return [lr / _power(decay, n_groups - 1 - group) for group in range(n_groups)]


def _power(base: float, exponent: int) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf


def trained_groups(
    schedule: str | Sequence[int], n_groups: int, max_epochs: int
) -> list[tuple[int, ...]]:
    """Which layer groups are trained in which epoch (paper section 3.3).

    Parameters
    ----------
    schedule : {"gradual", "full", "last", "chain-thaw"} or sequence of int
        - ``"gradual"``: the last group for one epoch, then one more group each epoch.
        - ``"full"``: all groups from the start.
        - ``"last"``: the last group only.
        - ``"chain-thaw"`` (Felbo et al. 2017): one epoch for the last group, then one for each
          group alone from the lowest to the one below the last, then all groups.
        - a sequence of epochs per step: the last group for the first entry, the last two for the
          second, and so on; in the last entry all groups are trained. ``(1, 1, 4)`` is what the
          authors' scripts did. Its sum takes the place of `max_epochs`.
    n_groups : int
        Number of layer groups, lowest first.
    max_epochs : int
        Number of epochs.

    Returns
    -------
    list of tuple of int
        For every epoch the groups that are trained in it.

    Raises
    ------
    ValueError
        If the schedule is not known, or has more steps than there are groups.
    """
    every = tuple(range(n_groups))
    if not isinstance(schedule, str):
        return _own_schedule(list(schedule), n_groups)
    if schedule == "full":
        return [every] * max_epochs
    if schedule == "last":
        return [every[-1:]] * max_epochs
    if schedule == "gradual":
        steps = [every[-k:] for k in range(1, n_groups + 1)]
    elif schedule == "chain-thaw":
        steps = [every[-1:], *((group,) for group in every[:-1]), every]
    else:
        raise ValueError(
            f"unfreeze_schedule must be one of {list(UNFREEZE_SCHEDULES)} or a tuple of epochs "
            f"per step, got {schedule!r}."
        )
    return [steps[min(epoch, len(steps) - 1)] for epoch in range(max_epochs)]


def _own_schedule(epochs: list[int], n_groups: int) -> list[tuple[int, ...]]:
    whole = all(isinstance(n, Integral) and not isinstance(n, bool) and n >= 0 for n in epochs)
    if not epochs or not whole or not 0 < sum(epochs) <= MOST_EPOCHS:
        raise ValueError(
            "unfreeze_schedule as a tuple holds the number of epochs of each step, whole numbers "
            f"of which one at least is above 0 (at most {MOST_EPOCHS} in all), got "
            f"{tuple(epochs)!r}."
        )
    if len(epochs) > n_groups:
        raise ValueError(
            f"unfreeze_schedule={tuple(epochs)!r} has {len(epochs)} steps, but there are only "
            f"{n_groups} layer groups to unfreeze."
        )
    every = tuple(range(n_groups))
    steps = [every[-k:] for k in range(1, len(epochs))] + [every]
    return [groups for groups, n in zip(steps, epochs, strict=True) for _ in range(n)]
