"""Models as directories of safetensors and JSON. Reading one runs no code.

A directory holds ``model.json`` (class, parameters, tokenizer, sizes, history, checksums) and files
of weights that are named by their content. The weights are written first, then ``model.json`` is
put in its place by one rename: until then the directory is the earlier model, from then on the new
one, whenever a save is interrupted and whoever saves or reads beside it. Whoever is the last to
save there removes what the model does not consist of.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from ..files import DirectoryLock, atomic_write, checksum, is_temporary, local_path, sha256

FORMAT = "sk_ulmfit"
FORMAT_VERSION = 1
DESCRIPTION_FILE = "model.json"
_WEIGHTS_NAME = re.compile(r"weights-[0-9a-f]{16}\.safetensors")


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
        If there is a NaN or an infinity among the weights, or `path` is an address.
    """
    path = local_path(path)
    earlier = _files_of_weights(path)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite: the model is not saved.")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with DirectoryLock(path) as lock:
            lock.share()
            try:
                _write(path, description, arrays, max_file_bytes)
            except OSError:
                _sweep(path, lock, earlier)  # a full disk needs its room back
                raise
            _sweep(path, lock, earlier)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror or error}: the model is not saved, and one that was saved there "
            "before is as it was",
            str(path),
        ) from error


def _files_of_weights(path: Path) -> set[str]:
    """Names of the weights of the model that is saved at a path, which must be free otherwise."""
    file = path / DESCRIPTION_FILE
    if file.is_file():
        with suppress(ValueError, KeyError, TypeError):
            return set(_read_json(file)["weights_sha256"])
    elif not path.exists() or (path.is_dir() and all(map(_is_left_over, os.listdir(path)))):
        return set()
    raise FileExistsError(f"{path} exists and is not a saved model. Choose a path that is free.")


def _is_left_over(name: str) -> bool:
    """Tell whether only a save that was killed leaves a file of this name."""
    return _WEIGHTS_NAME.fullmatch(name) is not None or is_temporary(name)


def _write(
    path: Path, description: dict[str, Any], arrays: dict[str, np.ndarray], max_bytes: int | None
) -> None:
    from safetensors.numpy import save

    digests = {}
    for names in _spread(arrays, max_bytes):
        # safetensors writes the buffer as it lies: a transposed view would come back wrong.
        content = save({name: np.asarray(arrays[name], order="C") for name in names})
        digest = sha256(content)
        name = f"weights-{digest[:16]}.safetensors"
        with atomic_write(path / name) as file:
            file.write(content)
        digests[name] = digest
    described = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "weights_sha256": digests,
        **description,
    }
    described = json.loads(json.dumps(described, default=plain))  # as it will be read
    described["sha256"] = checksum(described)
    text = json.dumps(described, indent=1, ensure_ascii=False)
    with atomic_write(path / DESCRIPTION_FILE) as file:
        file.write(text.encode("utf-8", "surrogatepass"))


def _sweep(path: Path, lock: DirectoryLock, earlier: set[str]) -> None:
    """Remove the weights of the earlier model; who is alone also what killed saves left.

    That others save there too is no matter: they, or the last of them, will do it.
    """
    with suppress(OSError, ValueError):
        alone = lock.claim()
        if alone is False:
            return
        names = set(filter(_is_left_over, os.listdir(path) if alone else earlier))
        for name in names - _files_of_weights(path):
            with suppress(OSError):
                (path / name).unlink()


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

    Raises
    ------
    FileNotFoundError
        If there is no saved model.
    ValueError
        If it is damaged, of another kind, or of a newer version of sk_ulmfit.
    """
    if isinstance(path, os.PathLike) or not isinstance(path, Traversable):
        path = local_path(path)
    description: dict[str, Any] = {}
    while True:
        before, description = description, _read_description(path, kind)
        arrays: dict[str, np.ndarray] = {}
        try:
            for name, digest in description["weights_sha256"].items():
                arrays.update(_read_weights(path, name, digest))
        except FileNotFoundError as error:
            if description == before:
                raise ValueError(f"{path} is incomplete: there is no {error}.") from error
            # A save may have put another model there since: its own weights are whole.
        else:
            return description, arrays


def digest_of_model(path: Any) -> str | None:
    """Something that changes when another model is saved at a path; None of what names none."""
    if not isinstance(path, (str, os.PathLike)):
        return None
    with suppress(OSError, ValueError):
        file = local_path(path) / DESCRIPTION_FILE
        return sha256(file.read_bytes()) if file.is_file() else None
    return None


def _read_description(path: Traversable, kind: str | None) -> dict[str, Any]:
    file = path / DESCRIPTION_FILE
    if not file.is_file():
        raise FileNotFoundError(f"{path} is not a saved model: there is no {DESCRIPTION_FILE}.")
    description = _read_json(file)
    version = description.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        raise ValueError(
            f"{file} has format version {version}, this sk_ulmfit reads {FORMAT_VERSION} and "
            "below. Upgrade sk_ulmfit."
        )
    if description.pop("sha256", None) != checksum(description):
        raise ValueError(f"{file} is damaged: its checksum is not the one it was saved with.")
    if type(version) is not int or version < 1:
        raise ValueError(f"{file} is damaged: {version!r:.80} is no format version.")
    if kind is not None and description.get("class") != kind:
        raise ValueError(f"{path} holds a {description.get('class')}, not a {kind}.")
    if not isinstance(description.get("weights_sha256"), dict):
        raise ValueError(f"{file} is damaged: it names no files of weights.")
    return description


def _read_json(file: Traversable) -> dict[str, Any]:
    try:
        description = json.loads(file.read_bytes().decode("utf-8", "surrogatepass"))
        checksum(description)  # which cannot be done of what is nested still deeper
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(f"{file} does not describe a model of sk_ulmfit.")
    return description


def _read_weights(path: Traversable, name: str, digest: str) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    if not _WEIGHTS_NAME.fullmatch(name):
        raise ValueError(f"{path / DESCRIPTION_FILE} is damaged: {name!r} is no file of weights.")
    weights = path / name
    try:
        content = weights.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(name) from error
    if sha256(content) != digest:
        raise ValueError(f"{weights} is damaged: its checksum is not the one it was saved with.")
    try:
        arrays: dict[str, np.ndarray] = load(content)
    except Exception as error:  # of a type that numpy lacks it says KeyError
        raise ValueError(f"{weights} is damaged: {error!r}") from error
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
