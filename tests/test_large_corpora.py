"""Language models fitted on files and streams of texts."""

from __future__ import annotations

import copy
import gzip
import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from skorch.callbacks import Callback

from sk_ulmfit import ULMFiTClassifier
from tests.helpers import banking, language_model

TEXTS, _ = banking(3, 30)


class Stream:
    """Texts that can be read again and again, of a number that nobody knows."""

    texts = TEXTS

    def __iter__(self):
        yield from self.texts


def stream_of(texts):
    stream = Stream()
    stream.texts = texts
    return stream


@pytest.fixture
def shards(tmp_path):
    for n, start in enumerate(range(0, len(TEXTS), 40)):
        with gzip.open(tmp_path / f"shard-{n}.txt.gz", "wt", encoding="utf-8") as file:
            file.write("\n\n".join(TEXTS[start : start + 40]))
    return tmp_path


@pytest.mark.parametrize("params", [{}, {"direction": "backward", "early_stopping": True}])
def test_files_streams_and_lists_of_the_same_texts_give_the_same_model(params, shards):
    expected = language_model(**params).fit(TEXTS).trained_.fingerprint
    files = sorted(shards.iterdir())
    for X in (shards, files, Stream(), iter(TEXTS), (text for text in TEXTS)):
        assert language_model(**params).fit(X).trained_.fingerprint == expected


def test_fine_tuning_on_files(shards):
    general = language_model(max_epochs=1).fit(TEXTS[:30])
    in_memory = language_model(pretrained=FrozenEstimator(general)).fit(TEXTS)
    assert (
        language_model(pretrained=FrozenEstimator(general)).fit(shards).trained_.fingerprint
        == in_memory.trained_.fingerprint
    )


def test_subwords_fine_tuned_on_files_keep_their_vocabulary(shards):
    general = language_model(tokenizer="subword", max_epochs=1).fit(TEXTS[:30])
    expected = language_model(pretrained=FrozenEstimator(general)).fit(TEXTS)
    for X in (shards, Stream(), iter(TEXTS)):
        tuned = language_model(pretrained=FrozenEstimator(general)).fit(X)
        assert tuned.vocab_ == general.vocab_
        assert tuned.trained_.fingerprint == expected.trained_.fingerprint
        assert tuned.perplexity(TEXTS) == expected.perplexity(TEXTS)


def test_whatever_takes_texts_takes_files(shards, tmp_path):
    fitted = language_model(max_epochs=1).fit(TEXTS)
    for X in (shards, sorted(shards.iterdir())):
        assert fitted.perplexity(X) == fitted.perplexity(TEXTS)
        assert fitted.score(X) == fitted.score(TEXTS)
        ids = fitted.transform(X).tokens.ids
        np.testing.assert_array_equal(ids, fitted.transform(TEXTS).tokens.ids)
        again = language_model(max_epochs=1).fit_transform(X)
        np.testing.assert_array_equal(again.tokens.ids, ids)
        one, other = copy.deepcopy(fitted), copy.deepcopy(fitted)
        assert (
            one.partial_fit(X).trained_.fingerprint == other.partial_fit(TEXTS).trained_.fingerprint
        )


def test_a_pipeline_takes_files(shards):
    lm = language_model(max_epochs=1, output="features")
    labels = [i % 2 for i in range(len(TEXTS))]
    pipe = make_pipeline(lm, LogisticRegression()).fit(shards, labels)
    expected = make_pipeline(lm, LogisticRegression()).fit(TEXTS, labels)
    np.testing.assert_array_equal(pipe.predict(shards), expected.predict(TEXTS))
    pipe = Pipeline([("lm", language_model(max_epochs=1)), ("clf", ULMFiTClassifier(max_epochs=0))])
    assert len(pipe.fit(shards, labels).predict(shards)) == len(TEXTS)


