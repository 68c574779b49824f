"""Corpora in files and streams: read, counted and encoded as if they were a list."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from pathlib import Path

import numpy as np
import pytest

from sk_ulmfit.datasets import load_banking77
from sk_ulmfit.text.corpus import count_words, describe_corpus, read_corpus, write_corpus
from sk_ulmfit.text.files import TextFiles, as_text_files
from sk_ulmfit.text.sources import TextsInMemory, TextsOnDisk
from sk_ulmfit.text.tokenizers import make_tokenizer

TEXTS = list(load_banking77(subset="train").data[:300])
LIMITS = {"max_vocab": 500, "min_freq": 2}


def unheard(n):
    """A report that nobody listens to."""


@pytest.mark.parametrize(
    ("name", "opener"),
    [("a.txt", open), ("a.txt.gz", gzip.open), ("a.txt.xz", lzma.open), ("a.bz2", bz2.open)],
)
def test_documents_end_at_blank_lines_whatever_the_compression(name, opener, tmp_path):
    with opener(tmp_path / name, "wt", encoding="utf-8") as file:
        file.write("\n\none\n  still one \n\n\n\t\ntwö\r\n\r\nthree")
    assert list(TextFiles(tmp_path / name)) == ["one\n  still one", "twö", "three"]


def test_a_directory_stands_for_its_files_and_can_be_read_twice(tmp_path):
    for name in ("b.txt", "a.txt", ".hidden"):
        (tmp_path / name).write_text(f"{name} 1\n\n{name} 2", encoding="utf-8")
    files = TextFiles([tmp_path])
    assert list(files) == list(files) == ["a.txt 1", "a.txt 2", "b.txt 1", "b.txt 2"]
    described = files.describe()
    assert [(file["file"], file["bytes"]) for file in described] == [("a.txt", 16), ("b.txt", 16)]
    (tmp_path / "b.txt").write_text("b.txt 1\n\nb.txt 3", encoding="utf-8")
    assert files.describe()[0] == described[0] and files.describe()[1] != described[1]


def test_a_file_without_blank_lines_comes_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("sk_ulmfit.text.files._LONGEST", 100)
    (tmp_path / "a.txt").write_text("\n".join(f"line {i}" for i in range(100)), encoding="utf-8")
    documents = list(TextFiles(tmp_path / "a.txt"))
    assert "\n".join(documents).split("\n") == [f"line {i}" for i in range(100)]
    assert max(map(len, documents)) < 120


def test_only_paths_are_files():
    assert as_text_files(["a.txt"]) is None and as_text_files(TEXTS) is None
    assert as_text_files([]) is None and as_text_files((Path("a"), "b")) is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\xff\xfe\x00", "a.txt' is damaged, or no text in UTF-8"),
        ("a.txt.gz", b"no gzip", "a.txt.gz' is damaged"),
        ("a.txt.bz2", b"no bz2", "a.txt.bz2' is damaged"),
        ("a.gz", gzip.compress(b"text" * 999, mtime=0)[:20] + b"\xff" * 30, "a.gz' is damaged"),
        ("a.txt.xz", lzma.compress(b"text " * 10_000)[:-30], "a.txt.xz' is damaged"),
        (
            "a.txt.gz",
            gzip.compress(bytes(range(97, 120)) * 500, mtime=0)[:-20],
            "a.txt.gz' is damaged",
        ),
    ],
)
def test_a_damaged_file_is_named(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        list(TextFiles(tmp_path / name))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*nowhere"):
        TextFiles(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no files in the directory"):
        TextFiles(tmp_path)


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("kind", ["word", "subword", str.split])
def test_in_batches_and_processes_it_is_what_one_call_gives(kind, n_jobs, tmp_path, monkeypatch):
    monkeypatch.setattr("sk_ulmfit.text.corpus._CHARACTERS", 5_000)
    tokenizer = make_tokenizer(kind)
    read = []
    counts, n_texts = count_words(iter(TEXTS), tokenizer, n_jobs=n_jobs, report=read.append)
    assert counts == tokenizer.count(TEXTS) and n_texts == sum(read) == len(TEXTS)
    assert len(read) > 3
    fitted = tokenizer.fit(TEXTS, **LIMITS)
    corpus = write_corpus(
        TEXTS, fitted, tmp_path, n_jobs=n_jobs, report=unheard, description={"of": "a bank"}
    )
    ids, offsets = fitted.encode(TEXTS)
    assert isinstance(corpus.ids, np.memmap) and corpus.ids.dtype == np.uint16
    np.testing.assert_array_equal(corpus.ids, ids)
    np.testing.assert_array_equal(corpus.offsets, offsets)
    assert describe_corpus(tmp_path)["of"] == "a bank"


def test_a_corpus_that_was_cut_short_is_refused(tmp_path):
    fitted = make_tokenizer("word").fit(TEXTS, **LIMITS)
    write_corpus(TEXTS, fitted, tmp_path, n_jobs=None, report=unheard, description={})
    content = (tmp_path / "ids.bin").read_bytes()
    (tmp_path / "ids.bin").write_bytes(content[:-2])
    with pytest.raises(ValueError, match=r"ids\.bin is damaged: delete"):
        read_corpus(tmp_path)
    (tmp_path / "corpus.json").unlink()
    with pytest.raises(ValueError, match="holds no complete corpus"):
        read_corpus(tmp_path)


def on_disk(texts, directory):
    return TextsOnDisk(texts, directory, n_jobs=None, verbose=False)


class Endless:
    """Texts that nobody knows the number of, and how often they are read."""

    times = 0

    def __iter__(self):
        self.times += 1
        yield from TEXTS


@pytest.mark.parametrize("kind", ["word", "subword", str.split])
def test_on_disk_and_in_memory_are_the_same_to_who_uses_them(kind, tmp_path):
    tokenizer = make_tokenizer(kind)
    memory, disk = TextsInMemory(TEXTS), on_disk(iter(TEXTS), tmp_path)
    fitted = memory.fit(tokenizer, **LIMITS)
    assert disk.fit(tokenizer, **LIMITS).vocab == fitted.vocab
    np.testing.assert_array_equal(disk.encode(fitted).ids, memory.encode(fitted).ids)


def test_growing_keeps_what_is_known(tmp_path):
    known = make_tokenizer("word").fit(TEXTS[:20], max_vocab=40, min_freq=1)
    grown = on_disk(Endless(), tmp_path).grow(known, max_vocab=60, min_freq=1)
    assert grown.vocab.tokens == known.grow(TEXTS, max_vocab=60, min_freq=1).vocab.tokens
    unread = Endless()
    assert on_disk(unread, tmp_path).grow(known, max_vocab=40, min_freq=1) is known
    assert unread.times == 0, "there is no room for new words"


def test_what_is_done_is_not_done_again(tmp_path):
    texts = Endless()
    first = on_disk(texts, tmp_path)
    fitted = first.fit(make_tokenizer("subword"), **LIMITS)
    ids = first.encode(fitted).ids
    assert texts.times == 2
    again = on_disk(texts, tmp_path)
    restored = again.fit(make_tokenizer("subword"), **LIMITS)
    np.testing.assert_array_equal(again.encode(restored).ids, ids)
    assert texts.times == 2


def test_an_iterator_is_copied_while_it_is_read(tmp_path):
    odd = ["line\nbreak", "lone \ud800 surrogate", "", "tab\t"]
    source = on_disk(iter(odd), tmp_path)
    fitted = source.fit(make_tokenizer("word"), max_vocab=50, min_freq=1)
    np.testing.assert_array_equal(source.encode(fitted).ids, fitted.encode(odd)[0])


def test_no_texts_and_no_texts_among_texts_are_refused(tmp_path):
    with pytest.raises(ValueError, match="X has no texts"):
        on_disk(iter([]), tmp_path / "a").fit(make_tokenizer("word"), **LIMITS)
    known = make_tokenizer("word").fit(TEXTS, **LIMITS)
    with pytest.raises(ValueError, match="X has no texts"):
        on_disk(iter([]), tmp_path / "d").encode(known)
    with pytest.raises(TypeError, match=r"X\[1\] is no text but int"):
        on_disk(iter(["a", 1]), tmp_path / "b").fit(make_tokenizer("word"), **LIMITS)
    with pytest.raises(ValueError, match=r"X\[0\] is missing"):
        on_disk(iter([None]), tmp_path / "c").fit(make_tokenizer("word"), **LIMITS)
