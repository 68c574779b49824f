"""The files of fastai's language models: weights that torch pickled, and a pickled list of tokens.

A pickle can be made to run code. Both are read by unpicklers that build plain data and nothing
else, and archives are read in memory: nothing in them names a place on disk.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, NoReturn

import torch
from torch import Tensor

WEIGHTS_SUFFIXES = (".pth", ".h5")
VOCAB_SUFFIX = ".pkl"
ARCHIVE_SUFFIXES = (".tgz", ".tar.gz")

# Largest file in an archive, and largest archive when it is unpacked: the published models take a
# fifth of it.
MAX_MEMBER_BYTES = 1_000_000_000
MAX_ARCHIVE_BYTES = 2 * MAX_MEMBER_BYTES


class FastaiFiles(NamedTuple):
    """What was read, with the names of the files for messages."""

    state: dict[str, Tensor]
    weights_name: str
    tokens: list[str]
    vocab_name: str
    said_by: list[str]  # names that may tell the direction


def read_files(
    path: str | os.PathLike[str], vocab: str | os.PathLike[str] | None = None
) -> FastaiFiles:
    """Find and read weights and vocabulary. The parameters are those of `read_fastai`."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or directory {path}.")
    if vocab is not None and path.suffix not in WEIGHTS_SUFFIXES:
        raise ValueError(f"vocab is for a file of weights; {path} brings its own vocabulary.")
    said_by = [path.name]
    if path.is_dir():
        path = _only_weights(path)
    if path.name.endswith(ARCHIVE_SUFFIXES):
        (weights_name, weights), (vocab_name, pickled) = _unpack(path)
        said_by.append(weights_name)
        weights_name, vocab_name = f"{path}/{weights_name}", f"{path}/{vocab_name}"
        state = _read_state(io.BytesIO(weights), weights_name)
    elif path.suffix in WEIGHTS_SUFFIXES:
        vocab_path = _vocab_beside(path) if vocab is None else Path(vocab)
        if not vocab_path.is_file():
            raise FileNotFoundError(f"There is no vocabulary {vocab_path}.")
        said_by.append(path.name)
        weights_name, vocab_name, pickled = str(path), str(vocab_path), vocab_path.read_bytes()
        with path.open("rb") as stream:
            state = _read_state(stream, weights_name)
    else:
        known = ", ".join((*ARCHIVE_SUFFIXES, *WEIGHTS_SUFFIXES))
        raise ValueError(
            f"{path} is not a language model of fastai: expected a directory, or a file whose "
            f"name ends in one of {known}."
        )
    return FastaiFiles(state, weights_name, _read_tokens(pickled, vocab_name), vocab_name, said_by)


def holds_fastai(directory: Path) -> bool:
    """Tell whether a directory looks like one that `read_files` reads."""
    return all(_visible(directory, suffixes) for suffixes in (WEIGHTS_SUFFIXES, (VOCAB_SUFFIX,)))


def _visible(directory: Path, suffixes: tuple[str, ...]) -> list[Path]:
    files = sorted(file for file in directory.iterdir() if file.suffix in suffixes)
    return [file for file in files if not file.name.startswith(".")]


def _only_weights(directory: Path) -> Path:
    files = _visible(directory, WEIGHTS_SUFFIXES)
    if not files:
        raise FileNotFoundError(
            f"There is no file of weights ({' or '.join(WEIGHTS_SUFFIXES)}) in {directory}."
        )
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ValueError(f"Which of {names} in {directory}? Give the path of the file itself.")
    return files[0]


def _vocab_beside(weights: Path) -> Path:
    """Find the one vocabulary in the directory, or the one that is named like the weights."""
    beside = _visible(weights.parent, (VOCAB_SUFFIX,))
    stem = weights.stem
    namesakes = {stem, f"itos_{stem}", f"{stem}_itos", f"{stem}_vocab"}
    found = beside if len(beside) == 1 else [file for file in beside if file.stem in namesakes]
    if len(found) != 1:
        raise FileNotFoundError(
            f"{weights} needs the vocabulary that it was trained with, and it is not clear which "
            f"file that is. Put it beside the weights as {stem}{VOCAB_SUFFIX}, or give its path "
            "as vocab to sk_ulmfit.pretrained.fastai.read_fastai."
        )
    return found[0]


class _Limited:
    """A stream that ends in an error, not in full memory, if it is longer than it may be."""

    def __init__(self, stream: Any):
        self._stream = stream
        self._left = MAX_ARCHIVE_BYTES

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("it is too large when unpacked")
        return data


