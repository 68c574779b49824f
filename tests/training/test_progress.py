"""The progress bar of a training."""

from __future__ import annotations

import errno
import io
import re
import sys

import numpy as np
import pytest
from skorch.callbacks import Callback
from tqdm import tqdm

from sk_ulmfit import explain, progress_bar
from sk_ulmfit.training.progress import _FORMAT, ProgressBar
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking()


class LastLine(Callback):
    """What a terminal of 80 columns shows of the bar after an hour, at the end of an epoch."""

    def on_epoch_end(self, net, **kwargs):
        bar = next(cb.bar_ for _, cb in net.callbacks_ if isinstance(cb, ProgressBar))
        so_far = {"n": 400_000, "total": 1_000_000, "elapsed": 4000.0, "rate": 100.0, "ncols": 79}
        type(self).seen = tqdm.format_meter(**{**bar.format_dict, **so_far, "initial": 0})


@pytest.fixture(params=[{}, {"early_stopping": True, "patience": 20}], ids=["", "early-stopping"])
def options(request):
    # It is called after the bar: callbacks of users come last.
    return {"verbose": 1, "max_epochs": 10, "callbacks": [LastLine()], **request.param}


def test_80_columns_suffice_for_a_language_model(options):
    language_model(direction="backward", **options).fit(TEXTS)
    measured = "valid" if "early_stopping" in options else "perplexity"
    expected = r"backward LM, 40%, 1:06:40<1:40:00, 100tok/s, epoch=10/10, "
    assert re.match(expected + measured + r"=\d+\.\d", LastLine.seen), LastLine.seen


def test_80_columns_suffice_for_a_classifier(options):
    documents = language_model(direction="backward", max_epochs=1).fit(TEXTS).transform(TEXTS)
    classifier(**options).fit(documents, LABELS)
    measured = "valid" if "early_stopping" in options else "loss"
    expected = r"backward classifier, 40%, 1:06:40<1:40:00, 100doc/s, epoch=10/10, "
    assert re.match(expected + measured + r"=\d\.\d{3}", LastLine.seen), LastLine.seen


class Broken(io.StringIO):
    """A stream that takes so much and then fails, in one of the ways of streams."""

    encoding = "utf-8"

    def __init__(self, error, room):
        super().__init__()
        self.error, self.room = error, room

    def _take(self, n):
        self.room -= n
        if self.room < 0:
            raise self.error

    def write(self, text):
        self._take(len(text))
        return len(text)

    def flush(self):
        self._take(0)


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {
    "none": lambda: None,
    "closed": closed,
    "full at once": lambda: Broken(OSError(errno.ENOSPC, "full"), 0),
    "full later": lambda: Broken(OSError(errno.ENOSPC, "full"), 100),
    "pipe nobody reads": lambda: Broken(BrokenPipeError(errno.EPIPE, "pipe"), 300),
    "closed later": lambda: Broken(ValueError("I/O operation on closed file"), 200),
    "detached": lambda: Broken(AttributeError("'NoneType' object has no attribute 'write'"), 0),
    "not UTF-8": lambda: io.TextIOWrapper(io.BytesIO(), encoding="ascii", line_buffering=True),
}


@pytest.fixture(scope="module")
def quiet():
    """Perplexity and probabilities without a bar."""
    lm = language_model(max_epochs=1).fit(TEXTS)
    clf = classifier(max_epochs=1).fit(lm.transform(TEXTS), LABELS)
    return lm.perplexity(TEXTS), clf.predict_proba(TEXTS)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_that_fails_ends_the_bar_and_nothing_else(stream, quiet, monkeypatch):
    monkeypatch.setattr(sys, "stderr", STREAMS[stream]())
    lm = language_model(max_epochs=1, verbose=1).fit(TEXTS)
    clf = classifier(max_epochs=1, verbose=1).fit(lm.transform(TEXTS), LABELS)
    assert lm.perplexity(TEXTS) == quiet[0]
    np.testing.assert_array_equal(clf.predict_proba(TEXTS), quiet[1])
    language_model(max_epochs=0, verbose=1).fit(iter(TEXTS))
    explain(clf, TEXTS[:1])


def test_a_stream_that_works_shows_the_bar(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    lm = language_model(max_epochs=1, verbose=1).fit(iter(TEXTS))
    classifier(max_epochs=1, verbose=1).fit(lm.transform(TEXTS), LABELS)
    for label in ("Counting words", "Tokenising", "forward LM", "forward classifier"):
        assert label in stream.getvalue()


def test_a_log_file_gets_lines_now_and_then(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    now = [0.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    bar = progress_bar.Bar(total=100, desc="work", unit="doc", bar_format=_FORMAT)
    for _ in range(4):
        now[0] += 6.0
        bar.update(20)
        bar.set_postfix({"loss": "0.5"})
    assert re.fullmatch(r"(work, [48]0%, .*, loss=0.5\n){2}", stream.getvalue())
    bar.update(20)
    bar.close()
    bar.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3 and lines[-1].startswith("work, 100%")
    assert not set(stream.getvalue()) & set("\r\x1b|")


def test_a_log_file_gets_the_accuracy_on_held_out_texts(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    classifier(max_epochs=1, verbose=1, early_stopping=True).fit(TEXTS, LABELS)
    [line] = [line for line in stream.getvalue().splitlines() if "classifier" in line]
    assert re.search(r"epoch=1/1, valid=\d\.\d{3}, accuracy=[01]\.\d{3}, loss=", line), line
