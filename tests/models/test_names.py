"""The language models inside the package, and how they are written and read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import sk_ulmfit
from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.models import directory, names
from sk_ulmfit.pretrained import directions_of, load_pretrained
from tests.helpers import banking, language_model

FOLDER = Path(sk_ulmfit.__file__).parent / "pretrained" / "en-small"
TEXTS, LABELS = banking(3, 20)


def test_both_directions_fit_into_50_mb_and_no_file_is_over_16():
    sizes = [file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(sizes) <= 50_000_000 and max(sizes) <= 16_000_000


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_en_small_knows_english(direction):
    lm = ULMFiTLanguageModel(direction=direction, max_epochs=0).fit(TEXTS)
    assert lm.trained_.directions == (direction,)
    assert all(np.isfinite(array).all() for array in lm.trained_.weights[direction].values())
    # Of 30,000 words an untrained model takes each for equally likely.
    assert lm.perplexity(TEXTS) < 500
    shuffled = [" ".join(np.random.default_rng(0).permutation(text.split())) for text in TEXTS]
    assert lm.perplexity(TEXTS) < 0.7 * lm.perplexity(shuffled)


def test_both_directions_are_those_of_either():
    both = load_pretrained("en-small", ("forward", "backward"))
    assert both.directions == ("forward", "backward")
    for direction in both.directions:
        alone = load_pretrained("en-small", (direction,))
        assert alone.weights[direction].keys() == both.weights[direction].keys()
        assert alone.tokenizer.vocab == both.tokenizer.vocab


def test_a_direction_that_is_not_asked_for_is_not_read(monkeypatch):
    read = []
    read_model = names.read_model

    def watched(path, kind):
        read.append(path.name)
        return read_model(path, kind)

    monkeypatch.setattr(names, "read_model", watched)
    assert directions_of("en-small") == ("forward",)
    assert read == []
    load_pretrained("en-small", ("backward",))
    assert read == ["backward", "sentences"]


def test_both_estimators_start_from_it():
    clf = ULMFiTClassifier(max_epochs=1, random_state=0).fit(TEXTS, LABELS)
    assert clf.language_model_.pretrained == "en-small"
    start = load_pretrained("en-small")
    tuned = clf.language_model_.trained_
    assert (
        tuned.tokenizer.vocab.tokens[: len(start.tokenizer.vocab)] == start.tokenizer.vocab.tokens
    )
    assert "xxbos" in tuned.tokenizer.vocab and tuned.hidden_size == start.hidden_size


def test_words_of_the_task_join_the_vocabulary():
    lm = ULMFiTLanguageModel(max_epochs=1, min_freq=1).fit(["my zorkmid card", "a zorkmid"])
    assert "zorkmid" in lm.vocab_ and "zorkmid" not in load_pretrained("en-small").tokenizer.vocab


def test_what_is_written_in_parts_and_bytes_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "_MAX_FILE_BYTES", 8_000)
    trained = language_model(direction="both", max_epochs=1).fit(TEXTS).trained_
    training = {"forward": [{"tokens": 1}], "backward": [{"tokens": 2}]}
    names.write_shipped(trained, "small", tmp_path, training)
    files = list((tmp_path / "small" / "forward").glob("weights-*.safetensors"))
    assert len(files) > 1
    described = json.loads((tmp_path / "small" / "backward" / "model.json").read_text())
    assert described["training"] == [{"tokens": 2}]
    restored = names.read_shipped("small", ("forward", "backward"), tmp_path)
    for direction, arrays in trained.weights.items():
        for name, array in arrays.items():
            found = restored.weights[direction][name]
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, array, atol=abs(array).max() / 100)
    # A direction alone is a saved model like any other.
    lm = sk_ulmfit.load(tmp_path / "small" / "backward")
    assert lm.direction == "backward" and np.isfinite(lm.perplexity(TEXTS))


def test_a_part_that_is_missing_or_has_another_name_is_refused(tmp_path):
    trained = language_model(max_epochs=1).fit(TEXTS).trained_
    names.write_shipped(trained, "small", tmp_path, {"forward": {}})
    folder = tmp_path / "small" / "forward"
    before = (folder / "model.json").read_bytes()
    described = json.loads(before)
    (weights,) = folder.glob("weights-*.safetensors")
    described["weights_sha256"] = {"../../etc/passwd": "0"}
    del described["sha256"]
    described["sha256"] = directory.checksum(described)
    (folder / "model.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match="is no file of weights"):
        load_pretrained(folder)
    (folder / "model.json").write_bytes(before)
    weights.unlink()
    with pytest.raises(ValueError, match="is incomplete"):
        load_pretrained(folder)


def test_what_a_shipped_model_knows_of_texts_is_shared_by_its_directions(tmp_path):
    lm = language_model(direction="both", max_epochs=0, pooling="sentences", output="features")
    targets = np.random.default_rng(0).standard_normal((len(TEXTS), 9)).astype("f4")
    lm.fit(TEXTS).fit_sentences(TEXTS, targets, size=6, max_epochs=1, batch_size=8)
    words = [*lm.vocab_, "zorkmid"]
    lm.add_words(words, np.random.default_rng(1).standard_normal((len(words), 9)))
    training = {"forward": [], "backward": []}
    names.write_shipped(lm.trained_, "small", tmp_path, training)
    known = lm.trained_.sentences, lm.trained_.tokenizer.lexicon
    names.write_shipped_sentences(*known, "small", tmp_path, {"teacher": "x"})
    files = (tmp_path / "small" / "sentences").glob("weights-*.safetensors")
    n_weights = sum(array.size for array in lm.trained_.sentences.arrays.values())
    assert sum(file.stat().st_size for file in files) < 2 * n_weights, "bytes"
    for directions in (("forward",), ("backward",), ("forward", "backward")):
        trained = names.read_shipped("small", directions, tmp_path)
        expected = lm.trained_.with_directions(directions).sentences.arrays
        assert trained.sentences.arrays.keys() == expected.keys()
        for name, array in expected.items():
            found = trained.sentences.arrays[name]
            assert found.dtype == (np.float16 if name == "words" else np.float32)
            if name == "words":  # of the lexicon, in half a byte a number, is the last one
                np.testing.assert_allclose(found[-1], array[-1], atol=abs(array[-1]).max() / 13)
                found, array = found[:-1], array[:-1]
            np.testing.assert_allclose(found, array, atol=abs(array).max() / 100)
        assert trained.tokenizer.lexicon == ("zorkmid",)
