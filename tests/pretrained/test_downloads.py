"""Downloads: what is kept, what is refused, and what is left when something goes wrong."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import stat
import threading
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

import pytest

from sk_ulmfit.pretrained import downloads
from sk_ulmfit.pretrained.downloads import cache_home, fetch

URL = "https://models.example/lm/wt103-fwd.tgz"
DATA = bytes(range(256)) * 20
SHA256 = hashlib.sha256(DATA).hexdigest()


class Web:
    """Answers in place of the network. `data` can be an error, or cut off after `sent` bytes."""

    def __init__(self):
        self.data = DATA
        self.sent = None
        self.says_length = True
        self.asked = []

    def open(self, url):
        self.asked.append(url)
        if isinstance(self.data, BaseException):
            raise self.data
        response = io.BytesIO(self.data[: self.sent])
        response.headers = Message()
        if self.says_length:
            response.headers["Content-Length"] = str(len(self.data))
        return response


@pytest.fixture
def web(monkeypatch):
    web = Web()
    monkeypatch.setattr(downloads, "_open", web.open)
    return web


def names(directory):
    return sorted(file.name for file in directory.iterdir()) if directory.exists() else []


def test_downloads_once(web, tmp_path):
    cache = tmp_path / "not" / "there"
    file = fetch(URL, SHA256, max_bytes=10_000, cache_dir=cache)
    assert file == cache / "wt103-fwd.tgz"
    assert file.read_bytes() == DATA
    assert fetch(URL, SHA256.upper(), max_bytes=10_000, cache_dir=str(cache)) == file
    assert web.asked == [URL]
    assert names(cache) == ["wt103-fwd.tgz"]


def test_a_file_in_the_cache_can_be_read_by_others(web, tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    file = fetch(URL, SHA256, max_bytes=10_000, cache_dir=tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_damaged_file_in_the_cache_is_downloaded_again(web, tmp_path):
    (tmp_path / "wt103-fwd.tgz").write_bytes(DATA[:-1])
    assert fetch(URL, SHA256, max_bytes=10_000, cache_dir=tmp_path).read_bytes() == DATA


def test_wrong_checksum(web, tmp_path):
    with pytest.raises(ValueError, match=rf"{SHA256}, expected {'0' * 64}.* nothing of it was"):
        fetch(URL, "0" * 64, max_bytes=10_000, cache_dir=tmp_path)
    assert names(tmp_path) == []


def test_a_wrong_download_leaves_the_old_file(web, tmp_path):
    # It may be damaged, but it is the user's, who may have put it there by hand.
    (tmp_path / "wt103-fwd.tgz").write_bytes(b"old")
    with pytest.raises(ValueError, match="expected 000"):
        fetch(URL, "0" * 64, max_bytes=10_000, cache_dir=tmp_path)
    assert names(tmp_path) == ["wt103-fwd.tgz"]


class TestChecksumOfTheFirstDownload:
    """With sha256=None."""

    def fetch(self, directory):
        return fetch(URL, None, max_bytes=10_000, cache_dir=directory)

    def test_is_kept_and_holds(self, web, tmp_path):
        file = self.fetch(tmp_path)
        assert names(tmp_path) == ["wt103-fwd.tgz", "wt103-fwd.tgz.sha256"]
        assert (tmp_path / "wt103-fwd.tgz.sha256").read_text() == f"{SHA256}\n"
        assert self.fetch(tmp_path) == file
        file.write_bytes(b"damaged")
        assert self.fetch(tmp_path).read_bytes() == DATA
        assert len(web.asked) == 2

    def test_refuses_another_file_later(self, web, tmp_path):
        self.fetch(tmp_path).unlink()
        web.data = b"something else"
        with pytest.raises(ValueError, match=r"If you trust the new one, delete .*\.sha256"):
            self.fetch(tmp_path)
        assert names(tmp_path) == ["wt103-fwd.tgz.sha256"]

    def test_of_a_file_put_there_by_hand(self, web, tmp_path):
        (tmp_path / "wt103-fwd.tgz").write_bytes(DATA)
        self.fetch(tmp_path)
        assert web.asked == []
        assert (tmp_path / "wt103-fwd.tgz.sha256").read_text() == f"{SHA256}\n"

    def test_that_is_none(self, web, tmp_path):
        (tmp_path / "wt103-fwd.tgz.sha256").write_bytes(b"\xff")
        with pytest.raises(ValueError, match=r"does not hold a SHA-256 checksum. Delete it"):
            self.fetch(tmp_path)


@pytest.mark.parametrize("says_length", [True, False])
def test_size_limit(says_length, web, tmp_path):
    web.says_length = says_length
    assert fetch(URL, SHA256, max_bytes=len(DATA), cache_dir=tmp_path / "a").exists()
    with pytest.raises(ValueError, match="longer than 5,119 bytes"):
        fetch(URL, SHA256, max_bytes=len(DATA) - 1, cache_dir=tmp_path / "b")
    assert names(tmp_path / "b") == []


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_download_that_breaks_off_leaves_nothing(sha256, web, tmp_path):
    web.sent = 1000
    with pytest.raises(ConnectionError, match="ended after 1,000 of 5120 bytes"):
        fetch(URL, sha256, max_bytes=10_000, cache_dir=tmp_path)
    assert names(tmp_path) == []


def test_interrupted_by_the_user(web, tmp_path, monkeypatch):
    class Interrupted(io.BytesIO):
        def write(self, data):
            raise KeyboardInterrupt

    def open_interrupted(path, mode):
        path.touch()
        return Interrupted()

    monkeypatch.setattr(Path, "open", open_interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(URL, SHA256, max_bytes=10_000, cache_dir=tmp_path)
    assert names(tmp_path) == []


def test_no_network(web, tmp_path):
    web.data = urllib.error.URLError("Name or service not known")
    with pytest.raises(ConnectionError) as caught:
        fetch(URL, SHA256, max_bytes=10_000, cache_dir=tmp_path)
    message = str(caught.value)
    assert "Name or service not known" in message
    assert f"save it as {tmp_path / 'wt103-fwd.tgz'}" in message
    assert "give the path of your copy in place of the name" in message


@pytest.mark.parametrize("url", ["http://a.example/x.tgz", "file:///etc/x", "ftp://a/x.tgz", "x"])
def test_only_https(url, web, tmp_path):
    with pytest.raises(ValueError, match="Only https"):
        fetch(url, SHA256, max_bytes=10_000, cache_dir=tmp_path)
    assert web.asked == []


@pytest.mark.parametrize("end", ["", "a/", "..", "a/%2e%2e", "a%2F..%2F", ".hidden", "a b"])
def test_addresses_without_a_file_name(end, web, tmp_path):
    with pytest.raises(ValueError, match="does not end in the name of a file"):
        fetch(f"https://a.example/{end}", SHA256, max_bytes=10_000, cache_dir=tmp_path)


class TestTheCacheDirectory:
    @pytest.fixture(autouse=True)
    def no_variables(self, monkeypatch):
        for name in ("SK_ULMFIT_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)

    def test_default(self):
        assert cache_home() == Path.home() / ".cache" / "sk_ulmfit"

    def test_of_the_platform(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_home() == tmp_path / "sk_ulmfit"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert cache_home() == Path.home() / ".cache" / "sk_ulmfit"

    def test_own(self, monkeypatch, tmp_path, web):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
        monkeypatch.setenv("SK_ULMFIT_HOME", str(tmp_path))
        assert fetch(URL, SHA256, max_bytes=10_000) == tmp_path / "wt103-fwd.tgz"
        monkeypatch.setenv("SK_ULMFIT_HOME", os.path.join("~", "models"))
        assert cache_home() == Path.home() / "models"


class Redirects(http.server.BaseHTTPRequestHandler):
    """Sends everybody on to the address that is in the path."""

    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", self.path[1:])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def redirecting(monkeypatch):
    """Address of a local server. It speaks http: only the check of redirects is asked."""
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirects)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("target", ["http://other.example/x.tgz", "ftp://other.example/x.tgz"])
def test_redirects_away_from_https_are_refused(target, redirecting):
    with pytest.raises(ValueError, match=rf"Only https .*{target}"):
        downloads._open(f"{redirecting}/{target}")


def test_redirects_to_https_are_followed(redirecting):
    # Nobody listens there, which shows that it was tried.
    with pytest.raises(urllib.error.URLError, match="refused"):
        downloads._open(f"{redirecting}/https://127.0.0.1:1/x.tgz")
