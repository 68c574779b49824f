"""Language models by name or path: shipped ones, saved ones, fastai's."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..files import local_path, named_in_errors
from ..packing import LEXICON, STEP, packed, packed_words, unpacked, whole_numbers
from .directory import read_model, write_model
from .fastai import holds_fastai, read_fastai
from .language_model import TrainedLanguageModel
from .sentences import SentenceVectors

# The language models inside the package, in bytes, a directory for each direction: two
# take twice the time and memory, so one that is not asked for is not read.
SHIPPED = ("en-small",)

# What a shipped model has learned of texts lies beside the directions: they share the words.
_SENTENCES = "sentences"

# Hosts of code refuse or discourage larger files.
_MAX_FILE_BYTES = 15_900_000


def load_pretrained(
    pretrained: Any, directions: tuple[str, ...] | None = None
) -> TrainedLanguageModel:
    """Find a trained language model.

    Parameters
    ----------
    pretrained : str, path, fitted ULMFiTLanguageModel or TrainedLanguageModel
        Name of a shipped model; directory written by ``ULMFiTLanguageModel.save``; language model
        that fastai saved, as `read_fastai` takes it; a fitted estimator (also in a
        `FrozenEstimator`), or the model itself.
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
    if isinstance(pretrained, (str, PathLike)):
        return _load_named(pretrained)
    estimator = getattr(pretrained, "estimator", pretrained)  # a FrozenEstimator's
    if not hasattr(estimator, "perplexity"):
        raise TypeError(
            "What a language model begins with (pretrained, or language_model of a classifier) has "
            "to be None, the name of a shipped model, a directory that save() wrote, or a fitted "
            f"ULMFiTLanguageModel, got {type(pretrained).__name__}. Texts are given to fit()."
        )
    if not hasattr(estimator, "trained_"):
        raise ValueError(
            "The ULMFiTLanguageModel given as pretrained is not fitted: fit it first, or give the "
            "directory of a saved one."
        )
    trained: TrainedLanguageModel = estimator.trained_
    return trained


def _load_named(name: str | PathLike[str]) -> TrainedLanguageModel:
    path = local_path(name)
    if path.is_file() or (path.is_dir() and holds_fastai(path)):
        return read_fastai(path)
    if not path.is_dir():
        raise ValueError(
            f"There is no pretrained language model {str(name)!r}: neither a file or directory, "
            f"nor one of the shipped models ({', '.join(SHIPPED)}). Of a model that fastai "
            "published give the directory with its two files, unpacked; use pretrained=None to "
            "train one from scratch."
        )
    description, arrays = read_model(path, "ULMFiTLanguageModel")
    with named_in_errors(path):
        trained = TrainedLanguageModel.from_parts(description["language_model"], arrays)
        trained.tokenizer.documents([""])  # if it cannot be used, it says so now
    return trained


def read_shipped(
    name: str, directions: tuple[str, ...] | None, root: Path | Traversable | None = None
) -> TrainedLanguageModel:
    """Read a shipped model.

    Parameters
    ----------
    name : str
    directions : tuple of str or None
        None: forward.
    root : path, optional
        Where the models lie, if not in the package.
    """
    folder = (files("sk_ulmfit") / "pretrained" if root is None else root) / name
    parts = []
    for direction in directions or ("forward",):
        description, arrays = read_model(folder / direction, "ULMFiTLanguageModel")
        parts.append(TrainedLanguageModel.from_parts(description["language_model"], arrays))
    weights = {name: arrays for part in parts for name, arrays in part.weights.items()}
    trained = replace(parts[0], weights=weights)
    if (folder / _SENTENCES).is_dir():
        description, arrays = read_model(folder / _SENTENCES, "SentenceVectors")
        words = np.concatenate([_in_half_precision(arrays, name) for name in ("words", LEXICON)])
        rest = SentenceVectors(arrays).with_directions(trained.directions).arrays
        known = {**unpacked(rest), "words": words}
        tokenizer = trained.tokenizer.with_lexicon(description[LEXICON])
        n_words = len(tokenizer.words)
        sentences = SentenceVectors.checked(known, trained.directions, trained.sizes, n_words)
        trained = replace(trained, tokenizer=tokenizer, sentences=sentences)
    return trained


def _in_half_precision(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Take a packed matrix out of `arrays`."""
    whole, steps = whole_numbers(arrays.pop(name)), arrays.pop(f"{name}{STEP}")
    # (torch does it in a tenth of numpy's time, and rounds what `unpacked` gives as well)
    product = torch.from_numpy(whole).half() * torch.from_numpy(steps)[:, None]
    return np.asarray(product.numpy())


def write_shipped(
    trained: TrainedLanguageModel,
    name: str,
    root: Path,
    training: dict[str, list[dict[str, object]]],
) -> None:
    """Write every direction of a model as `read_shipped` reads it.

    Parameters
    ----------
    trained : TrainedLanguageModel
    name : str
    root : Path
    training : dict
        JSON-able; on what and how the model was trained, by direction: an entry for every
        training that went on from the one before.
    """
    for direction in trained.directions:
        alone = trained.with_directions((direction,)).without_sentences()
        language_model, arrays = alone.to_parts()
        description = {
            "class": "ULMFiTLanguageModel",
            "params": {"direction": direction},
            "language_model": language_model,
            "history": [],
            "from_scratch": False,
            "training": training[direction],
        }
        small = packed(arrays)
        write_model(root / name / direction, description, small, max_file_bytes=_MAX_FILE_BYTES)


def write_shipped_sentences(
    sentences: SentenceVectors,
    lexicon: tuple[str, ...],
    name: str,
    root: Path,
    training: dict[str, object],
) -> None:
    """Write what a shipped model has learned of texts, for all directions, in bytes.

    Parameters
    ----------
    sentences : SentenceVectors
    lexicon : tuple of str
        The words beyond the vocabulary that there are vectors of.
    name : str
    root : Path
    training : dict
        JSON-able; on what and how it was learned.
    """
    rest = dict(sentences.arrays)
    arrays = {**packed_words(rest.pop("words"), len(lexicon)), **packed(rest)}
    description = {"class": "SentenceVectors", "training": training, LEXICON: list(lexicon)}
    write_model(root / name / _SENTENCES, description, arrays, max_file_bytes=_MAX_FILE_BYTES)
