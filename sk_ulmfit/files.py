"""Files that are whole or not there, that tell when they are damaged, and who else writes them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# What a file is called while it is written. Nobody else has such names: what bears one is ours.
_TEMPORARY = re.compile(r"\.sk_ulmfit-[0-9a-f]{32}\.new")

# "s3://bucket", also as a Path, which makes one slash of two; but not "C:/".
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

# A file that is being written was touched a moment ago; one that a killed process left was not.
_ABANDONED_AFTER = 3600.0  # seconds


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its place when it is complete and on the disk.

    Until then `path` is what it was before. Several processes may write to one `path`: in the end
    it is what one of them wrote. A link in place of `path` is replaced, not followed. Directories
    that are missing are made, and what killed processes left in the directory is removed.

    Parameters
    ----------
    path : Path

    Yields
    ------
    binary file

    Raises
    ------
    OSError
        If it cannot be written, for example because the disk is full: `path` is as it was.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sk_ulmfit.files import atomic_write
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "notes.txt")
    ...     with atomic_write(path) as file:
    ...         _ = file.write(b"done")
    ...     path.read_text()
    'done'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".sk_ulmfit-{secrets.token_hex(16)}.new")
    try:
        with temporary.open("xb") as file:  # "x" follows no link
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()  # a full disk needs its room back
        raise
    _remove_abandoned(path.parent)


def is_temporary(name: str) -> bool:
    """Tell whether a file of this name is one that `atomic_write` has not finished."""
    return _TEMPORARY.fullmatch(name) is not None


def local_path(path: str | os.PathLike[str]) -> Path:
    """Path on this machine that a user means: ``~`` is the home directory, an address is none.

    Raises
    ------
    TypeError
        If it is no path.
    ValueError
        If it is an address such as ``s3://...``, or begins with ``~`` and there is no such home.
    """
    try:
        path = os.fsdecode(path)
    except TypeError as error:
        raise TypeError(f"Expected a path, a str or pathlib.Path, got {path!r:.80}.") from error
    if _ADDRESS.match(path):
        raise ValueError(
            f"{path!r} is an address, not a path on this machine. Save to a local directory "
            "and copy that, or copy it here first and give its path."
        )
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # which says so, but not of what
        raise ValueError(
            f"{path!r} begins with ~, and there is no such home directory: give the whole path, "
            "from / on."
        ) from error


class DirectoryLock:
    """What processes tell one another about a directory that they write to.

    It ends with its process, however that ends, and leaves no file. Where a system or its network
    drives have no such locks, nothing is known of others.

    Parameters
    ----------
    directory : Path
    """

    def __init__(self, directory: Path):
        self._opened = None if fcntl is None else os.open(directory, os.O_RDONLY)

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._opened is not None:
            os.close(self._opened)

    def share(self) -> None:
        """Let others know that somebody writes there. Waits for one who has it alone."""
        if self._opened is not None:
            with suppress(OSError):
                fcntl.flock(self._opened, fcntl.LOCK_SH)

    def claim(self) -> bool | None:
        """Have the directory alone, if nobody else has it; None where that cannot be told."""
        if self._opened is None:
            return None
        try:
            fcntl.flock(self._opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True


def _remove_abandoned(directory: Path) -> None:
    """Remove what processes were writing when they were killed."""
    with suppress(OSError):  # another process may be doing the same
        for file in directory.iterdir():
            if is_temporary(file.name):
                age = time.time() - file.lstat().st_mtime
                if age > _ABANDONED_AFTER:
                    file.unlink()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dict with a checksum, by which `read_json` knows what it was.

    Parameters
    ----------
    path : Path
    content : dict
        JSON-able, without a key ``"sha256"``. A str in it may hold lone surrogates.

    Raises
    ------
    OSError
        See `atomic_write`.
    """
    content = json.loads(json.dumps(content))  # as it will be read
    with atomic_write(path) as file:
        file.write(json.dumps({**content, "sha256": checksum(content)}, indent=1).encode("ascii"))


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If the file is damaged, which the message says without a full stop.
    OSError
        If it cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it holds no description")
        if content.pop("sha256", None) != checksum(content):
            raise ValueError("its checksum is not the one it was written with")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    return content


@contextmanager
def named_in_errors(path: Any) -> Iterator[None]:
    """Name a directory in the error that its content leads to."""
    try:
        yield
    except (OSError, ImportError):
        raise
    except Exception as error:  # a file that somebody made can lead to any
        raise ValueError(f"{path} does not hold what it should: {error}") from error


def sha256(content: bytes) -> str:
    """SHA-256 of what a file holds."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file that may be larger than memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(content: dict[str, Any]) -> str:
    """SHA-256 of a JSON-able dict, the same however it is laid out in a file."""
    return sha256(json.dumps(content, sort_keys=True).encode("ascii"))
