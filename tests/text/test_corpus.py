"""Corpora in memory and on disk: counted and encoded alike, taken up again, refused if damaged."""

from __future__ import annotations

import json
import re
from itertools import islice

import numpy as np
import pytest

from sk_ulmfit.datasets import load_banking77
from sk_ulmfit.text.corpus import TextsInMemory, TextsOnDisk
from sk_ulmfit.text.tokenizers import make_tokenizer

TEXTS = list(load_banking77(subset="train").data[:300])
LIMITS = {"max_vocab": 500, "min_freq": 2}


def on_disk(texts, directory, n_jobs=None):
    return TextsOnDisk(texts, directory, n_jobs=n_jobs, verbose=False)


class Endless:
    """Texts that nobody knows the number of, and how often they are read."""

    times = 0

    def __init__(self, texts=TEXTS):
        self.texts = texts

    def __iter__(self):
        self.times += 1
        yield from self.texts


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("kind", ["word", "subword", str.split])
def test_on_disk_and_in_memory_are_the_same_to_who_uses_them(kind, n_jobs, tmp_path, monkeypatch):
    monkeypatch.setattr("sk_ulmfit.text.corpus._CHARACTERS", 5_000)
    tokenizer = make_tokenizer(kind)
    memory, disk = TextsInMemory(TEXTS), on_disk(iter(TEXTS), tmp_path, n_jobs)
    fitted = memory.fit(tokenizer, **LIMITS)
    assert disk.fit(tokenizer, **LIMITS).vocab == fitted.vocab
    expected, found = memory.encode(fitted), disk.encode(fitted)
    assert isinstance(found.ids, np.memmap) and found.ids.dtype == np.uint16
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.offsets, expected.offsets)


@pytest.mark.parametrize("kind", ["word", "subword", str.split])
@pytest.mark.parametrize("max_vocab", [40, 60, 1000])
def test_growing_is_the_same_on_disk_and_in_memory(kind, max_vocab, tmp_path):
    limits = {"max_vocab": max_vocab, "min_freq": 1}
    known = make_tokenizer(kind).fit(TEXTS[:20], max_vocab=40, min_freq=1)
    texts = Endless()
    grown = on_disk(texts, tmp_path).grow(known, **limits)
    assert grown.vocab == TextsInMemory(TEXTS).grow(known, **limits).vocab
    assert grown.vocab.tokens[:40] == known.vocab.tokens
    if kind == "subword" or max_vocab == 40:
        assert grown is known and texts.times == 0, "no need to read them"
    else:
        assert len(grown.vocab) > 40
    ids, _ = grown.encode(TEXTS)
    used = set(grown.tokens(ids))
    assert used.issuperset(grown.vocab.tokens[40:]), "new tokens that no text can have"


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


ODD = ["line\nbreak", "lone \ud800 surrogate", "", "tab\t", "\u2028", "a\0b"]


