"""Files from the web: fetched once, verified, kept in a cache directory."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

TIMEOUT = 60  # seconds without any data
_BLOCK = 1 << 20


def cache_home() -> Path:
    """Directory of downloaded files.

    Returns
    -------
    Path
        ``$SK_ULMFIT_HOME``, or else ``sk_ulmfit`` in the user's cache directory
        (``$XDG_CACHE_HOME``, by default ``~/.cache``).
    """
    if own := os.environ.get("SK_ULMFIT_HOME"):
        return Path(own).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME", "")
    # The standard says that a relative path there is to be ignored.
    base = Path(caches) if Path(caches).is_absolute() else Path.home() / ".cache"
    return base / "sk_ulmfit"


def fetch(
    url: str,
    sha256: str | None,
    *,
    max_bytes: int,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Download a file, or find it in the cache.

    Parameters
    ----------
    url : str
        An ``https`` address. The last part of its path is the file's name in the cache.
    sha256 : str or None
        Checksum of the file. None if it is not known: then the checksum of the first download is
        written to a ``.sha256`` file beside it, and holds from then on. This notices a file that
        is damaged or changes later. It cannot notice that the first download was not what its
        author published.
    max_bytes : int
        A longer file is refused.
    cache_dir : str or path, default=None
        By default `cache_home`.

    Returns
    -------
    Path
        The file. Its checksum has been verified in this call.

    Raises
    ------
    ConnectionError
        If the file cannot be downloaded.
    ValueError
        If the address is not ``https``, also after redirects, or the file has another checksum or
        is too long. Nothing of it is kept.

    Notes
    -----
    An interrupted download leaves nothing, and two processes may fetch the same file at a time:
    it appears under its name when it is complete and verified. A file in the cache that fails
    the verification is downloaded again.
    """
    _check_https(url)
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise ValueError(f"{url} does not end in the name of a file.")
    directory = cache_home() if cache_dir is None else Path(cache_dir)
    file = directory / name
    pin = file.with_name(f"{name}.sha256")
    expected = sha256.lower() if sha256 else _read_pin(pin)
    if file.is_file():
        with file.open("rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
        if expected is None:  # put there by hand
            _write_pin(pin, actual)
        if actual == (expected or actual):
            return file
    directory.mkdir(parents=True, exist_ok=True)
    with _temporary(file) as part:
        actual = _download(url, part, file, max_bytes)
        if expected is not None and actual != expected:
            raise ValueError(
                f"{url} has the SHA-256 {actual}, expected {expected}"
                + ("" if sha256 else f" (the first download's, from {pin})")
                + ". It was damaged on its way, or is not the same file any more; nothing of it "
                "was kept."
                + ("" if sha256 else f" If you trust the new one, delete {pin} and try again.")
            )
        if expected is None:
            _write_pin(pin, actual)  # first: a file is never without the checksum it came with
        part.replace(file)
    return file


def _check_https(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise ValueError(f"Only https addresses are downloaded from, got {url}.")


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but only to https."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        _check_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str) -> Any:
    opener = urllib.request.build_opener(_HttpsRedirects)
    return opener.open(urllib.request.Request(url), timeout=TIMEOUT)


def _download(url: str, part: Path, file: Path, max_bytes: int) -> str:
    """Write what is at `url` to `part`, safely on disk, and return its checksum."""
    try:
        with _open(url) as response, part.open("xb") as stream:
            length = response.headers.get("Content-Length")
            if length is not None and int(length) > max_bytes:
                raise _too_long(url, max_bytes)
            checksum, size = _copy(response, stream, url, max_bytes)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, http.client.HTTPException) as error:
        raise _by_hand(url, file, str(error) or type(error).__name__) from error
    if length is not None and size != int(length):
        raise _by_hand(url, file, f"the connection ended after {size:,} of {length} bytes")
    return checksum


def _copy(response: Any, stream: BinaryIO, url: str, max_bytes: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while block := response.read(_BLOCK):
        size += len(block)
        if size > max_bytes:
            raise _too_long(url, max_bytes)
        digest.update(block)
        stream.write(block)
    return digest.hexdigest(), size


def _too_long(url: str, max_bytes: int) -> ValueError:
    return ValueError(f"{url} is longer than {max_bytes:,} bytes: that is not the file meant.")


def _by_hand(url: str, file: Path, reason: str) -> ConnectionError:
    return ConnectionError(
        f"{url} could not be downloaded: {reason}. Without a connection, download it elsewhere "
        f"and save it as {file}, or give the path of your copy in place of the name."
    )


@contextmanager
def _temporary(file: Path) -> Iterator[Path]:
    """Path beside `file` that is free. What is left there in the end is deleted."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _read_pin(pin: Path) -> str | None:
    if not pin.is_file():
        return None
    checksum = pin.read_text("ascii", errors="replace").strip()
    if not re.fullmatch("[0-9a-f]{64}", checksum):
        raise ValueError(f"{pin} does not hold a SHA-256 checksum. Delete it and try again.")
    return checksum


def _write_pin(pin: Path, checksum: str) -> None:
    with _temporary(pin) as part:
        part.write_text(f"{checksum}\n", "ascii")
        part.replace(pin)
