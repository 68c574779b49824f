"""Checkpoints: a training that was killed goes on, and ends as if it had not been.

A directory is that of one training, which ``training.json`` describes, and of one run at a time.
Behind every checkpoint stand checksums of what it holds and of that description: what is damaged,
or of another training, is named, and never goes on to another result.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from skorch.callbacks import Callback

from .._warnings import warn
from ..files import DirectoryLock, atomic_write, local_path, read_json, write_json
from ..models.directory import plain
from .distributed import Share, own_share

_DESCRIPTION = "training.json"

# Batches after which several processes agree on whether a checkpoint is due: that waits for all.
_AGREED_EVERY = 100


class Checkpoints(Callback):
    """Write the progress of a `ResumableNet` to a file from time to time, and take it up.

    Where the file cannot be written, on a full disk say, there is a warning, and the training goes
    on.

    Parameters
    ----------
    file : Path
    minutes : float
        Time between two checkpoints. 0 writes one after every batch.
    share : Share
        Only the first of several processes writes.
    """

    def __init__(self, file: Path, minutes: float, share: Share):
        self.file = file
        self.minutes = minutes
        self.share = share

    def finished(self) -> dict[str, Any] | None:
        """The end of a training that was completed: its ``"history"`` and ``"module"``."""
        if not self.file.is_file():
            return None
        saved = self._read(torch.device("cpu"))
        if not saved["finished"]:
            return None
        return {"history": json.loads(saved["history"]), "module": saved["module"]}

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.written_ = time.monotonic()
        self.n_batches_ = 0
        if self.file.is_file():
            saved = self._read(torch.device(net.device))
            try:
                net.take_up(saved)
            except Exception as error:  # written by another version, say
                raise _damaged(self.file, error) from error

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if not training:
            return
        self.n_batches_ += 1
        if self.share.count > 1 and self.minutes and self.n_batches_ % _AGREED_EVERY:
            return
        due = time.monotonic() - self.written_ >= 60 * self.minutes
        if self.share.agreed(due):
            net.check_weights()  # a training that goes on from NaN would never end otherwise
            self._write({"finished": False, **net.progress()})
            self.written_ = time.monotonic()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if net.interrupt_ is None:
            self._write({"finished": True, **net.result()})

    def _write(self, state: dict[str, Any]) -> None:
        if not self.share.is_first:
            return
        saved = io.BytesIO()
        torch.save(state, saved)
        content = saved.getbuffer()
        try:
            of = _checksum(self.file.with_name(_DESCRIPTION).read_bytes())
            with atomic_write(self.file) as file:
                file.write(content)
                file.write(_checksum(_checksum(content), of) + of)
        except OSError as error:
            warn(
                f"The checkpoint {self.file} could not be written ({error.strerror}). Training "
                "goes on; killed, it would begin again at the checkpoint before, if there is one.",
                RuntimeWarning,
            )

    def _read(self, device: torch.device) -> dict[str, Any]:
        content = self.file.read_bytes()
        state, checksum, of = content[:-64], content[-64:-32], content[-32:]
        if checksum != _checksum(_checksum(state), of):
            raise _damaged(self.file, "its checksum is another")
        if of != _checksum(self.file.with_name(_DESCRIPTION).read_bytes()):
            raise ValueError(
                f"{self.file} is of another training than {_DESCRIPTION} beside it: delete it to "
                "train from the beginning, or choose another checkpoint_dir."
            )
        try:
            saved: dict[str, Any] = torch.load(
                io.BytesIO(state), map_location=device, weights_only=True
            )
        except Exception as error:
            raise _damaged(self.file, error) from error
        return saved


def _checksum(*parts: bytes | memoryview) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _damaged(file: Path, reason: object) -> ValueError:
    return ValueError(f"{file} is damaged: delete it to train from the beginning ({reason}).")


@contextmanager
def run_directory(
    checkpoint_dir: str | PathLike[str] | None, *, needed: bool
) -> Iterator[Path | None]:
    """The directory of a training while it lasts: the user's own, or one that is removed then.

    Parameters
    ----------
    checkpoint_dir : str, path or None
        Nobody else has it meanwhile.
    needed : bool
        Whether there has to be one.
    """
    if checkpoint_dir is not None:
        with only_run(local_path(checkpoint_dir)) as directory:
            yield directory
    elif needed:
        # Errors: on Windows what another process has open, a virus scanner say, cannot be removed.
        with TemporaryDirectory(prefix="sk_ulmfit-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
    else:
        yield None


@contextmanager
def only_run(directory: Path) -> Iterator[Path]:
    """Keep other runs from a directory: what one writes, the other would go on from.

    Parameters
    ----------
    directory : Path
        Made if it is not there.

    Yields
    ------
    Path
        The directory.

    Raises
    ------
    RuntimeError
        If another run has it.
    OSError
        If it cannot be written to.
    """
    with _named_if_unwritable(directory):
        directory.mkdir(parents=True, exist_ok=True)
    with DirectoryLock(directory) as lock:
        share = own_share()
        if share.agreed(lock.claim() if share.is_first else None) is False:
            raise RuntimeError(
                f"Another run is training in checkpoint_dir {str(directory)!r}. Wait until it has "
                "ended, or choose another directory."
            )
        yield directory


@contextmanager
def _named_if_unwritable(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}: checkpoint_dir cannot be written to. Free some room or choose "
            "another one",
            str(directory),
        ) from error


def claim_directory(
    directory: Path, description: dict[str, Any], seeds: Sequence[int]
) -> Sequence[int]:
    """Make a directory that of one training, or find that it is so already.

    Parameters
    ----------
    directory : Path
    description : dict
        JSON-able; what the result of the training depends on.
    seeds : sequence of int
        For a training that begins.

    Returns
    -------
    sequence of int
        Seeds of the training that the directory is of.

    Raises
    ------
    OSError
        If it cannot be written to.
    ValueError
        If it is of another training.
    """
    file = directory / _DESCRIPTION
    described = json.loads(json.dumps(description, default=plain))
    if not file.is_file():
        with _named_if_unwritable(directory):
            write_json(file, {**described, "seeds": list(seeds)})
        return seeds
    try:
        earlier = read_json(file)
        found: Sequence[int] = earlier.pop("seeds")
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{file} is damaged: delete checkpoint_dir to train from the beginning ({error!r})."
        ) from error
    names = {*described, *earlier}
    differing = sorted(name for name in names if described.get(name) != earlier.get(name))
    if differing:
        name = differing[0]
        raise ValueError(
            f"checkpoint_dir {str(directory)!r} holds a training with other "
            f"{', '.join(differing)} ({name}: {earlier.get(name)!r:.80}, now "
            f"{described.get(name)!r:.80}). Delete it or choose another one to begin afresh, or "
            "call fit as before to go on."
        )
    return found
