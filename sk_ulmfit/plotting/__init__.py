"""Figures of trainings and of results, in scikit-learn's way.

A display holds what it draws in its attributes, and draws it with `plot`. Drawing needs
matplotlib: ``pip install sk-ulmfit[plot]``.
"""

from ._low_shot import LowShotDisplay
from ._lr_finder import LRFinderDisplay
from ._training_history import TrainingHistoryDisplay
from ._training_schedule import TrainingScheduleDisplay

__all__ = [
    "LRFinderDisplay",
    "LowShotDisplay",
    "TrainingHistoryDisplay",
    "TrainingScheduleDisplay",
]
