"""Weights in a quarter of their size: a byte each, and a step for every row of a matrix."""

from __future__ import annotations

import numpy as np

# Ends the name of the steps of a matrix.
_STEP = ".step"


def packed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Matrices as bytes and a step a row, all else in half precision."""
    small: dict[str, np.ndarray] = {}
    for key, array in arrays.items():
        if array.ndim == 1:
            small[key] = array.astype(np.float16)
            continue
        step = (np.maximum(np.abs(array).max(axis=1), 1e-3) / 126).astype(np.float16)
        small[key] = np.round(array / step[:, None].astype(np.float32)).astype(np.int8)
        small[f"{key}{_STEP}"] = step
    return small


def unpacked(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Undo `packed`; what was not packed stays what it is, halves too."""
    full = dict(arrays)
    for key, array in arrays.items():
        step = arrays.get(f"{key}{_STEP}")
        if step is not None and array.ndim == 2 and step.shape == array.shape[:1]:
            steps = full.pop(f"{key}{_STEP}").astype(np.float32)
            full[key] = np.multiply(array, steps[:, None], dtype=np.float32)
    return full
