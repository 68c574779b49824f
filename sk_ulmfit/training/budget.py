"""Training within a time: as many epochs as fit are planned before the first of them begins.

A training that is cut off in the middle is at high learning rates, with layers that were never
unfrozen. A shorter one whose schedules run to their end is better.
"""

from __future__ import annotations

import logging
import time

import numpy as np

from .._warnings import warn
from .forecast import duration

clock = time.monotonic

# The share of the time left that is planned with: machines are slower at times.
_PLANNED = 0.9

_log = logging.getLogger("sk_ulmfit")


def deadline_of(time_budget: float | None) -> float | None:
    """When a fit that begins now has to be done, by `clock`.

    Parameters
    ----------
    time_budget : float or None
        In seconds; None: it may take as long as it will.
    """
    return None if time_budget is None else clock() + float(time_budget)


def fits(seconds: float, deadline: float) -> bool:
    """Whether something can be planned to be done in time.

    Parameters
    ----------
    seconds : float
        That it takes.
    deadline : float
        By `clock`.
    """
    return seconds <= _PLANNED * (deadline - clock())


def epochs_within(deadline: float, seconds: np.ndarray, least: int, what: str) -> int:
    """Choose how many epochs to train for: all, or as many as end in time.

    Parameters
    ----------
    deadline : float
        By `clock`.
    seconds : ndarray of shape (max_epochs,)
        What one epoch takes, two, and so on.
    least : int
        Number of epochs without which there is nothing to keep.
    what : str
        Is trained.

    Warns
    -----
    UserWarning
        If there is no time for the least.
    """
    left = deadline - clock()
    n_epochs = int(np.searchsorted(seconds, _PLANNED * left, side="right"))
    _log.info(
        "%s: %d epochs would take about %s; in the %.3g s that are left of the time_budget: %d",
        *(what, len(seconds), duration(seconds[-1]), left, max(n_epochs, least)),
    )
    if n_epochs < least:
        warn(
            f"time_budget is too small: an epoch of the {what} takes about {seconds[0]:.2g} "
            f"seconds, and {max(left, 0):.2g} are left. It is trained for one all the same."
        )
    return max(n_epochs, least)
