"""Saved estimators: reading them back. Their ``save`` writes them."""

from __future__ import annotations

import os
from typing import Any

from ._parameters import with_parameters
from .classifier import ULMFiTClassifier
from .files import named_in_errors
from .language_model import ULMFiTLanguageModel
from .models import TrainedClassifier, TrainedLanguageModel
from .models.directory import read_model
from .models.sentences import SentenceVectors
from .models.words import WordTerm
from .text.subwords import SubwordTokenizer
from .text.vocabulary import Vocabulary
from .text.words import WordTokenizer

_ESTIMATORS = {cls.__name__: cls for cls in (ULMFiTClassifier, ULMFiTLanguageModel)}
_PARTS = (
    TrainedLanguageModel,
    SentenceVectors,
    TrainedClassifier,
    WordTerm,
    SubwordTokenizer,
    Vocabulary,
    WordTokenizer,
)

# What `skops.io.load` has to trust for a Pipeline of our estimators: plain data, and code that this
# package brings.
TRUSTED_TYPES = [f"{cls.__module__}.{cls.__name__}" for cls in (*_ESTIMATORS.values(), *_PARTS)]

__all__ = ["TRUSTED_TYPES", "load"]


def load(path: str | os.PathLike[str]) -> Any:
    """Load an estimator from a directory that its ``save`` wrote.

    Parameters
    ----------
    path : str or path
        The directory.

    Returns
    -------
    ULMFiTLanguageModel or ULMFiTClassifier
        Fitted.

    Raises
    ------
    FileNotFoundError
        If `path` is not a saved model.
    ValueError
        If its files are damaged, or come from a newer version of sk_ulmfit.
    """
    description, arrays = read_model(path)
    name = description.get("class")
    if not isinstance(name, str) or name not in _ESTIMATORS:
        raise ValueError(f"{path}: holds a {name!r}, which is not an estimator of sk_ulmfit.")
    with named_in_errors(path):
        estimator: Any = with_parameters(_ESTIMATORS[name], description, ULMFiTLanguageModel)
        estimator._go_on_as(description.get("going_on", {}))  # older files lack it
        estimator._restore(description, arrays)
        trained = estimator.trained_
        # A tokenizer that cannot be used says so now.
        getattr(trained, "language_model", trained).tokenizer.documents([""])
    return estimator
