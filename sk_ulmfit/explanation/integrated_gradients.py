"""Integrals of gradients along a straight path (Sundararajan, Taly and Yan 2017).

What the gradients along a path add up to is the rise of the function from its begin to its end.

Maximum pooling puts hundreds of kinks into the path of a logit, most of them near its begin, where
the words hardly differ yet. So the points are the squares of equal steps, which lie close together
there. On en-small and classifiers of banking77 that took a third of the gradients that equal steps
took to be as exact, and rules for smooth functions (Gauss and Legendre's), or rules that refine
themselves where a kink is, were no better than equal steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Numbers of steps that are tried where none is given. The points of one are among those of the
# next, three times as many.
_FIRST, _LAST = 9, 2187


class Integral(NamedTuple):
    """What `integrate` gives."""

    shares: np.ndarray  # (n_tokens,)
    gap: float
    n_steps: int


def integrate(
    slopes: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rise: float,
    n_steps: int | None,
    tolerance: float,
) -> Integral:
    """Integrate slopes from 0 to 1, by the midpoint rule for the root of the way.

    Parameters
    ----------
    slopes : callable
        Takes points and their weights, both of shape (n,), and gives the weighted sum over the
        points of the share that every token has in the slope there, shape (n_tokens,).
    rise : float
        What the shares have to add up to.
    n_steps : int or None
        None: three times as many, until `tolerance` is kept.
    tolerance : float
        Of the sum of the shares, and of how much any of them changes by three times the steps.

    Returns
    -------
    Integral
    """
    n = n_steps or _FIRST
    total = _weighed(slopes, _midpoints(n))
    settled = n_steps is not None
    while not settled and n < _LAST:
        before = total / n
        between = _midpoints(3 * n).reshape(n, 3)[:, [0, 2]]
        total = total + _weighed(slopes, between.ravel())
        n *= 3
        change = np.abs(total / n - before).max()
        settled = max(change, abs(rise - total.sum() / n)) <= tolerance
    shares = total / n
    return Integral(shares, rise - float(shares.sum()), n)


def _weighed(
    slopes: Callable[[np.ndarray, np.ndarray], np.ndarray], roots: np.ndarray
) -> np.ndarray:
    return slopes(roots**2, 2 * roots)


def _midpoints(n: int) -> np.ndarray:
    return (np.arange(n) + 0.5) / n
