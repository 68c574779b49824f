"""What is accepted as texts, and how everything else is refused."""

from __future__ import annotations

import io
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse

from sk_ulmfit.text.validation import check_texts

TEXTS = ["Where is my card?", "", "NaN"]

ACCEPTED = {
    "list": list(TEXTS),
    "tuple": tuple(TEXTS),
    "deque": deque(TEXTS),
    "generator": (text for text in TEXTS),
    "dict values": dict(enumerate(TEXTS)).values(),
    "object array": np.array(TEXTS, dtype=object),
    "str array": np.array(TEXTS),
    "numpy str in a list": list(np.array(TEXTS)),
    "pandas object": pd.Series(TEXTS, dtype=object),
    "pandas string": pd.Series(TEXTS, dtype="string", index=["columns", "ndim", "toarray"]),
    "pandas categories": pd.Series(TEXTS, dtype="category"),
    "pandas index": pd.Index(TEXTS),
    "polars": pl.Series(TEXTS),
}
if hasattr(np.dtypes, "StringDType"):
    ACCEPTED["StringDType array"] = np.array(TEXTS, dtype=np.dtypes.StringDType())


@pytest.mark.parametrize("X", ACCEPTED.values(), ids=ACCEPTED)
def test_accepts(X):
    texts = check_texts(X)
    assert texts == TEXTS
    assert all(type(text) is str for text in texts)


def test_returns_a_new_list():
    texts = ["one", np.str_("two")]
    assert check_texts(texts) is not texts
    assert type(texts[1]) is np.str_


class Document:
    """As spaCy makes them."""

    text = "a text"


class Scalar:
    """As of pyarrow."""

    def as_py(self):
        return "a text"


class Scalars(list):
    """As of pyarrow, whose arrays are not of strings."""

    def __init__(self):
        super().__init__([Scalar()])


REFUSED = {
    "str": ("a text", ValueError, r"single str.*\[text\]"),
    "numpy str": (np.str_("a text"), ValueError, "single str"),
    "bytes": (b"a text", TypeError, "got bytes"),
    "None": (None, TypeError, "got NoneType"),
    "number": (3, TypeError, "got int"),
    "pandas frame": (pd.DataFrame({"text": TEXTS}), TypeError, r'DataFrame.*df\["text"\]'),
    "polars frame": (pl.DataFrame({"text": TEXTS}), TypeError, r'DataFrame.*df\["text"\]'),
    "polars lazy frame": (pl.LazyFrame({"text": TEXTS}), TypeError, r'df\["text"\]'),
    "dict": ({"text": TEXTS}, TypeError, "dict.*values"),
    "set": (set(TEXTS), TypeError, "set.*sorted"),
    "sparse matrix": (sparse.csr_matrix(np.eye(2)), TypeError, "sparse csr_matrix"),
    "sparse array": (sparse.csr_array(np.eye(2)), TypeError, "sparse csr_array"),
    "column": (np.array([TEXTS], dtype=object).T, ValueError, r"\(3, 1\).*X.ravel\(\)"),
    "matrix": (np.array([TEXTS, TEXTS]), ValueError, r"\(2, 3\).*X\[:, 0\]"),
    "cube": (np.array([[TEXTS]]), ValueError, r"\(1, 1, 3\)\."),
    "scalar array": (np.array("a text"), ValueError, r"\[X.item\(\)\]"),
    "numbers": (np.arange(3.0), TypeError, r"X\[0\] is no text but float.*with str"),
    "bytes item": (["a", b"b"], TypeError, r"X\[1\] is no text but bytes.*decode"),
    "bytes array": (np.array([b"a", b"b"]), TypeError, r"X\[0\] is no text but bytes"),
    "nested list": ([["a", "b"], ["c"]], TypeError, r"X\[0\] is no text but list.*join"),
    "pairs": (zip("ab", [0, 1], strict=True), TypeError, "tuple.*of pairs with labels"),
    "some object": (["a", object()], TypeError, r"X\[1\] is no text but object"),
    "None item": (["a", None, "b", None], ValueError, r"X\[1\] is missing \(None\)"),
    "nan item": (["a", float("nan")], ValueError, r"X\[1\] is missing \(nan\)"),
    "numpy nan item": (["a", np.float32("nan")], ValueError, r"X\[1\] is missing"),
    "pandas NA": (pd.Series(["a", None], dtype="string"), ValueError, r"X\[1\] is missing"),
    "NA item": (["a", pd.NA], ValueError, r"X\[1\] is missing \(<NA>\)"),
    "NaT item": (["a", pd.NaT], ValueError, r"X\[1\] is missing \(NaT\)"),
    "polars null": (pl.Series(["a", None]), ValueError, r"X\[1\] is missing"),
    # The hint is one for the case at hand.
    "name of a file": ("corpus.txt", ValueError, "single str: if it is the path of a file"),
    "address": ("s3://bucket/corpus", ValueError, "single str: if it is the path of a file"),
    "home": ("~/corpus", ValueError, "single str: if it is the path of a file"),
    "directory": (__file__.rpartition("tests")[0], ValueError, "if it is the path of a file"),
    "long text": ("a" * 100_000, ValueError, r"\[text\]"),
    "surrogate": ("\ud800", ValueError, r"\[text\]"),
    "path": (Path("corpus.txt"), TypeError, "got a path: read the file"),
    "path item": ([Path("a.txt"), "b"], TypeError, "X.0. is no text but .*Path: read the file"),
    "file": (["a", io.StringIO("b")], TypeError, r"StringIO: read the file, X\[1\].read\(\)"),
    "row of a dataset": ([{"text": "a", "label": 1}], TypeError, r"dict: .*X\[0\]\['text'\]"),
    "document": ([Document()], TypeError, r"Document: take its text, X\[0\]\.text"),
    "scalar of pyarrow": (Scalars(), TypeError, r"Scalar: pass X\.to_pylist\(\)"),
    "tensor": (torch.arange(3), TypeError, "Tensor: if the number is the text"),
    "arrays of numbers": ([np.arange(3)], TypeError, "ndarray"),
    "features": (np.eye(2), ValueError, r"shape \(2, 2\): .*documents.*around the classifier"),
    "nothing": ([], ValueError, r"0 sample\(s\)"),
    "empty array": (np.array([]), ValueError, r"0 sample\(s\)"),
    "empty generator": (iter(()), ValueError, r"0 sample\(s\)"),
}


@pytest.mark.parametrize(("X", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(X, error, message):
    with pytest.raises(error, match=message):
        check_texts(X)


def test_says_whose_fault():
    with pytest.raises(ValueError, match=r"prompts\[0\] is missing"):
        check_texts([None], name="prompts")


def test_errors_of_a_generator_stay_as_they_are():
    def broken():
        yield "a"
        raise TypeError("my own mistake")

    with pytest.raises(TypeError, match="my own mistake"):
        check_texts(broken())


def test_names_of_files_are_told_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "B.JSON"):
        Path(name).write_text("a text")
    with pytest.warns(UserWarning, match=r"X holds names of files, such as 'a.txt'.*Path\(name\)"):
        assert check_texts(["a.txt", "B.JSON"] * 20) == ["a.txt", "B.JSON"] * 20


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "X", [["a.txt", "a text"], ["b.txt"], ["a"], ["\0.txt"], ["a/" * 3000 + ".txt"]]
)
def test_other_texts_are_no_names_of_files(X, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "a"):
        Path(name).write_text("a text")
    check_texts(X)