def _unpack(path: Path) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    """Names and contents of the weights and of the vocabulary in an archive."""
    weights: list[tuple[str, bytes]] = []
    vocabs: list[tuple[str, bytes]] = []
    try:
        # As a stream: each header is checked before the data behind it is read.
        with gzip.open(path) as unpacked:
            limited: Any = _Limited(unpacked)
            with tarfile.open(fileobj=limited, mode="r|") as archive:
                for name, data in _members(archive):
                    (vocabs if name.endswith(VOCAB_SUFFIX) else weights).append((name, data))
            while limited.read(1 << 20):
                pass  # to the end, where the checksum is
    except (EOFError, OSError, tarfile.TarError, zlib.error, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read as a .tgz archive of a language model: {error}. If its "
            "download was incomplete, delete it, with the .sha256 file beside it if there is one, "
            "and get it again."
        ) from error
    if len(weights) != 1 or len(vocabs) != 1:
        raise ValueError(
            f"{path} must hold one file of weights ({' or '.join(WEIGHTS_SUFFIXES)}) and one "
            f"vocabulary ({VOCAB_SUFFIX}), it holds {len(weights)} and {len(vocabs)}."
        )
    return weights[0], vocabs[0]


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Read the files that matter. Whatever is out of place in an archive makes it refused."""
    for member in archive:
        name = member.name.replace("\\", "/")
        if name.startswith("/") or ":" in name or ".." in name.split("/"):
            raise ValueError(f"{member.name!r} leads out of the archive")
        if member.isdir():
            continue
        if not member.isreg():
            raise ValueError(f"{member.name!r} is a link or a device, not a file")
        if member.size > MAX_MEMBER_BYTES:
            raise ValueError(f"{member.name!r} has {member.size:,} bytes, which is too large")
        is_wanted = name.endswith((*WEIGHTS_SUFFIXES, VOCAB_SUFFIX))
        # (macOS packs files of attributes, with a dot and the same suffix, beside the real ones)
        if is_wanted and not PurePosixPath(name).name.startswith("."):
            content = archive.extractfile(member)
            data = b"" if content is None else content.read()
            if len(data) != member.size:
                raise ValueError(f"{member.name!r} is cut off")
            yield name, data


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles numbers, strings and containers of these. It imports and calls nothing."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


def _read_tokens(pickled: bytes, name: str) -> list[str]:
    try:
        tokens = _PlainUnpickler(io.BytesIO(pickled)).load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(
            f"{name} is not a vocabulary, which is a pickled list of str: {error}. If you made it "
            "yourself, pickle list(vocab) and nothing else."
        ) from error
    kinds = {type(token).__name__ for token in tokens} if isinstance(tokens, list) else set()
    if kinds != {"str"}:
        what = f"a list of {' and '.join(sorted(kinds)) or 'nothing'}"
        if not isinstance(tokens, list):
            what = f"a {type(tokens).__name__}"
        raise ValueError(f"{name} is not a vocabulary: expected a list of str, got {what}.")
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} holds a token that is not valid Unicode: {error}.") from error
    return tokens


class _Ignored:
    """Stands in for fastcore's list class, which holds the settings of a saved optimizer."""

    def __new__(cls, *args: Any) -> _Ignored:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


# torch finds the classes that it may build by their names.
_Ignored.__module__, _Ignored.__name__, _Ignored.__qualname__ = "fastcore.foundation", "L", "L"
_allowing = threading.Lock()  # torch keeps one list of such classes for all threads


@contextmanager
def _optimizer_settings_ignored() -> Iterator[None]:
    with _allowing, torch.serialization.safe_globals([_Ignored]):
        yield


def _read_state(stream: BinaryIO, name: str) -> dict[str, Tensor]:
    try:
        _check_not_compressed(stream)
        with _optimizer_settings_ignored():
            state = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(
            f"{name} cannot be read as weights that torch saved: {_reason(error)}. It may be "
            "damaged or incomplete; if it holds more than weights, save it with fastai again, by "
            "learn.save(..., with_opt=False)."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]  # the other entry is the optimizer's state
    if not isinstance(state, dict) or not state:
        raise ValueError(f"{name} is not the state dict of a language model.")
    for key, tensor in state.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise ValueError(
                f"{name} is not the state dict of a language model: {key!r} in it is a "
                f"{type(tensor).__name__}."
            )
    return state


def _reason(error: Exception) -> str:
    """Take from torch's message what it says of the file: the rest is advice to trust it."""
    text = str(error)
    if refused := re.search(r"GLOBAL (\S+)", text):
        return f"it refers to {refused[1]}, which is no part of plain weights"
    text = re.sub(r"(?s).*WeightsUnpickler error: ", "", text)
    return re.split(r"\n|\. |\.$", text)[0] or type(error).__name__


def _check_not_compressed(stream: BinaryIO) -> None:
    """Refuse weights that are compressed: torch never does that, and they could be of any size."""
    is_zip = stream.read(4) == b"PK\x03\x04"
    stream.seek(0)
    if is_zip:
        with zipfile.ZipFile(stream) as archive:
            if any(file.compress_type != zipfile.ZIP_STORED for file in archive.infolist()):
                raise ValueError("it is compressed")
        stream.seek(0)
