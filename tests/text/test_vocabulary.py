"""Vocabularies."""

from __future__ import annotations

import copy
import pickle

import joblib
import numpy as np
import pytest

from sk_ulmfit.text.rules import SPECIAL_TOKENS
from sk_ulmfit.text.vocabulary import Vocabulary, most_frequent


def test_looks_tokens_up():
    vocab = Vocabulary([*SPECIAL_TOKENS, "card", "bank"])
    assert len(vocab) == 11
    assert vocab.tokens[9:] == ("card", "bank")
    assert "card" in vocab and "loan" not in vocab and None not in vocab
    assert vocab.id("bank") == 10
    assert vocab.id("loan") == vocab.unk_id == 0
    assert (vocab.id("xxpad"), vocab.bos_id) == (1, 2)


def test_special_tokens_are_found_by_name():
    vocab = Vocabulary(["card", *reversed(SPECIAL_TOKENS)])
    assert (vocab.unk_id, vocab.id("xxpad"), vocab.bos_id) == (9, 8, 7)


def test_rows_in_another_vocabulary():
    old = Vocabulary([*SPECIAL_TOKENS, "card", "bank"])
    new = Vocabulary([*reversed(SPECIAL_TOKENS), "bank", "loan"])
    rows = new.rows_in(old)
    assert rows.dtype == np.int64
    assert rows.tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0, 10, -1]
    assert old.rows_in(old).tolist() == list(range(11))


def test_refuses_what_is_no_vocabulary():
    with pytest.raises(ValueError, match="'card' is 2 times"):
        Vocabulary([*SPECIAL_TOKENS, "card", "bank", "card"])
    with pytest.raises(ValueError, match="lacks xxpad, xxwrep"):
        Vocabulary([token for token in SPECIAL_TOKENS if token not in ("xxpad", "xxwrep")])
    with pytest.raises(TypeError, match="got 3"):
        Vocabulary([*SPECIAL_TOKENS, 3])


def test_cannot_be_changed():
    vocab = Vocabulary(SPECIAL_TOKENS)
    with pytest.raises(AttributeError, match="cannot be changed"):
        vocab.tokens = ()
    assert isinstance(vocab.tokens, tuple)


def test_equality_hash_and_copies():
    tokens = [*SPECIAL_TOKENS, "card"]
    one, other = Vocabulary(tokens), Vocabulary(np.array(tokens))
    assert one == other and hash(one) == hash(other)
    assert one != Vocabulary(SPECIAL_TOKENS) and one != tokens
    expected = joblib.hash(one)
    one.id("card")  # what is made on the way must not show
    for same in (one, other, copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert same == one
        assert joblib.hash(same) == expected


def test_most_frequent_words():
    counts = {"b": 2, "a": 2, "c": 3, "d": 1}
    assert most_frequent(counts, 10, 2) == ["c", "a", "b"]
    assert most_frequent(counts, 2, 1) == ["c", "a"]
    assert most_frequent(counts, 0, 1) == []
