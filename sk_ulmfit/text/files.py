"""Documents in text files, plain or compressed, with a blank line between two of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import IO, Any

from ..files import local_path
from .validation import check_texts, is_stream

_OPENERS: dict[str, Callable[..., IO[str]]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
}

# A longer document, or line, goes on as another document: it has to fit into memory.
_LONGEST = 10_000_000  # characters

# Characters that tell what is no text.
_BEGINNING = 1000


class TextFiles:
    r"""Documents of text files, read from disk whenever they are iterated over.

    A document ends at a blank line.

    Parameters
    ----------
    paths : path or iterable of paths
        Files in UTF-8, plain or compressed (``.gz``, ``.xz``, ``.bz2``). A directory stands for
        all files below it, in alphabetical order, but for hidden ones. ``~`` is the home directory.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no file in the directory.
    ValueError
        If a path is an address such as ``s3://...``, or stands for neither a file nor a directory.

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


def as_text_files(X: Any) -> TextFiles | None:
    """Files that `X` stands for, if it is a path or a list of paths; else None."""
    if isinstance(X, TextFiles):
        return X
    if isinstance(X, PathLike):
        return TextFiles(X)
    if isinstance(X, (list, tuple)) and X and all(isinstance(item, PathLike) for item in X):
        return TextFiles(X)
    return None


def texts_or_stream(X: Any) -> list[str] | Iterable[str]:
    """Checked texts in a list, or what may be larger than memory: files, or a stream of texts."""
    files = as_text_files(X)
    if files is not None:
        return files
    return X if is_stream(X) else check_texts(X)


def texts_in(X: Any) -> list[str]:
    """Texts of a collection, or of the files that `X` stands for, in a list."""
    files = as_text_files(X)
    return check_texts(X if files is None else files)


def _files_of(path: Path) -> list[Path]:
    path = local_path(path)
    if path.is_file():
        return [path]
    if path.is_dir():
        files = list(_files_below(path, set()))
        if not files:
            raise FileNotFoundError(f"There are no files in the directory {str(path)!r}.")
        return files
    if path.exists():
        raise ValueError(
            f"{str(path)!r} is neither a file nor a directory but a pipe or a device: open it and "
            "pass the texts that are in it, as an iterator."
        )
    raise FileNotFoundError(f"There is no file {str(path)!r}.")


def _files_below(directory: Path, visited: set[Path]) -> Iterator[Path]:
    real = directory.resolve()
    if real in visited:  # a link that leads back up
        return
    visited.add(real)
    for entry in sorted(directory.iterdir()):
        if entry.name[0] != ".":
            if entry.is_dir():
                yield from _files_below(entry, visited)
            elif entry.is_file():
                yield entry


def _documents(path: Path) -> Iterator[str]:
    opener = _OPENERS.get(path.suffix, open)
    lines: list[str] = []
    size = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            if "\0" in file.read(_BEGINNING):  # an archive, or UTF-16
                raise UnicodeError("there are NUL characters in it")
            file.seek(0)
            while line := file.readline(_LONGEST):
                blank = not line.strip()
                if not blank:
                    lines.append(line)
                    size += len(line)
                if lines and (blank or size >= _LONGEST):
                    yield "".join(lines).strip()
                    lines, size = [], 0
    except (UnicodeError, EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system: bz2 and gzip raise theirs without a number
        raise ValueError(
            f"{str(path)!r} is damaged, or no text in UTF-8 that is compressed as its name says: "
            f"{error}. Convert it to UTF-8, or pass a list of those files that are texts."
        ) from error
    if lines:
        yield "".join(lines).strip()
