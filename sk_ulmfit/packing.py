"""Weights in a quarter of their size: a byte each, or half a byte, and a step for every row."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

# Ends the name of the steps of a matrix.
STEP = ".step"

# The name of the vectors of words beyond the vocabulary, apart from those of its words.
LEXICON = "lexicon"

# How many steps the largest number of a row is from zero: of a byte, of half a byte.
_STEPS, _FEW_STEPS = 126, 7

# Every byte as its two halves, of which 8 is zero, the lower first: a pair of bytes, taken as one.
_HALVES = (np.stack([np.arange(256) % 16, np.arange(256) // 16], axis=1) - 8).astype(np.int8)
_PAIRS = _HALVES.view(np.int16).ravel()


def packed(arrays: dict[str, np.ndarray], in_halves: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Matrices as bytes and a step a row, all else in half precision.

    Parameters
    ----------
    arrays : dict of str to ndarray
    in_halves : collection of str, default=()
        Names of matrices two numbers of which share a byte, if they have an even number of columns.
    """
    small: dict[str, np.ndarray] = {}
    for key, array in arrays.items():
        if array.ndim == 1:
            small[key] = array.astype(np.float16)
            continue
        halves = key in in_halves and array.shape[1] % 2 == 0
        n_steps = _FEW_STEPS if halves else _STEPS
        step = (np.maximum(np.abs(array).max(axis=1), 1e-3) / n_steps).astype(np.float16)
        whole = np.round(array / step[:, None].astype(np.float32)).astype(np.int8)
        if halves:
            whole = (whole + 8).astype(np.uint8)
            small[key] = whole[:, ::2] | whole[:, 1::2] << 4
        else:
            small[key] = whole
        small[f"{key}{STEP}"] = step
    return small


def packed_words(words: np.ndarray, n_lexicon: int) -> dict[str, np.ndarray]:
    """Vectors of words, of which the last `n_lexicon` are many and take half a byte a number.

    No error measured is larger for it.
    """
    every = words.astype(np.float32, copy=False)
    known, further = np.split(every, [len(every) - n_lexicon])
    return packed({"words": known, LEXICON: further}, in_halves=[LEXICON])


def whole_numbers(matrix: np.ndarray) -> np.ndarray:
    """How many steps the numbers of a packed matrix are from zero, a byte each."""
    return _PAIRS[matrix].view(np.int8) if matrix.dtype == np.uint8 else matrix


def unpacked(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Undo `packed`; what was not packed stays what it is, halves too."""
    full = dict(arrays)
    for key, array in arrays.items():
        step = arrays.get(f"{key}{STEP}")
        if step is not None and array.ndim == 2 and step.shape == array.shape[:1]:
            steps = full.pop(f"{key}{STEP}").astype(np.float32)
            full[key] = np.multiply(whole_numbers(array), steps[:, None], dtype=np.float32)
    return full
