"""What a language model is trained on: texts in memory, or a corpus that may be larger.

Both are counted, to learn a vocabulary of, and encoded. A corpus is read as a stream and kept as
ids in the files of a directory.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any, Union

import numpy as np
from joblib import Parallel, delayed

from ..files import atomic_write, file_sha256, read_json, sha256, write_json
from ..progress_bar import Bar
from .token_lists import TokenLists
from .tokenizer import Tokenizer, batches
from .tokenizers import CallableTokenizer, tokenizer_from_dict
from .validation import checked_texts
from .vocabulary import Vocabulary

_IDS, _WORDS, _OFFSETS = "ids.bin", "words.bin", "offsets.npy"
_DESCRIPTION, _TOKENIZER = "corpus.json", "tokenizer.json"

# Where the texts of an iterator are while they are needed more than once.
_COPY = "texts.jsonl"

# What one worker gets at a time: large enough that sending a tokenizer along costs little.
_CHARACTERS = 4_000_000

# Which texts tell a tokenizer from others, and how many of their characters.
_EVERY_TEXT_OF_THE_FIRST, _EVERY, _BEGINNING = 1_000, 100, 10_000

_NO_TEXTS = "Found array with 0 sample(s) while a minimum of 1 is required: X has no texts."

TextSource = Union["TextsInMemory", "TextsOnDisk"]


def _tells_of_a_full_disk(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method of `TextsOnDisk` say which disk is full: the system's own error does not."""

    @wraps(method)
    def telling(self: TextsOnDisk, *args: Any) -> Any:
        try:
            return method(self, *args)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise OSError(
                error.errno,
                f"{error.strerror}: the ids of the texts are kept there while training. Free some "
                "room, or set checkpoint_dir to a place that has it",
                str(self.directory),
            ) from error

    return telling


class TextsInMemory:
    """Texts in a list.

    Parameters
    ----------
    texts : list of str
    """

    def __init__(self, texts: list[str]):
        self.texts = texts

    def fit(self, tokenizer: Tokenizer, **limits: int) -> Tokenizer:
        """Let `tokenizer` learn the vocabulary of the texts."""
        return tokenizer.fit(self.texts, **limits)

    def grow(self, tokenizer: Tokenizer, **limits: int) -> Tokenizer:
        """Let `tokenizer` add what is new to its vocabulary."""
        return tokenizer.grow(self.texts, **limits)

    def encode(self, tokenizer: Tokenizer) -> TokenLists:
        """Ids of all texts."""
        return tokenizer.documents(self.texts)

    def describe(self, tokenizer: Tokenizer) -> dict[str, str]:
        """Checksums of the texts and of what `tokenizer` makes of them."""
        return _checksums(self.texts, tokenizer)


