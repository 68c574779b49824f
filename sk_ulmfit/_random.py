"""Random numbers that leave numpy's global state as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state


def random_numbers(random_state: Any) -> np.random.RandomState:
    """Turn a `random_state` into a generator; None draws its seed from the system."""
    return np.random.RandomState() if random_state is None else check_random_state(random_state)
