"""Models as directories of safetensors and JSON. Loading one runs no code.

A directory holds ``model.json`` (class, parameters, tokenizer, sizes, history) and
``weights.safetensors``. It is written beside its place and renamed, so that an interrupted save
never leaves half a model.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "sk_ulmfit"
FORMAT_VERSION = 1
DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"

__all__ = ["load", "read_model", "write_model"]


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
    import sk_ulmfit  # the estimators import this module

    description, arrays = read_model(path)
    name = description["class"]
    if name not in ("ULMFiTLanguageModel", "ULMFiTClassifier"):
        raise ValueError(f"{path}: holds a {name!r}, which is not an estimator of sk_ulmfit.")
    estimator: Any = getattr(sk_ulmfit, name)._from_saved(description, arrays)
    return estimator


def write_model(
    path: str | os.PathLike[str], description: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a model directory, in place of an earlier one.

    Parameters
    ----------
    path : str or path
    description : dict
        JSON-able; ``"class"`` names the estimator.
    arrays : dict of str to ndarray

    Raises
    ------
    FileExistsError
        If `path` exists and is not a model directory.
    """
    from safetensors.numpy import save_file

    path = Path(path)
    if path.exists() and not (path / DESCRIPTION_FILE).is_file():
        raise FileExistsError(
            f"{path} exists and is not a saved model. Choose a path that is free."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        beside = own / "new"
        beside.mkdir()  # with the rights that other directories get: mkdtemp's is closed to others
        # safetensors writes the buffer as it lies: a transposed view would come back wrong.
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(contiguous, beside / WEIGHTS_FILE)
        described = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "weights_sha256": _sha256(beside / WEIGHTS_FILE),
            **description,
        }
        text = json.dumps(described, indent=1, ensure_ascii=False, default=plain)
        (beside / DESCRIPTION_FILE).write_text(text, encoding="utf-8")
        _replace_directory(beside, path)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def read_model(
    path: str | os.PathLike[str], kind: str | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read and check a model directory.

    Parameters
    ----------
    path : str or path
    kind : str, optional
        Name of the class that is expected.

    Returns
    -------
    description : dict
    arrays : dict of str to ndarray
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    file = path / DESCRIPTION_FILE
    if not file.is_file():
        raise FileNotFoundError(f"{path} is not a saved model: there is no {DESCRIPTION_FILE}.")
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(f"{file} does not describe a model of sk_ulmfit.")
    if description["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{file} has format version {description['format_version']}, this sk_ulmfit reads "
            f"{FORMAT_VERSION} and below. Upgrade sk_ulmfit."
        )
    if kind is not None and description["class"] != kind:
        raise ValueError(f"{path} holds a {description['class']}, not a {kind}.")
    weights = path / WEIGHTS_FILE
    if not weights.is_file():
        raise ValueError(f"{path} is incomplete: there is no {WEIGHTS_FILE}.")
    if _sha256(weights) != description["weights_sha256"]:
        raise ValueError(f"{weights} is damaged: its checksum is not the one it was saved with.")
    try:
        return description, load_file(weights)
    except SafetensorError as error:
        raise ValueError(f"{weights} is damaged: {error}") from error


def plain(value: Any) -> Any:
    """Turn numpy's scalars and arrays into what JSON can hold."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be saved as JSON.")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _replace_directory(new: Path, path: Path) -> None:
    # A directory cannot be renamed onto a full one: the old model steps aside first.
    if not path.exists():
        new.rename(path)
        return
    old = new.with_name("old")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
