"""The language models inside the package, in half precision, a directory for each direction.

A direction that is not asked for is not read: two take twice the time and memory.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from ..models.directory import read_model, write_model
from ..models.language_model import TrainedLanguageModel

SHIPPED = ("en-small",)

# Hosts of code refuse or discourage larger files.
_MAX_FILE_BYTES = 15_900_000


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
    folder = (files(__package__) if root is None else root) / name
    parts = []
    for direction in directions or ("forward",):
        description, arrays = read_model(folder / direction, "ULMFiTLanguageModel")
        parts.append(TrainedLanguageModel.from_parts(description["language_model"], arrays))
    weights = {name: arrays for part in parts for name, arrays in part.weights.items()}
    return parts[0].with_weights(weights)


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
        language_model, arrays = trained.with_directions((direction,)).to_parts()
        description = {
            "class": "ULMFiTLanguageModel",
            "params": {"direction": direction},
            "language_model": language_model,
            "history": [],
            "from_scratch": False,
            "training": training[direction],
        }
        halves = {key: array.astype(np.float16) for key, array in arrays.items()}
        write_model(root / name / direction, description, halves, max_file_bytes=_MAX_FILE_BYTES)
