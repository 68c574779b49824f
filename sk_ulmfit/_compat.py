"""Names that scikit-learn, skorch and torch do not promise to keep, all in one place.

`tests/test_compat.py` asks for every one, and for what the nets override of skorch's: a version
that lacks one is told by its name, not by an error somewhere in a training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils._param_validation import StrOptions, validate_parameter_constraints
from sklearn.utils.validation import _check_sample_weight

__all__ = [
    "EARLY_STOPPING_STATE",
    "Interval",
    "StrOptions",
    "check_sample_weight",
    "fit_context",
    "has_bfloat16_instructions",
    "has_bfloat16_kernels",
    "rows_of_gradient",
    "safe_indexing",
    "validate_parameter_constraints",
]

# What skorch's EarlyStopping keeps from epoch to epoch, beside the best weights.
EARLY_STOPPING_STATE = ("misses_", "dynamic_threshold_", "best_epoch_")


class Interval(_Interval):
    """An interval of numbers; what no float can hold lies in none."""

    def __contains__(self, value: Any) -> bool:
        try:
            return bool(np.isfinite(float(value))) and bool(super().__contains__(value))
        except (OverflowError, TypeError):  # of 10**400, of a fraction
            return False


def check_sample_weight(sample_weight: Any, rows: Any, *, negative: bool = False) -> np.ndarray:
    """Check weights of samples, one for each of `rows`."""
    try:
        weights: np.ndarray = _check_sample_weight(
            sample_weight, rows, ensure_non_negative=not negative
        )
    except (OverflowError, TypeError) as error:
        raise ValueError(f"sample_weight has to hold finite numbers: {error}.") from error
    return weights


def rows_of_gradient(gradient: Any) -> tuple[Any, Any]:
    """Numbers and values of the rows of a sparse gradient, in which a row may be there twice."""
    # (not coalesced: that would sort the rows only for them to be added up)
    return gradient._indices()[0], gradient._values()


def has_bfloat16_kernels() -> bool:
    """Whether this CPU has oneDNN's kernels for bfloat16: without them the LSTM refuses it."""
    import torch  # what draws or checks labels need not load it

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_bfloat16_instructions() -> bool:
    """Whether this CPU computes in bfloat16 itself: its kernels emulate it where it does not."""
    import torch

    # (the first torch that is supported does not know: then it is not taken for fast)
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    asked = (getattr(torch.cpu, name, None) for name in names)
    return has_bfloat16_kernels() and any(ask is not None and ask() for ask in asked)