@pytest.mark.parametrize("kind", ["word", "subword", str.split, lambda text: [text, "\udfff"]])
@pytest.mark.parametrize("source", [iter, Endless, list])
def test_odd_texts_and_tokens_come_in_every_way(kind, source, tmp_path):
    tokenizer = make_tokenizer(kind)
    texts = on_disk(source(ODD), tmp_path)
    texts.describe(tokenizer)
    fitted = texts.fit(tokenizer, max_vocab=50, min_freq=1)
    assert fitted.vocab == TextsInMemory(ODD).fit(tokenizer, max_vocab=50, min_freq=1).vocab
    np.testing.assert_array_equal(texts.encode(fitted).ids, fitted.encode(ODD)[0])
    again = on_disk(source(ODD), tmp_path)
    again.describe(tokenizer)
    assert again.fit(tokenizer, max_vocab=50, min_freq=1).vocab == fitted.vocab


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
    assert not any((tmp_path / name).exists() and any((tmp_path / name).iterdir()) for name in "bc")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A directory that a corpus has been written to, and its tokenizer."""
    directory = tmp_path_factory.mktemp("corpus")
    source = on_disk(TEXTS[:50], directory)
    fitted = source.fit(make_tokenizer("word"), **LIMITS)
    source.encode(fitted)
    assert {file.name for file in directory.iterdir()} == FILES
    return {file: file.read_bytes() for file in directory.iterdir()}


FILES = {"tokenizer.json", "corpus.json", "ids.bin", "offsets.npy"}


def take_up(directory):
    source = on_disk(TEXTS[:50], directory)
    return source.encode(source.fit(make_tokenizer("word"), **LIMITS)).ids


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("damage", ["emptied", "cut", "longer", "zeros", "other"])
def test_damaged_files_are_named_with_the_way_out(name, damage, filled, tmp_path):
    for file, content in filled.items():
        if file.name == name:
            changed = {
                "emptied": b"",
                "cut": content[:-2],
                "longer": content + content,
                "zeros": bytes(len(content)),
                "other": b'{"tokens": []}',
            }
            content = changed[damage]
        (tmp_path / file.name).write_bytes(content)
    where = re.escape(str(tmp_path / name))
    with pytest.raises(
        ValueError, match=f"{where} is damaged.*: delete {re.escape(str(tmp_path))}"
    ):
        take_up(tmp_path)


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_flipped_bit_goes_unnoticed(name, filled, tmp_path):
    for file, content in filled.items():
        (tmp_path / file.name).write_bytes(content)
    expected = np.array(take_up(tmp_path))
    content = (tmp_path / name).read_bytes()
    random = np.random.default_rng(0)
    for bit in random.integers(0, 8 * len(content), 40):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / name).write_bytes(damaged)
        try:
            found = np.array(take_up(tmp_path))
        except ValueError as error:
            assert f"{name} is damaged" in str(error)
        else:
            np.testing.assert_array_equal(found, expected)  # of white space, say


@pytest.mark.parametrize("name", ["ids.bin", "offsets.npy"])
def test_missing_files_are_named(name, filled, tmp_path):
    for file, content in filled.items():
        if file.name != name:
            (tmp_path / file.name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is damaged or missing: delete"):
        take_up(tmp_path)


def test_descriptions_tell_texts_apart_wherever_they_differ(tmp_path):
    tokenizer = make_tokenizer("word")
    described = TextsInMemory(TEXTS).describe(tokenizer)
    for n, source in enumerate((iter, Endless, list)):
        assert on_disk(source(TEXTS), tmp_path / str(n)).describe(tokenizer) == described
    others = [
        [*TEXTS, ""],
        TEXTS[:-1],
        [*TEXTS[:-1], TEXTS[-1] + "."],
        [*TEXTS[:150], "another", *TEXTS[151:]],
        [TEXTS[0] + TEXTS[1], *TEXTS[2:]],
        TEXTS[::-1],
    ]
    for n, other in enumerate(others):
        for source in (iter, Endless):
            found = on_disk(source(other), tmp_path / f"other {n}").describe(tokenizer)
            assert found["texts"] != described["texts"]


class Characters:
    """A tokenizer that is an object."""

    def __init__(self, n):
        self.n = n

    def __call__(self, text):
        return [text[i : i + self.n] for i in range(0, len(text), self.n)]


def test_descriptions_tell_tokenizers_apart_by_what_they_do():
    texts = [*TEXTS, "of 1,200.5 dollars"]

    def described(kind):
        return TextsInMemory(texts).describe(make_tokenizer(kind))["tokenizer"]

    kinds = ["word", "subword", str.split, Characters(1), Characters(2), Characters(3)]
    kinds += [lambda text: re.findall(r"\w+", text), lambda text: re.findall(r"\w+|1", text)[:-1]]
    assert len({described(kind) for kind in kinds}) == len(kinds)
    assert described(Characters(2)) == described(Characters(2))
    assert described(str.split) == described(lambda text: text.split())


def test_an_iterator_that_was_described_is_there_to_be_encoded(tmp_path):
    texts = iter(TEXTS)
    source = on_disk(texts, tmp_path)
    tokenizer = make_tokenizer("word")
    described = source.describe(tokenizer)
    fitted = source.fit(tokenizer, **LIMITS)
    np.testing.assert_array_equal(source.encode(fitted).ids, fitted.encode(TEXTS)[0])
    assert {file.name for file in tmp_path.iterdir()} == FILES, "the copy is gone"
    # Killed in between, it is copied anew: what is there may be of other texts.
    for file in FILES:
        (tmp_path / file).unlink()
    (tmp_path / "texts.jsonl").write_text(json.dumps("another text"))
    again = on_disk(islice(Endless(), None), tmp_path)
    assert again.describe(tokenizer) == described
    assert again.fit(tokenizer, **LIMITS).vocab == fitted.vocab
