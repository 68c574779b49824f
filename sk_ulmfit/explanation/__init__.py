"""Which words of a text speak for a class, and which against it."""

from .explaining import explain
from .result import Explanation, Word

__all__ = ["Explanation", "Word", "explain"]
