"""Warnings that point at a line of the user's code."""

from __future__ import annotations

import sys
import warnings

# Whose frames stand between this package and who called it.
_BETWEEN = ("sk_ulmfit.", "sklearn.", "joblib.", "skorch.")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of something at the line that called this package, perhaps through others.

    Parameters
    ----------
    message : str
    category : type, default=UserWarning
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_BETWEEN):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
