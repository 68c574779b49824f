"""Language models fitted on files and streams of texts."""

from __future__ import annotations

import gzip
import tempfile

import pytest
from sklearn.frozen import FrozenEstimator

from tests.helpers import banking, language_model

TEXTS, _ = banking(3, 30)


class Stream:
    """Texts that can be read again and again, of a number that nobody knows."""

    def __iter__(self):
        yield from TEXTS


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
