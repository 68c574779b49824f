"""Checks that what a user passes are texts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from numbers import Number, Real
from os import PathLike
from typing import Any

import numpy as np

from .._warnings import warn

_READ_IT = 'read the file, Path(path).read_text(encoding="utf-8")'

# What files of texts are called.
_ENDINGS = (
    ".txt",
    ".md",
    ".csv",
    ".tsv",
    ".json",
    ".jsonl",
    ".parquet",
    ".gz",
    ".xz",
    ".bz2",
    ".zip",
)

# Texts that are asked whether they name files.
_SOME = 10


def check_texts(X: Iterable[str], *, name: str = "X") -> list[str]:
    """Check texts and put them into a list.

    Parameters
    ----------
    X : iterable of str
        A list, a one-dimensional array, a Series of pandas or polars, a generator.
    name : str, default="X"
        What error messages call it.

    Returns
    -------
    list of str

    Raises
    ------
    TypeError
        If `X` is a DataFrame, a dict, a set, bytes, not iterable at all, or contains something
        that is no text.
    ValueError
        If `X` is a single str, has no texts, has two dimensions, or a text is missing in it.

    Warns
    -----
    UserWarning
        If they are names of files.

    Examples
    --------
    >>> from sk_ulmfit.text.validation import check_texts
    >>> check_texts(text for text in ("one", "two"))
    ['one', 'two']
    >>> check_texts(["one", None])
    Traceback (most recent call last):
    ...
    ValueError: X[1] is missing (None): fill it, for example with "", or leave it out.
    """
    _refuse_what_is_no_column(X, name)
    items = list(checked_texts(X.tolist() if isinstance(X, np.ndarray) else X, name))
    if not items:
        raise ValueError(
            f"Found array with 0 sample(s) while a minimum of 1 is required: {name} has no texts."
        )
    if all(map(_names_a_file, items[:_SOME])):
        warn(
            f"{name} holds names of files, such as {items[0]!r}, which are taken for the texts: "
            "pass what is in them. A ULMFiTLanguageModel reads files that are given as "
            "[Path(name) for name in names]."
        )
    return items


def is_stream(X: Any) -> bool:
    """Tell whether `X` is an iterable of which nobody knows how long it is.

    Such are generators, and objects that read a corpus from somewhere.
    """
    return isinstance(X, Iterable) and not hasattr(type(X), "__len__")


def checked_texts(X: Iterable[str], name: str = "X") -> Iterator[str]:
    """The texts of an iterable, each checked when it is read."""
    try:
        items = iter(X)
    except TypeError:
        raise TypeError(f"{name} has to be a collection of texts, got {_type(X)}.") from None
    for i, item in enumerate(items):
        yield item if type(item) is str else _text(item, f"{name}[{i}]")


def _refuse_what_is_no_column(X: Any, name: str) -> None:
    if isinstance(X, str):
        hint = "put it into a list, [text]"
        if _looks_like_a_path(X):
            hint = "if it is the path of a file, pass the texts that are in it"
        raise ValueError(f"{name} has to be a collection of texts, got a single str: {hint}.")
    if isinstance(X, PathLike):
        raise TypeError(f"{name} has to be a collection of texts, got a path: {_READ_IT}.")
    if isinstance(X, (bytes, bytearray)):
        raise TypeError(f"{name} has to be a collection of texts, got {_type(X)}.")
    # Asked of the class: an attribute of a pandas Series may be one of its rows.
    if hasattr(type(X), "columns"):
        raise TypeError(
            f"{name} has to be one column of texts, got a {_type(X)}: select the column, for "
            'example df["text"].'
        )
    if isinstance(X, Mapping):
        raise TypeError(
            f"{name} has to be a collection of texts, got a {_type(X)}: pass its texts as "
            "list(mapping.values())."
        )
    if isinstance(X, Set):
        raise TypeError(
            f"{name} has to be an ordered collection of texts, got a {_type(X)}: pass "
            f"sorted({name})."
        )
    if hasattr(type(X), "toarray"):
        raise TypeError(
            f"{name} has to be a collection of texts, got a sparse {_type(X)} of numbers: pass "
            "the texts themselves, not a vectorizer's output."
        )
    if (ndim := getattr(X, "ndim", 1)) != 1:
        shape = tuple(X.shape)
        if getattr(getattr(X, "dtype", None), "kind", "f") in "biufc":
            raise ValueError(
                f"{name} has to be one-dimensional, a text an entry, got numbers of shape {shape}: "
                "pass the texts themselves, not features made of them. Before a ULMFiTClassifier a "
                'ULMFiTLanguageModel needs output="documents", and what makes an array of its X '
                "(OneVsOneClassifier, BaggingClassifier, SelfTrainingClassifier, a scaler) can "
                "stand neither between the two nor around the classifier."
            )
        hints = {0: f"[{name}.item()]", 2: f"{name}.ravel()" if 1 in shape else f"{name}[:, 0]"}
        hint = f": pass {hints[ndim]}" if ndim in hints else ""
        raise ValueError(
            f"{name} has to be one-dimensional, a text an entry, got an array of shape "
            f"{shape}{hint}."
        )


def _looks_like_a_path(text: str) -> bool:
    """Tell whether somebody may have meant a file by this text."""
    if len(text) > 1000 or "\n" in text or not text.strip():
        return False
    return (
        text.lower().endswith(_ENDINGS)
        or text.startswith(("/", "~", "./", "../", ".\\"))
        or "://" in text.partition(" ")[0]
        or os.path.exists(text)
    )


def _names_a_file(text: str) -> bool:
    return len(text) < 1000 and text.lower().endswith(_ENDINGS) and os.path.isfile(text)


def _text(item: Any, place: str) -> str:
    if isinstance(item, str):
        return str.__str__(item)  # numpy's and other subclasses become plain
    if is_missing(item):
        raise ValueError(
            f'{place} is missing ({item}): fill it, for example with "", or leave it out.'
        )
    raise TypeError(f"{place} is no text but {_type(item)}: {_hint(item, place)}.")


def _hint(item: Any, place: str) -> str:
    """Say how to get the text of something that is none."""
    kind = type(item)
    if isinstance(item, (bytes, bytearray, memoryview)):
        return 'decode it, text.decode("utf-8")'
    if isinstance(item, PathLike) or hasattr(kind, "read_text"):
        return _READ_IT
    if hasattr(kind, "read"):
        return f"read the file, {place}.read()"
    if hasattr(kind, "as_py"):  # of pyarrow
        return f"pass {place.partition('[')[0]}.to_pylist()"
    if isinstance(item, (Number, np.ndarray)) or hasattr(kind, "numpy"):
        return "if the number is the text, convert it with str"
    if isinstance(item, Mapping):
        return f"take the text out of it, for example {place}[{next(iter(item), 'text')!r}]"
    if isinstance(item, (list, tuple)):
        return 'a text is one str: of pairs with labels pass the texts, tokens as " ".join(tokens)'
    if hasattr(kind, "text"):  # a document of spaCy, say
        return f"take its text, {place}.text"
    return "convert it to the str that is the text"


def is_missing(item: Any) -> bool:
    """Tell whether `item` is None, NaN, NaT, or pandas' NA."""
    # pandas is not imported here. Its NA is neither equal to itself nor different.
    return (
        item is None
        or type(item).__name__ in ("NAType", "NaTType")
        or (isinstance(item, (Real, np.datetime64)) and item != item)
    )


def _type(value: Any) -> str:
    return type(value).__name__
