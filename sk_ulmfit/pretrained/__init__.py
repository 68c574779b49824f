"""Trained language models: what they are made of, and where they come from."""

from ..models import TrainedLanguageModel
from .registry import directions_of, load_pretrained

__all__ = ["TrainedLanguageModel", "directions_of", "load_pretrained"]