class TextsOnDisk:
    """Texts that are read as a stream and kept as ids in a directory.

    A directory that has been filled before is used as it is, so that an interrupted training
    does not tokenise again.

    Parameters
    ----------
    texts : TextFiles or iterable of str
        An iterator, which can be read only once, is copied to the directory first.
    directory : Path
    n_jobs : int or None
        Number of processes that tokenise, as joblib takes it.
    verbose : bool
        Show progress.
    lexicon : bool, default=False
        Tell the words of a tokenizer's lexicon apart, too.
    """

    def __init__(
        self,
        texts: Iterable[str],
        directory: Path,
        *,
        n_jobs: int | None,
        verbose: bool,
        lexicon: bool = False,
    ):
        self.lexicon = lexicon
        self.texts = texts
        self.directory = directory
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, tokenizer: Tokenizer, **limits: int) -> Tokenizer:
        """Let `tokenizer` learn the vocabulary of the texts."""
        return self._learned(tokenizer, tokenizer.fit_counts, limits)

    def grow(self, tokenizer: Tokenizer, **limits: int) -> Tokenizer:
        """Let `tokenizer` add what is new to its vocabulary."""
        if not tokenizer.can_grow(limits["max_vocab"]):
            return tokenizer
        return self._learned(tokenizer, tokenizer.grow_counts, limits)

    @_tells_of_a_full_disk
    def _learned(
        self, tokenizer: Tokenizer, learn: Callable[..., Tokenizer], limits: dict[str, int]
    ) -> Tokenizer:
        file = self.directory / _TOKENIZER
        if file.is_file():
            return _restored(self._read(file), tokenizer)
        counts: Counter[str] = Counter()
        n_texts = 0
        for n_read, some in self._in_batches("Counting words", "count", tokenizer):
            counts.update(some)
            n_texts += n_read
        if not n_texts:
            raise ValueError(_NO_TEXTS)
        learned = learn(counts, **limits)
        write_json(file, _described(learned))
        return learned

    def encode(self, tokenizer: Tokenizer) -> TokenLists:
        """Ids of all texts, as a memory map."""
        file = self.directory / _DESCRIPTION
        if tokenizer.lexicon and not self.lexicon:
            tokenizer = tokenizer.with_lexicon(())
        digest = _digest(tokenizer.vocab.tokens)
        if tokenizer.lexicon:
            digest += _digest(tokenizer.lexicon)
        if not file.is_file() or self._read(file)["vocabulary"] != digest:
            file.unlink(missing_ok=True)  # without it, the corpus is not complete
            self._write(tokenizer, digest)
            (self.directory / _COPY).unlink(missing_ok=True)  # the ids are all that is needed now
        return self._taken_up()

    @_tells_of_a_full_disk
    def _write(self, tokenizer: Tokenizer, vocabulary: str) -> None:
        # Half the size, for as long as the ids fit.
        dtype = np.dtype(np.uint16 if len(tokenizer.vocab) <= 2**16 else np.int32)
        lengths = []
        names = [_IDS, _WORDS, _OFFSETS] if tokenizer.lexicon else [_IDS, _OFFSETS]
        with ExitStack() as opened:
            files = [opened.enter_context(atomic_write(self.directory / n)) for n in names[:-1]]
            for _, documents in self._in_batches("Tokenising", "documents", tokenizer):
                files[0].write(documents.ids.astype(dtype).tobytes())
                for file in files[1:]:
                    file.write(documents.words.astype(np.int32).tobytes())
                lengths.append(documents.lengths)
            if not lengths:
                raise ValueError(_NO_TEXTS)
        offsets = np.concatenate([[0], *lengths]).cumsum()
        with atomic_write(self.directory / _OFFSETS) as file:
            np.save(file, offsets)
        described = {
            "dtype": dtype.name,
            "n_documents": len(offsets) - 1,
            "n_tokens": int(offsets[-1]),
            "files_sha256": {n: file_sha256(self.directory / n) for n in names},
            "vocabulary": vocabulary,
        }
        write_json(self.directory / _DESCRIPTION, described)

    def _taken_up(self) -> TokenLists:
        description = self._read(self.directory / _DESCRIPTION)
        for name, digest in description["files_sha256"].items():
            file = self.directory / name
            if not file.is_file() or file_sha256(file) != digest:
                raise self._damaged(f"{file} is damaged or missing")
        ids = np.memmap(self.directory / _IDS, dtype=description["dtype"], mode="r")
        words = None
        if _WORDS in description["files_sha256"]:
            words = np.memmap(self.directory / _WORDS, np.int32, "r")
        return TokenLists(ids, np.load(self.directory / _OFFSETS), words)

    @_tells_of_a_full_disk
    def describe(self, tokenizer: Tokenizer) -> dict[str, str]:
        """Checksums of the texts and of what `tokenizer` makes of some of them.

        Reads all texts. Those of an iterator are copied on the way.
        """
        texts = checked_texts(self.texts)
        if isinstance(self.texts, Iterator) and not (self.directory / _DESCRIPTION).is_file():
            texts = self._copied(texts)
        return _checksums(texts, tokenizer)

    def _reread(self) -> Iterable[str]:
        """The texts, from their beginning."""
        if not isinstance(self.texts, Iterator):
            return checked_texts(self.texts)
        if not (self.directory / _COPY).is_file():
            deque(self._copied(checked_texts(self.texts)), maxlen=0)
        return _lines(self.directory / _COPY)

    def _copied(self, texts: Iterable[str]) -> Iterator[str]:
        """The texts, written to the directory while they are read."""
        with atomic_write(self.directory / _COPY) as file:
            for text in texts:
                file.write(f"{json.dumps(text)}\n".encode("ascii"))
                yield text

    def _in_batches(
        self, label: str, method: str, tokenizer: Tokenizer
    ) -> Iterator[tuple[int, Any]]:
        """What a method of `tokenizer` makes of batch after batch, with the batches' sizes."""
        # Only a few batches are ahead of the workers, so that memory stays bounded.
        parallel = Parallel(n_jobs=self.n_jobs, return_as="generator", pre_dispatch="2*n_jobs")
        jobs = (
            delayed(_with_size)(method, tokenizer, batch)
            for batch in batches(self._reread(), _CHARACTERS, len)
        )
        with Bar(desc=label, unit="text", unit_scale=True, disable=not self.verbose) as bar:
            for n_texts, result in parallel(jobs):
                bar.update(n_texts)
                yield n_texts, result

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            return read_json(file)
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> ValueError:
        return ValueError(f"{what}: delete {self.directory} to tokenise the texts again.")


