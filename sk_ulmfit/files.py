"""Files that are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# What a file is called while it is written. Nobody else has such names: what bears one is ours.
_TEMPORARY = re.compile(r"\.sk_ulmfit-[0-9a-f]{32}\.new")

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


def _remove_abandoned(directory: Path) -> None:
    """Remove what processes were writing when they were killed."""
    with suppress(OSError):  # another process may be doing the same
        for file in directory.iterdir():
            if _TEMPORARY.fullmatch(file.name):
                age = time.time() - file.lstat().st_mtime
                if age > _ABANDONED_AFTER:
                    file.unlink()
