"""Pretrained language models by name or path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..models.directory import blamed_on, read_model
from ..models.language_model import TrainedLanguageModel
from .downloads import fetch
from .fastai import read_fastai
from .fastai_files import holds_fastai
from .shipped import SHIPPED, read_shipped

# fastai's language models of WikiText-103, by address and direction. Their checksums were never
# published: the first download's is kept and holds from then on.
_FASTAI = "https://s3.amazonaws.com/fast-ai-modelzoo"
DOWNLOADABLE = {
    "wt103-fwd": (f"{_FASTAI}/wt103-fwd.tgz", "forward"),
    "wt103-bwd": (f"{_FASTAI}/wt103-bwd.tgz", "backward"),
}
MAX_DOWNLOAD_BYTES = 500_000_000


def load_pretrained(
    pretrained: Any, directions: tuple[str, ...] | None = None
) -> TrainedLanguageModel:
    """Find a trained language model.

    Parameters
    ----------
    pretrained : str, path, fitted ULMFiTLanguageModel or TrainedLanguageModel
        Name of a shipped model, or of one that is downloaded when it is first used
        (``"wt103-fwd"``, ``"wt103-bwd"``); directory written by ``ULMFiTLanguageModel.save``;
        language model that fastai saved, as `read_fastai` takes it; a fitted estimator (also in
        a `FrozenEstimator`), or the model itself.
    directions : tuple of str or None, default=None
        Directions that are needed. None: all that a model has, of a shipped one forward.

    Returns
    -------
    TrainedLanguageModel

    Raises
    ------
    ValueError
        If there is no model of that name, it lacks a direction, or the estimator is not fitted.
    TypeError
        If it is none of these.
    """
    if isinstance(pretrained, str) and pretrained in SHIPPED:
        return read_shipped(pretrained, directions)
    trained = _load(pretrained)
    return trained if directions is None else trained.with_directions(directions)


def directions_of(pretrained: Any) -> tuple[str, ...]:
    """Tell the directions that a model has, of a shipped one those that are used by default.

    Parameters
    ----------
    pretrained : str, path, fitted ULMFiTLanguageModel or TrainedLanguageModel
        See `load_pretrained`.

    Returns
    -------
    tuple of {"forward", "backward"}
    """
    if isinstance(pretrained, str) and pretrained in SHIPPED:
        return ("forward",)  # without reading it
    return load_pretrained(pretrained).directions


def _load(pretrained: Any) -> TrainedLanguageModel:
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
    trained: TrainedLanguageModel = estimator.trained_
    return trained


def _load_named(name: str | Path) -> TrainedLanguageModel:
    if name in DOWNLOADABLE:
        url, direction = DOWNLOADABLE[str(name)]
        archive = fetch(url, None, max_bytes=MAX_DOWNLOAD_BYTES)
        return read_fastai(archive, direction=direction)
    elif Path(name).is_file() or (Path(name).is_dir() and holds_fastai(Path(name))):
        return read_fastai(name)
    elif Path(name).is_dir():
        path = Path(name)
    else:
        raise ValueError(
            f"There is no pretrained language model {str(name)!r}: neither a file or directory, "
            f"nor one of the shipped models ({', '.join(SHIPPED)}), nor one that can be downloaded "
            f"({', '.join(DOWNLOADABLE)}). Use pretrained=None to train one from scratch."
        )
    description, arrays = read_model(path, "ULMFiTLanguageModel")
    with blamed_on(path):
        return TrainedLanguageModel.from_parts(description["language_model"], arrays)
