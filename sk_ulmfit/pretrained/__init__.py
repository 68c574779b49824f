"""The language models that come with the package (as data), and the way to them by name."""

from ..models.language_model import TrainedLanguageModel
from ..models.names import directions_of, load_pretrained

__all__ = ["TrainedLanguageModel", "directions_of", "load_pretrained"]
