"""Models as directories of safetensors and JSON. Reading one runs no code.

A directory holds ``model.json`` (class, parameters, tokenizer, sizes, history, checksums) and files
of weights that are named by their content. The weights are written first, then ``model.json`` is
put in its place by one rename: until then the directory is the earlier model, from then on the new
one, whenever a save is interrupted. What belongs to neither is removed at the end of the next save.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "sk_ulmfit"
FORMAT_VERSION = 1
DESCRIPTION_FILE = "model.json"
_WEIGHTS_NAME = re.compile(r"weights-[0-9a-f]{16}\.safetensors")
# What a save that was interrupted may leave behind, weights in use among it.
_OWN_NAME = re.compile(r"weights-[0-9a-f]{16}\.safetensors|\..+\.new")


@contextmanager
def blamed_on(path: str | os.PathLike[str] | Traversable) -> Iterator[None]:
    """Name the model directory in the error that its content leads to."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} does not hold what it should: {error}") from error


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
    OSError
        If it cannot be written.
    ValueError
        If there is a NaN or an infinity among the weights.
    """
    path = Path(path)
    if path.exists() and not _holds_model_or_nothing(path):
        raise FileExistsError(
            f"{path} exists and is not a saved model. Choose a path that is free."
        )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite: the model is not saved.")
    try:
        _write(path, description, arrays, max_file_bytes)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror or error}: the model is not saved, and one that was saved there "
            "before is as it was",
            str(path),
        ) from error


def _write(
    path: Path, description: dict[str, Any], arrays: dict[str, np.ndarray], max_bytes: int | None
) -> None:
    from safetensors.numpy import save

    path.mkdir(parents=True, exist_ok=True)
    digests = {}
    for names in _spread(arrays, max_bytes):
        # safetensors writes the buffer as it lies: a transposed view would come back wrong.
        content = save({name: np.asarray(arrays[name], order="C") for name in names})
        digest = _sha256(content)
        file = f"weights-{digest[:16]}.safetensors"
        _write_whole(path / file, content)
        digests[file] = digest
    described = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "weights_sha256": digests,
        **description,
    }
    described = json.loads(json.dumps(described, default=plain))  # as it will be read
    described["sha256"] = _sha256(_canonical(described))
    text = json.dumps(described, indent=1, ensure_ascii=False)
    _write_whole(path / DESCRIPTION_FILE, text.encode("utf-8", "surrogatepass"))
    for entry in path.iterdir():
        if _OWN_NAME.fullmatch(entry.name) and entry.name not in digests:
            os.unlink(entry)


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
        description = json.loads(file.read_bytes().decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(f"{file} does not describe a model of sk_ulmfit.")
    version = description.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ValueError(
            f"{file} has format version {version}, this sk_ulmfit reads {FORMAT_VERSION} and "
            "below. Upgrade sk_ulmfit."
        )
    digest = description.pop("sha256", None)
    if digest != _sha256(_canonical(description)):
        raise ValueError(f"{file} is damaged: its checksum is not the one it was saved with.")
    if kind is not None and description.get("class") != kind:
        raise ValueError(f"{path} holds a {description.get('class')}, not a {kind}.")
    files = description.get("weights_sha256")
    if not isinstance(files, dict):
        raise ValueError(f"{file} is damaged: it names no files of weights.")
    arrays: dict[str, np.ndarray] = {}
    for name, digest in files.items():
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


def _canonical(description: dict[str, Any]) -> bytes:
    """The same bytes for the same description, however it is laid out."""
    return json.dumps(description, sort_keys=True).encode("ascii")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write_whole(file: Path, content: bytes) -> None:
    """Write beside the file's place, onto the disk, and rename."""
    beside = file.with_name(f".{file.name}.new")
    try:
        with beside.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(beside, file)
    except OSError:
        beside.unlink(missing_ok=True)  # a full disk needs its room back
        raise


def _holds_model_or_nothing(path: Path) -> bool:
    if (path / DESCRIPTION_FILE).is_file():
        return True
    return path.is_dir() and all(_OWN_NAME.fullmatch(file.name) for file in path.iterdir())