def test_another_tokenizer_does_not_take_up_what_one_has_left(tmp_path):
    def split(text):
        return re.findall(r"\w", text)  # a mistake

    for n, X in enumerate((TEXTS, Stream())):
        params = {"checkpoint_dir": tmp_path / str(n), "max_epochs": 1}
        first = language_model(tokenizer=split, **params).fit(X)
        same = language_model(tokenizer=lambda text: re.findall(r"\w", text), **params).fit(X)
        assert same.trained_.fingerprint == first.trained_.fingerprint

        def corrected(text):
            return re.findall(r"\w+", text)

        corrected.__name__ = corrected.__qualname__ = split.__qualname__
        for other in (corrected, "word", "subword"):
            with pytest.raises(ValueError, match="a training with other tokenizer"):
                language_model(tokenizer=other, **params).fit(X)


@pytest.mark.parametrize("kind", ["file", "stream", "iterator"])
def test_a_corpus_that_was_changed_late_is_not_the_same(kind, tmp_path):
    texts = [f"text {i} of the bank" for i in range(300)]

    def corpus(texts):
        if kind == "iterator":
            return iter(texts)
        if kind == "stream":
            return stream_of(texts)
        (tmp_path / "corpus.txt").write_text("\n\n".join(texts))
        return tmp_path / "corpus.txt"

    params = {"checkpoint_dir": tmp_path / "run", "max_epochs": 1}
    first = language_model(**params).fit(corpus(texts))
    assert language_model(**params).fit(corpus(texts)).history_ == first.history_
    texts[200] = "text 200 of the tank"
    with pytest.raises(ValueError, match="a training with other texts"):
        language_model(**params).fit(corpus(texts))


@pytest.mark.parametrize("X", [list, iter, stream_of])
def test_texts_of_unknown_words_are_told_of(X):
    texts = ["".join(chr(0x1200 + (7 * i + j) % 300) for j in range(9)) for i in range(20)]
    with pytest.warns(UserWarning, match="9.% of the tokens .*tokenizer='subword'"):
        language_model(max_epochs=1, min_freq=2).fit(X(texts))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        language_model(max_epochs=1, min_freq=2, tokenizer="subword").fit(X(texts))
        language_model(max_epochs=1, min_freq=2).fit(X(TEXTS))


def test_the_warning_names_the_place_of_the_call():
    with pytest.warns(UserWarning, match="not in the vocabulary") as caught:
        language_model(max_epochs=1, min_freq=2).fit(["one two", "three four"])
    assert caught[0].filename == __file__


def test_nothing_is_left_in_the_temporary_directory(shards, tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    language_model().fit(iter(TEXTS))
    assert list(place.iterdir()) == []


def test_processes_tokenise_in_parallel(shards):
    expected = language_model().fit(TEXTS).trained_.fingerprint
    assert language_model(n_jobs=2).fit(shards).trained_.fingerprint == expected


def test_files_without_texts_are_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(ValueError, match="X has no texts"):
        language_model().fit(tmp_path / "empty.txt")


def open_maps(directory) -> list[str]:
    """Lines of this process's memory maps that are of files in a directory."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line for line in lines if str(directory) in line]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no list of memory maps here")
def test_a_corpus_is_closed_when_its_directory_is_removed(monkeypatch):
    """Elsewhere than on POSIX a file that is mapped cannot be removed."""
    left = []

    class Watched(tempfile.TemporaryDirectory):
        def cleanup(self):
            left.extend(open_maps(self.name))
            super().cleanup()

        def __exit__(self, *error):
            self.cleanup()

    monkeypatch.setattr("sk_ulmfit.training.checkpoints.TemporaryDirectory", Watched)
    seen = []
    watch = EpochsSeen(seen)
    language_model(max_epochs=1, early_stopping=True, callbacks=[watch]).fit(iter(TEXTS))
    assert seen == [True] and not left


class EpochsSeen(Callback):
    """Notes whether a corpus is mapped while it is trained on."""

    def __init__(self, seen):
        self.seen = seen

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(bool(open_maps("sk_ulmfit-")))


def test_texts_in_memory_need_no_temporary_directory(monkeypatch):
    def nowhere(*args, **kwargs):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("sk_ulmfit.training.checkpoints.TemporaryDirectory", nowhere)
    lm = language_model(max_epochs=1).fit(TEXTS)
    with pytest.raises(FileNotFoundError):
        lm.fit(iter(TEXTS))
