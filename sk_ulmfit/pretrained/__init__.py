"""Trained language models: what they are made of, and where they come from."""

from .registry import directions_of, load_pretrained
from .trained import TrainedLanguageModel

__all__ = ["TrainedLanguageModel", "directions_of", "load_pretrained"]
