"""Checks that what a user passes are texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from numbers import Number, Real
from typing import Any, NoReturn

import numpy as np


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
    items = X.tolist() if isinstance(X, np.ndarray) else list(_iterate(X, name))
    if not items:
        raise ValueError(
            f"Found array with 0 sample(s) while a minimum of 1 is required: {name} has no texts."
        )
    for i, item in enumerate(items):
        if type(item) is not str:
            items[i] = _text(item, f"{name}[{i}]")
    return items


def is_stream(X: Any) -> bool:
    """Tell whether `X` is an iterable of which nobody knows how long it is.

    Such are generators, and objects that read a corpus from somewhere.
    """
    _refuse_what_is_no_column(X, "X")
    return isinstance(X, Iterable) and not hasattr(type(X), "__len__")


class CheckedTexts:
    """The texts of an iterable, each checked when it is read.

    Parameters
    ----------
    X : iterable of str
    """

    def __init__(self, X: Iterable[str]):
        self.X = X

    def __iter__(self) -> Iterator[str]:
        for i, item in enumerate(self.X):
            yield item if type(item) is str else _text(item, f"X[{i}]")


def _refuse_what_is_no_column(X: Any, name: str) -> None:
    if isinstance(X, str):
        raise ValueError(
            f"{name} has to be a collection of texts, got a single str: put it into a list, [text]."
        )
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


def _iterate(X: Any, name: str) -> Iterable[Any]:
    try:
        return iter(X)
    except TypeError:
        raise TypeError(f"{name} has to be a collection of texts, got {_type(X)}.") from None


def _text(item: Any, place: str) -> str:
    if isinstance(item, str):
        return str.__str__(item)  # numpy's and other subclasses become plain
    if is_missing(item):
        _missing(item, place)
    if isinstance(item, (bytes, bytearray)):
        hint = 'decode it, text.decode("utf-8")'
    elif isinstance(item, Number):
        hint = "if the number is the text, convert it with str"
    elif isinstance(item, (list, tuple)):
        hint = 'a text is one str; tokens can be joined by " ".join(tokens)'
    else:
        hint = "convert it with str"
    raise TypeError(f"{place} is no text but {_type(item)}: {hint}.")


def is_missing(item: Any) -> bool:
    """Tell whether `item` is None, NaN, NaT, or pandas' NA."""
    # pandas is not imported here. Its NA is neither equal to itself nor different.
    return (
        item is None
        or type(item).__name__ in ("NAType", "NaTType")
        or (isinstance(item, (Real, np.datetime64)) and item != item)
    )


def _missing(item: Any, place: str) -> NoReturn:
    raise ValueError(f'{place} is missing ({item}): fill it, for example with "", or leave it out.')


def _type(value: Any) -> str:
    return type(value).__name__
