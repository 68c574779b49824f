"""Models as directories of safetensors and JSON. Loading one runs no code.

A directory holds ``model.json`` (class, parameters, tokenizer, sizes, history) and
``weights.safetensors``, or several such files. It is written beside its place and renamed, so that
an interrupted save never leaves half a model.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "sk_ulmfit"
FORMAT_VERSION = 1
DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
_WEIGHTS_NAME = re.compile(r"weights(-\d+-of-\d+)?\.safetensors")

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
    path: str | os.PathLike[str],
    description: dict[str, Any],
    arrays: dict[str, np.ndarray],
    *,
    max_file_bytes: int | None = None,
) -> None:
    """Write a model directory, in place of an earlier one.

    Parameters
    ----------
    path : str or path
    description : dict
        JSON-able; ``"class"`` names the estimator.
    arrays : dict of str to ndarray
    max_file_bytes : int or None, default=None
        Spread the arrays over several files if they would make a larger one.

    Raises
    ------
    FileExistsError
        If `path` exists and is not a model directory.
    """
    from safetensors.numpy import save

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
        parts = _spread(arrays, max_file_bytes)
        digests = {}
        for n, names in enumerate(parts, start=1):
            file = WEIGHTS_FILE if len(parts) == 1 else f"weights-{n}-of-{len(parts)}.safetensors"
            # safetensors writes the buffer as it lies: a transposed view would come back wrong.
            contiguous = {name: np.ascontiguousarray(arrays[name]) for name in names}
            content = save(contiguous)
            # (its own save_file() would make files that only their owner can read)
            (beside / file).write_bytes(content)
            digests[file] = _sha256(content)
        described = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "weights_sha256": digests,
            **description,
        }
        text = json.dumps(described, indent=1, ensure_ascii=False, default=plain)
        (beside / DESCRIPTION_FILE).write_text(text, encoding="utf-8")
        _replace_directory(beside, path)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def read_model(
    path: str | os.PathLike[str] | Traversable, kind: str | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read and check a model directory.

    Parameters
    ----------
    path : str, path or Traversable
        The directory; one inside of a zipped package too.
    kind : str, optional
        Name of the class that is expected.

    Returns
    -------
    description : dict
    arrays : dict of str to ndarray
    """
    path = Path(path) if isinstance(path, (str, os.PathLike)) else path
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
    arrays: dict[str, np.ndarray] = {}
    for name, digest in description["weights_sha256"].items():
        arrays.update(_read_weights(path, name, digest))
    return description, arrays


def _read_weights(path: Traversable, name: str, digest: str) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not _WEIGHTS_NAME.fullmatch(name):
        raise ValueError(f"{path / DESCRIPTION_FILE} is damaged: {name!r} is no file of weights.")
    weights = path / name
    if not weights.is_file():
        raise ValueError(f"{path} is incomplete: there is no {name}.")
    content = weights.read_bytes()
    if _sha256(content) != digest:
        raise ValueError(f"{weights} is damaged: its checksum is not the one it was saved with.")
    try:
        arrays: dict[str, np.ndarray] = load(content)
    except SafetensorError as error:
        raise ValueError(f"{weights} is damaged: {error}") from error
    return arrays


def _spread(arrays: dict[str, np.ndarray], max_file_bytes: int | None) -> list[list[str]]:
    """Names of the arrays of each file, in their order."""
    if max_file_bytes is None:
        return [list(arrays)]
    parts: list[list[str]] = []
    room = 0
    for name, array in arrays.items():
        size = array.nbytes + 1000  # with its entry in the file's header
        if size > room or not parts:
            parts.append([])
            room = max_file_bytes
        parts[-1].append(name)
        room -= size
    return parts


def plain(value: Any) -> Any:
    """Turn numpy's scalars and arrays into what JSON can hold."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be saved as JSON.")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