def source_of(
    texts: Iterable[str],
    directory: Path | None,
    *,
    n_jobs: int | None,
    verbose: bool,
    lexicon: bool = False,
) -> TextSource:
    """What a list of texts is read from, or a stream of them.

    Parameters
    ----------
    texts : list of str, or iterable of them
    directory : Path or None
        Of the training; ids of a stream are kept in it. None for a list alone.
    n_jobs, verbose, lexicon
        As `TextsOnDisk` takes them.
    """
    if isinstance(texts, list):
        return TextsInMemory(texts)
    assert directory is not None
    return TextsOnDisk(texts, directory / "corpus", n_jobs=n_jobs, verbose=verbose, lexicon=lexicon)


def _checksums(texts: Iterable[str], tokenizer: Tokenizer) -> dict[str, str]:
    """Checksums of all texts, and of the tokens of some.

    What it makes of these tells a tokenizer from others, be it a function or an object.
    """
    of_texts, of_tokens = hashlib.sha256(), hashlib.sha256()
    for i, text in enumerate(texts):
        encoded = text.encode("utf-8", "surrogatepass")
        of_texts.update(len(encoded).to_bytes(8, "little") + encoded)
        if i < _EVERY_TEXT_OF_THE_FIRST or i % _EVERY == 0:
            of_tokens.update(_digest(tokenizer.split(text[:_BEGINNING])).encode("ascii"))
    return {
        "texts": of_texts.hexdigest(),
        "tokenizer": f"one of tokens of checksum {of_tokens.hexdigest()}",
    }


def _lines(path: Path) -> Iterator[str]:
    """Texts of a file that has one in JSON on every line."""
    with path.open(encoding="ascii") as file:
        for line in file:
            yield json.loads(line)


def _with_size(method: str, tokenizer: Tokenizer, texts: list[str]) -> tuple[int, Any]:
    return len(texts), getattr(tokenizer, method)(texts)


def _digest(tokens: Iterable[str]) -> str:
    return sha256(json.dumps(list(tokens)).encode("ascii"))


def _described(tokenizer: Tokenizer) -> dict[str, Any]:
    if isinstance(tokenizer, CallableTokenizer):
        return Tokenizer.to_dict(tokenizer)  # what its own refuses to write for good
    return tokenizer.to_dict()


def _restored(description: dict[str, Any], like: Tokenizer) -> Tokenizer:
    if isinstance(like, CallableTokenizer):
        restored = CallableTokenizer(like.function, Vocabulary(description["tokens"]))
        return restored.with_lexicon(description.get("lexicon", ()))
    return tokenizer_from_dict(description)
