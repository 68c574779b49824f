"""One way to write a file: whole or not at all, and nobody else's."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sk_ulmfit import files
from sk_ulmfit.files import atomic_write

OURS = ".sk_ulmfit-" + "0" * 32 + ".new"


def write(path, content):
    with atomic_write(path) as file:
        file.write(content)


def test_a_file_is_what_was_written_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "new" / "directories" / "a"
    for content in (b"one", b"two" * 100_000, b""):
        write(path, content)
        assert path.read_bytes() == content
        assert [file.name for file in path.parent.iterdir()] == ["a"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("at", ["write", "fsync", "replace"])
def test_what_fails_at_any_step_leaves_the_earlier_file(error, at, tmp_path, monkeypatch):
    write(tmp_path / "a", b"earlier")

    def fail(*_):
        raise error

    if at != "write":
        monkeypatch.setattr(os, at, fail)
    expected = type(error) if isinstance(error, OSError) else error
    with pytest.raises(expected), atomic_write(tmp_path / "a") as file:
        file.write(b"half of")
        if at == "write":
            fail()
    assert (tmp_path / "a").read_bytes() == b"earlier"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_links_are_replaced_and_not_followed(tmp_path, monkeypatch):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "a").symlink_to(tmp_path / "precious")
    write(tmp_path / "a", b"new")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "a").is_symlink() and (tmp_path / "a").read_bytes() == b"new"
    # A link under the temporary name, be it that someone could guess it.
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0" * 2 * n)
    (tmp_path / OURS).symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        write(tmp_path / "a", b"newer")
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_many_may_write_one_file(tmp_path):
    contents = [bytes([i]) * 200_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write(tmp_path / "a", content), contents * 3))
    assert (tmp_path / "a").read_bytes() in contents
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    others = [".bashrc.new", ".model.json.new", f"x{OURS}", f"{OURS}x", ".sk_ulmfit-0.new"]
    recent = OURS.replace("0", "1")
    for name in [OURS, recent, *others]:
        (tmp_path / name).write_bytes(b"x")
        if name != recent:
            os.utime(tmp_path / name, (time.time() - 7200,) * 2)
    write(tmp_path / "a", b"a")
    assert {file.name for file in tmp_path.iterdir()} == {recent, *others, "a"}


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_others_may_read_it_as_any_file_that_a_program_makes(tmp_path):
    earlier = os.umask(0o022)
    try:
        write(tmp_path / "a", b"a")
    finally:
        os.umask(earlier)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


CONTENT = {"b": [1, 2.5, None, True], "a": {"ä\ud800\n": "\udfff"}, "7": float("inf")}


def test_json_comes_back_as_it_was(tmp_path):
    files.write_json(tmp_path / "a.json", CONTENT)
    assert files.read_json(tmp_path / "a.json") == CONTENT
    files.write_json(tmp_path / "a.json", {1: (2, 3)})
    assert files.read_json(tmp_path / "a.json") == {"1": [2, 3]}


def test_no_flipped_bit_of_json_goes_unnoticed(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, CONTENT)
    content = path.read_bytes()
    noticed = 0
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert files.read_json(path) == CONTENT  # it was a space, say
        except ValueError as error:
            assert "a.json is damaged" in str(error)
            noticed += 1
    assert noticed > 7 * len(content)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b"null", b"[" * 100_000, b"\xff\xfe{"])
def test_what_is_no_such_json_is_named(content, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        files.read_json(tmp_path / "a.json")
