"""What a language model is trained on: texts in memory, or a corpus that may be larger."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, Union

from ..files import atomic_write
from ..progress_bar import Bar
from .base import Tokenizer
from .corpus import NO_TEXTS, count_words, describe_corpus, read_corpus, write_corpus
from .files import TextFiles
from .token_lists import TokenLists
from .tokenizers import CallableTokenizer, tokenizer_from_dict
from .validation import CheckedTexts
from .vocabulary import Vocabulary

# How many of the texts are read to tell them from others.
_DESCRIBED_BY = 100

# Where the texts of an iterator are while its words are counted.
_COPY = "texts.jsonl"

TextSource = Union["TextsInMemory", "TextsOnDisk"]
Learn = Callable[..., Tokenizer]


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
        return TokenLists(*tokenizer.encode(self.texts))

    def describe(self) -> Any:
        """Something that differs when the texts do."""
        digest = hashlib.sha256()
        for text in self.texts:
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little") + encoded)
        return digest.hexdigest()


@contextmanager
def full_disk_named(directory: Path) -> Iterator[None]:
    """Tell which disk is full and what to do: the system's own error does not.

    Parameters
    ----------
    directory : Path
        Where `TextsOnDisk` keep their ids.

    Raises
    ------
    OSError
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OSError(
            error.errno,
            f"{error.strerror}: the ids of the texts are kept there while training. Free some "
            "room, or set checkpoint_dir to a place that has it",
            str(directory),
        ) from error


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
    """

    def __init__(self, texts: Iterable[str], directory: Path, *, n_jobs: int | None, verbose: bool):
        self.texts = texts
        self.directory = directory
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, tokenizer: Tokenizer, **limits: int) -> Tokenizer:
        """Let `tokenizer` learn the vocabulary of the texts."""
        return self._learned(tokenizer, tokenizer.fit_counts, limits)

    def grow(self, tokenizer: Tokenizer, **limits: int) -> Tokenizer:
        """Let `tokenizer` add what is new to its vocabulary."""
        if limits["max_vocab"] <= len(tokenizer.vocab):
            return tokenizer
        return self._learned(tokenizer, tokenizer.grow_counts, limits)

    def _learned(self, tokenizer: Tokenizer, learn: Learn, limits: dict[str, int]) -> Tokenizer:
        file = self.directory / "tokenizer.json"
        if file.is_file():
            return _restored(json.loads(file.read_text(encoding="utf-8")), tokenizer)
        with self._bar("Counting words") as bar:
            counts, n_texts = count_words(
                self._reread(), tokenizer, n_jobs=self.n_jobs, report=bar.update
            )
        if not n_texts:
            raise ValueError(NO_TEXTS)
        learned = learn(counts, **limits)
        with atomic_write(file) as opened:
            opened.write(json.dumps(_described(learned)).encode())
        return learned

    def encode(self, tokenizer: Tokenizer) -> TokenLists:
        """Ids of all texts, as a memory map."""
        vocabulary = hashlib.sha256("\n".join(tokenizer.vocab.tokens).encode()).hexdigest()
        done = describe_corpus(self.directory)
        if done is not None and done["vocabulary"] == vocabulary:
            return read_corpus(self.directory)
        with self._bar("Tokenising") as bar:
            corpus = write_corpus(
                self._reread(),
                tokenizer,
                self.directory,
                n_jobs=self.n_jobs,
                report=bar.update,
                description={"vocabulary": vocabulary},
            )
        (self.directory / _COPY).unlink(missing_ok=True)  # the ids are all that is needed now
        return corpus

    def describe(self) -> Any:
        """Something that differs when the texts do, as far as their beginning tells."""
        if isinstance(self.texts, TextFiles):
            return self.texts.describe()
        rest = iter(self.texts)
        first = list(islice(rest, _DESCRIBED_BY))
        if isinstance(self.texts, Iterator):
            self.texts = chain(first, rest)
        return TextsInMemory(list(CheckedTexts(first))).describe()

    def _bar(self, label: str) -> Any:
        return Bar(desc=label, unit="text", unit_scale=True, disable=not self.verbose)

    def _reread(self) -> Iterable[str]:
        """The texts, from their beginning."""
        if not isinstance(self.texts, Iterator):
            return CheckedTexts(self.texts)
        copied = self.directory / _COPY
        if not copied.is_file():
            with atomic_write(copied) as file:
                for text in CheckedTexts(self.texts):
                    file.write(f"{json.dumps(text)}\n".encode())
        return _Lines(copied)


class _Lines:
    """Texts of a file that has one in JSON on every line."""

    def __init__(self, path: Path):
        self.path = path

    def __iter__(self) -> Iterator[str]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def _described(tokenizer: Tokenizer) -> dict[str, Any]:
    if isinstance(tokenizer, CallableTokenizer):
        return {"kind": tokenizer.kind, "tokens": list(tokenizer.vocab.tokens)}
    return tokenizer.to_dict()


def _restored(description: dict[str, Any], like: Tokenizer) -> Tokenizer:
    if isinstance(like, CallableTokenizer):
        return CallableTokenizer(like.function, Vocabulary(description["tokens"]))
    return tokenizer_from_dict(description)
