"""What a fit leaves behind: plain data that answers, and how it is read and written."""

from .classifier import TrainedClassifier
from .language_model import TrainedLanguageModel

__all__ = ["TrainedClassifier", "TrainedLanguageModel"]
