"""Pretrained language models by name or path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..persistence import read_model
from .trained import TrainedLanguageModel

# Names of models that ship with the package. None has been trained yet.
SHIPPED: dict[str, Path] = {}


def load_pretrained(pretrained: Any) -> TrainedLanguageModel:
    """Find a trained language model.

    Parameters
    ----------
    pretrained : str, path, fitted ULMFiTLanguageModel or TrainedLanguageModel
        Name of a shipped model, directory written by ``ULMFiTLanguageModel.save``, a fitted
        estimator (also in a `FrozenEstimator`), or the model itself.

    Raises
    ------
    ValueError
        If there is no model of that name, or the estimator is not fitted.
    TypeError
        If it is none of these.
    """
    if isinstance(pretrained, TrainedLanguageModel):
        return pretrained
    if isinstance(pretrained, (str, Path)):
        return _load_named(pretrained)
    estimator = getattr(pretrained, "estimator", pretrained)  # a FrozenEstimator's
    if not hasattr(estimator, "perplexity"):
        raise TypeError(
            "pretrained must be None, the name of a shipped model, a directory that save() wrote, "
            f"or a fitted ULMFiTLanguageModel, got {type(pretrained).__name__}."
        )
    if not hasattr(estimator, "trained_"):
        raise ValueError(
            "The ULMFiTLanguageModel given as pretrained is not fitted: fit it first, or give the "
            "directory of a saved one."
        )
    return estimator.trained_


def _load_named(name: str | Path) -> TrainedLanguageModel:
    if name in SHIPPED:
        path = SHIPPED[str(name)]
    elif Path(name).is_dir():
        path = Path(name)
    else:
        shipped = ", ".join(sorted(SHIPPED)) or "none yet"
        raise ValueError(
            f"There is no pretrained language model {str(name)!r}: neither a directory nor one of "
            f"the shipped models ({shipped}). Use pretrained=None to train one from scratch."
        )
    description, arrays = read_model(path, "ULMFiTLanguageModel")
    return TrainedLanguageModel.from_parts(description["language_model"], arrays)
