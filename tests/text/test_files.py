"""Documents in text files: what is read, in which order, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sk_ulmfit.text.files import TextFiles, as_text_files


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


def test_a_file_without_blank_lines_comes_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("sk_ulmfit.text.files._LONGEST", 100)
    (tmp_path / "a.txt").write_text("\n".join(f"line {i}" for i in range(100)), encoding="utf-8")
    documents = list(TextFiles(tmp_path / "a.txt"))
    assert "\n".join(documents).split("\n") == [f"line {i}" for i in range(100)]
    assert max(map(len, documents)) < 120


def test_only_paths_are_files():
    assert as_text_files(["a.txt"]) is None and as_text_files(["a"]) is None
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


def test_all_files_below_a_directory_are_read(tmp_path):
    for name in ("b/2.txt", "b/1.txt", "a/x/y/3.txt", "README", ".git/config", "b/.cache/4.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "empty").mkdir()
    assert list(TextFiles(tmp_path)) == ["README", "a/x/y/3.txt", "b/1.txt", "b/2.txt"]


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_links_are_followed_and_end(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("a")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "folder").symlink_to(tmp_path / "elsewhere")
    (corpus / "again").symlink_to(tmp_path / "elsewhere")
    (corpus / "file.txt").symlink_to(tmp_path / "elsewhere" / "a.txt")
    (tmp_path / "elsewhere" / "up").symlink_to(corpus)
    assert list(TextFiles(corpus)) == ["a", "a"]  # of the folder, and by its own link


def test_the_home_directory_has_its_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "a.txt").write_text("a")
    assert list(TextFiles(Path("~/a.txt"))) == list(TextFiles(Path("~"))) == ["a"]
    with pytest.raises(FileNotFoundError, match="There is no file"):
        TextFiles(Path("~/b.txt"))


@pytest.mark.parametrize("path", ["s3://bucket/a.txt", "gs://bucket", "https://x.org/a.txt.gz"])
def test_addresses_are_no_files(path):
    with pytest.raises(ValueError, match="is an address"):
        TextFiles(Path(path))


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull), Path("/dev/zero")):
        with pytest.raises(ValueError, match="pipe or a device: open it"):
            TextFiles(path)
    (tmp_path / "a.txt").write_text("a")
    assert list(TextFiles(tmp_path)) == ["a"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latin.txt", "Straße und Öl\n".encode("latin-1")),
        ("utf16.txt", "a text\n".encode("utf-16")),
        ("utf16-without-mark.txt", "a text\n".encode("utf-16-le")),
        ("archive.tar.gz", gzip.compress(b"a.txt" + b"\0" * 500 + b"text", mtime=0)),
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("archive.zip", b"PK\x03\x04\x14\0\0\0"),
        ("wrong.gz", b"a text that is not compressed"),
    ],
)
def test_what_is_no_text_among_files_is_named_with_a_way_out(name, content, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}' is damaged, or no text .*Convert it to UTF-8"):
        list(TextFiles(tmp_path))


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes("one\n\ntwo".encode("utf-8-sig"))
    assert list(TextFiles(tmp_path)) == ["one", "two"]


@pytest.mark.parametrize("length", [99, 100, 101, 250, 1000])
def test_a_line_without_end_comes_in_parts(length, tmp_path, monkeypatch):
    monkeypatch.setattr("sk_ulmfit.text.files._LONGEST", 100)
    text = "".join(chr(97 + i % 26) for i in range(length))
    (tmp_path / "a.txt").write_text(f"before\n\n{text}\nafter\n\nend")
    documents = list(TextFiles(tmp_path / "a.txt"))
    assert "".join(documents).replace("\n", "") == f"before{text}afterend"
    assert max(map(len, documents)) <= 200 and documents[0] == "before" and documents[-1] == "end"


BOMB = """
import resource, sys
from pathlib import Path
from sk_ulmfit.text.files import TextFiles
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n = sum(len(document) for document in TextFiles(Path(sys.argv[1])))
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in kilobytes")
def test_few_bytes_that_become_many_take_little_memory(tmp_path):
    with gzip.open(tmp_path / "a.gz", "wb", compresslevel=1) as file:
        for _ in range(150):
            file.write(b"a" * 1_000_000)
    found = subprocess.run(
        [sys.executable, "-c", BOMB, str(tmp_path / "a.gz")],
        capture_output=True,
        text=True,
        check=True,
    )
    n, kilobytes = map(int, found.stdout.split())
    assert n == 150_000_000 and kilobytes < 100_000
