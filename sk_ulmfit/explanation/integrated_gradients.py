"""Integrals of gradients along a straight path (Sundararajan, Taly and Yan 2017).

A path's end minus its begin is what the gradients along it add up to. Maximum pooling and the
rectified units of the head make kinks in the path of a logit, where no rule of a fixed number of
points gets far: halving the distance between 300 points halves the error, no more. So the path is
halved where it is needed. What the gradients of a stretch add up to must be the rise of the logit
on it; where it is not, there is a kink.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Gauss and Legendre's points of a stretch, and their weights, for a stretch from 0 to 1.
_POINTS, _WEIGHTS = (np.polynomial.legendre.leggauss(4) * np.array([[0.5], [0.5]])).tolist()
_POINTS = np.array(_POINTS) + 0.5
_WEIGHTS = np.array(_WEIGHTS)
POINTS_OF_STRETCH = len(_POINTS)

# Equal stretches that the path is divided into at first.
_FIRST = 4


class Stretch(NamedTuple):
    """A part of the path."""

    start: float
    stop: float
    values: tuple[float, float]  # at its begin and its end
    integral: np.ndarray  # (n_tokens,)

    @property
    def gap(self) -> float:
        """What is missing in the integral."""
        return self.values[1] - self.values[0] - float(self.integral.sum())


class Integral(NamedTuple):
    """What `integrate` gives."""

    attributions: np.ndarray  # (n_tokens,), float64
    end: float
    begin: float
    n_steps: int


def integrate(
    values: Callable[[np.ndarray], np.ndarray],
    slopes: Callable[[np.ndarray], np.ndarray],
    n_steps: int,
    tolerance: float,
) -> Integral:
    """Integrate the slopes of a function from 0 to 1.

    Parameters
    ----------
    values : callable
        Gives the function at points of shape (n,), shape (n,).
    slopes : callable
        Gives the share that every token has in its slope there, shape (n, n_tokens).
    n_steps : int
        At how many points `slopes` is asked for at most.
    tolerance : float
        How much the gaps of all stretches may add up to, their signs left out.

    Returns
    -------
    Integral
    """
    n_first = max(1, min(_FIRST, n_steps // POINTS_OF_STRETCH))
    edges = np.linspace(0.0, 1.0, n_first + 1)
    heights = values(edges)
    stretches = _stretches(edges[:-1], edges[1:], heights[:-1], heights[1:], slopes)
    begin, end = float(heights[0]), float(heights[-1])
    n_used = n_first * POINTS_OF_STRETCH
    while True:
        room = (n_steps - n_used) // (2 * POINTS_OF_STRETCH)
        worst = _to_halve(stretches, tolerance)[:room]
        if not worst:
            break
        halves = _halves([stretches[i] for i in worst], values, slopes)
        n_used += len(halves) * POINTS_OF_STRETCH
        halved = set(worst)
        stretches = [kept for i, kept in enumerate(stretches) if i not in halved] + halves
    # In the order of the path, so that the sum is rounded the same whatever was halved when.
    stretches.sort(key=lambda stretch: stretch.start)
    attributions = np.sum([stretch.integral for stretch in stretches], axis=0)
    return Integral(attributions, end, begin, n_used)


def _to_halve(stretches: list[Stretch], tolerance: float) -> list[int]:
    """Stretches without which the gaps would add up to half the tolerance, the worst first."""
    gaps = np.abs([stretch.gap for stretch in stretches])
    if gaps.sum() <= tolerance:
        return []
    order = np.argsort(-gaps, kind="stable")
    left_over = gaps.sum() - np.cumsum(gaps[order])
    return order[: 1 + int(np.count_nonzero(left_over > tolerance / 2))].tolist()


def _halves(
    stretches: list[Stretch],
    values: Callable[[np.ndarray], np.ndarray],
    slopes: Callable[[np.ndarray], np.ndarray],
) -> list[Stretch]:
    starts = np.array([stretch.start for stretch in stretches])
    stops = np.array([stretch.stop for stretch in stretches])
    ends = np.array([stretch.values for stretch in stretches])
    middles = (starts + stops) / 2
    heights = values(middles)
    return [
        *_stretches(starts, middles, ends[:, 0], heights, slopes),
        *_stretches(middles, stops, heights, ends[:, 1], slopes),
    ]


def _stretches(
    starts: np.ndarray,
    stops: np.ndarray,
    from_: np.ndarray,
    to: np.ndarray,
    slopes: Callable[[np.ndarray], np.ndarray],
) -> list[Stretch]:
    widths = stops - starts
    points = starts[:, np.newaxis] + widths[:, np.newaxis] * _POINTS
    rise = slopes(points.ravel()).reshape(*points.shape, -1)
    integrals = np.einsum("spt,p,s->st", rise, _WEIGHTS, widths)
    return [
        Stretch(float(start), float(stop), (float(a), float(b)), integral)
        for start, stop, a, b, integral in zip(starts, stops, from_, to, integrals, strict=True)
    ]
