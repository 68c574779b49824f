"""A corpus larger than memory, tokenised once into a file of ids."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from ..files import atomic_write
from .base import Tokenizer
from .token_lists import TokenLists

IDS_FILE, OFFSETS_FILE, DESCRIPTION_FILE = "ids.bin", "offsets.npy", "corpus.json"

# What one worker gets at a time: large enough that sending a tokenizer along costs little.
_CHARACTERS = 4_000_000

NO_TEXTS = "Found array with 0 sample(s) while a minimum of 1 is required: X has no texts."

Report = Callable[[int], None]
"""Is told how many texts have been read since it was told last."""


def count_words(
    texts: Iterable[str], tokenizer: Tokenizer, *, n_jobs: int | None, report: Report
) -> tuple[Counter[str], int]:
    """Count the words of a corpus, and its texts.

    Parameters
    ----------
    texts : iterable of str
    tokenizer : Tokenizer
        Need not be fitted.
    n_jobs : int or None
        Number of processes, as joblib takes it.
    report : callable
        Takes the number of texts that were read.

    Returns
    -------
    counts : Counter of str
    n_texts : int
    """
    total: Counter[str] = Counter()
    n_texts = 0
    for n_read, counts in _in_parallel(_count, tokenizer, texts, n_jobs):
        total.update(counts)
        n_texts += n_read
        report(n_read)
    return total, n_texts


def write_corpus(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    directory: Path,
    *,
    n_jobs: int | None,
    report: Report,
    description: dict[str, Any],
) -> TokenLists:
    """Encode a corpus into files.

    Parameters
    ----------
    texts : iterable of str
    tokenizer : Tokenizer
        Fitted.
    directory : Path
        Where the files go. Without its last file, `corpus.json`, a corpus is not complete.
    n_jobs : int or None
        Number of processes, as joblib takes it.
    report : callable
        Takes the number of texts that were read.
    description : dict
        Is put into `corpus.json`.

    Returns
    -------
    TokenLists
        Its ids are a memory map.

    Raises
    ------
    ValueError
        If there are no texts.
    """
    # Half the size, for as long as the ids fit.
    dtype = np.dtype(np.uint16 if len(tokenizer.vocab) <= 2**16 else np.int32)
    (directory / DESCRIPTION_FILE).unlink(missing_ok=True)
    lengths = []
    digest = hashlib.sha256()
    with atomic_write(directory / IDS_FILE) as file:
        for n_texts, (ids, offsets) in _in_parallel(_encode, tokenizer, texts, n_jobs):
            block = ids.astype(dtype).tobytes()
            file.write(block)
            digest.update(block)
            lengths.append(np.diff(offsets))
            report(n_texts)
        if not lengths:
            raise ValueError(NO_TEXTS)
    offsets = np.concatenate([[0], *lengths]).cumsum()
    with atomic_write(directory / OFFSETS_FILE) as file:
        np.save(file, offsets)
    described = {
        "dtype": dtype.name,
        "n_documents": len(offsets) - 1,
        "n_tokens": int(offsets[-1]),
        "sha256": digest.hexdigest(),
        **description,
    }
    with atomic_write(directory / DESCRIPTION_FILE) as file:
        file.write(json.dumps(described).encode())
    return read_corpus(directory)


def describe_corpus(directory: Path) -> dict[str, Any] | None:
    """What `write_corpus` noted, None if there is no complete corpus."""
    file = directory / DESCRIPTION_FILE
    if not file.is_file():
        return None
    description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return description


def read_corpus(directory: Path) -> TokenLists:
    """Open a corpus that `write_corpus` made.

    Returns
    -------
    TokenLists
        Its ids are a memory map.

    Raises
    ------
    ValueError
        If the files do not fit together.
    """
    description = describe_corpus(directory)
    ids_file = directory / IDS_FILE
    if description is None:
        raise ValueError(f"{directory} holds no complete corpus.")
    dtype = np.dtype(description["dtype"])
    if ids_file.stat().st_size != description["n_tokens"] * dtype.itemsize:
        raise ValueError(f"{ids_file} is damaged: delete {directory} to tokenise the texts again.")
    ids = np.memmap(ids_file, dtype=dtype, mode="r")
    return TokenLists(ids, np.load(directory / OFFSETS_FILE))


def _in_parallel(
    work: Callable[[Tokenizer, list[str]], Any],
    tokenizer: Tokenizer,
    texts: Iterable[str],
    n_jobs: int | None,
) -> Iterator[tuple[int, Any]]:
    """Results of `work` for batch after batch, in order, with the batches' sizes."""
    # Only a few batches are ahead of the workers, so that memory stays bounded.
    parallel = Parallel(n_jobs=n_jobs, return_as="generator", pre_dispatch="2*n_jobs")
    yield from parallel(delayed(_with_size)(work, tokenizer, batch) for batch in _batches(texts))


def _with_size(work: Any, tokenizer: Tokenizer, texts: list[str]) -> tuple[int, Any]:
    return len(texts), work(tokenizer, texts)


def _count(tokenizer: Tokenizer, texts: list[str]) -> Counter[str]:
    return tokenizer.count(texts)


def _encode(tokenizer: Tokenizer, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    return tokenizer.encode(texts)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text) + 100
        if size >= _CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
