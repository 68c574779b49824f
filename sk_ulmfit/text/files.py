"""Documents in text files, plain or compressed, with a blank line between two of them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any

_OPENERS: dict[str, Callable[..., IO[str]]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
}

# Bytes at both ends of a file that are read to tell it from others of its name and size.
_END = 1_000_000

# A longer document goes on as another one: a file without blank lines has to fit into memory.
_LONGEST = 10_000_000  # characters


class TextFiles:
    r"""Documents of text files, read from disk whenever they are iterated over.

    A document ends at a blank line.

    Parameters
    ----------
    paths : path or iterable of paths
        Files in UTF-8, plain or compressed (``.gz``, ``.xz``, ``.bz2``). A directory stands for
        all files in it, in alphabetical order.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or the directory is empty.

    Examples
    --------
    >>> import gzip, pathlib, tempfile
    >>> from sk_ulmfit.text.files import TextFiles
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = pathlib.Path(directory, "cards.txt.gz")
    ...     with gzip.open(path, "wt") as file:
    ...         _ = file.write("My card\nis late.\n\nWhere is it?\n")
    ...     list(TextFiles(path))
    ['My card\nis late.', 'Where is it?']
    """

    def __init__(self, paths: PathLike[str] | Iterable[PathLike[str]]):
        given = [paths] if isinstance(paths, PathLike) else list(paths)
        self.paths = [file for path in given for file in _files_of(Path(path))]

    def __iter__(self) -> Iterator[str]:
        for path in self.paths:
            yield from _documents(path)

    def describe(self) -> list[dict[str, Any]]:
        """Name, size, beginning and end of every file: enough to notice that they are others."""
        return [
            {"file": path.name, "bytes": path.stat().st_size, "sha256": _hash_of_ends(path)}
            for path in self.paths
        ]


def as_text_files(X: Any) -> TextFiles | None:
    """Files that `X` stands for, if it is a path or a list of paths; else None."""
    if isinstance(X, TextFiles):
        return X
    if isinstance(X, PathLike):
        return TextFiles(X)
    if isinstance(X, (list, tuple)) and X and all(isinstance(item, PathLike) for item in X):
        return TextFiles(X)
    return None


def _hash_of_ends(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(_END))
        file.seek(max(0, path.stat().st_size - _END))
        digest.update(file.read(_END))
    return digest.hexdigest()


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.exists():
        raise FileNotFoundError(f"There is no file {fspath(path)!r}.")
    files = sorted(file for file in path.iterdir() if file.is_file() and file.name[0] != ".")
    if not files:
        raise FileNotFoundError(f"There are no files in the directory {fspath(path)!r}.")
    return files


def _documents(path: Path) -> Iterator[str]:
    opener = _OPENERS.get(path.suffix, open)
    lines: list[str] = []
    size = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            for line in file:
                blank = not line.strip()
                if not blank:
                    lines.append(line)
                    size += len(line)
                if lines and (blank or size > _LONGEST):
                    yield "".join(lines).strip()
                    lines, size = [], 0
    except (UnicodeDecodeError, EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system: bz2 and gzip raise theirs without a number
        raise ValueError(
            f"{fspath(path)!r} is damaged, or no text in UTF-8 that is compressed as its name "
            f"says: {error}"
        ) from error
    if lines:
        yield "".join(lines).strip()
