"""BANKING77, which ships with the package."""

from __future__ import annotations

import csv
import io
import lzma
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from sklearn.utils import Bunch

_SPLITS = {"train": ("train",), "test": ("test",), "all": ("train", "test")}


def load_banking77(
    *,
    subset: str = "train",
    categories: Sequence[str] | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Load customers' questions to a bank, each with one of 77 intents.

    The data come with the package: nothing is downloaded.

    =================   ======================
    Classes                                 77
    Questions (train)                   10,003
    Questions (test)                     3,080
    Length              13 to 433 characters
    =================   ======================

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        Which of the authors' two splits to load; "all" is train followed by test.
    categories : sequence of str or None, default=None
        Names of the intents whose questions to load. None: all 77.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a `Bunch`.
    as_frame : bool, default=False
        If True, ``data`` and ``target`` are pandas Series, and the `Bunch` has a DataFrame of
        both in ``frame``. Needs pandas.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like, with the attributes:

        data : list of str, or Series
            The questions, ``n_samples`` of them. Those of one intent stand together.
        target : ndarray of shape (n_samples,), or Series
            The intents, as positions in `target_names`.
        target_names : list of str
            Names of the intents, in the order of `sorted`.
        frame : DataFrame of shape (n_samples, 2) or None
            Columns ``text`` and ``target``; None unless ``as_frame=True``.
        DESCR : str
            Origin, licence and credit.

    (data, target) : tuple
        If ``return_X_y=True``.

    Raises
    ------
    ValueError
        If `subset` is none of the three, or one of `categories` is no intent.
    TypeError
        If `categories` is a single name.
    ImportError
        If ``as_frame=True`` and pandas is not installed.

    See Also
    --------
    sklearn.datasets.fetch_20newsgroups : Longer texts with 20 classes, downloaded.

    Notes
    -----
    The data are licensed CC BY 4.0: credit their authors [1]_ where you use them.

    References
    ----------
    .. [1] Iñigo Casanueva, Tadas Temčinas, Daniela Gerz, Matthew Henderson and Ivan Vulić (2020).
       Efficient Intent Detection with Dual Sentence Encoders. Proceedings of the 2nd Workshop on
       Natural Language Processing for Conversational AI, 38-45.
       https://doi.org/10.18653/v1/2020.nlp4convai-1.5

    Examples
    --------
    >>> from sk_ulmfit.datasets import load_banking77
    >>> train = load_banking77()
    >>> train.data[0]
    'I am still waiting on my card?'
    >>> train.target_names[train.target[0]]
    'card_arrival'
    >>> texts, intents = load_banking77(subset="test", return_X_y=True)
    >>> len(texts), intents.shape
    (3080, (3080,))
    >>> load_banking77(categories=["pin_blocked", "change_pin"]).target_names
    ['change_pin', 'pin_blocked']
    """
    if subset not in _SPLITS:
        raise ValueError(f"subset must be 'train', 'test' or 'all', got {subset!r}.")
    rows = [row for split in _SPLITS[subset] for row in _read_split(split)]
    # Every intent is in both splits, so that its number does not depend on the subset.
    target_names = sorted({label for label, _ in rows})
    if categories is not None:
        target_names = _chosen(categories, target_names)
        rows = [row for row in rows if row[0] in target_names]
    positions = {name: position for position, name in enumerate(target_names)}
    data: Any = [text for _, text in rows]
    target: Any = np.array([positions[label] for label, _ in rows])
    frame = None
    if as_frame:
        frame = _to_frame(data, target)
        data, target = frame["text"], frame["target"]
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        frame=frame,
        target_names=target_names,
        DESCR=_read_bytes("README.md").decode("utf-8"),
    )


def _chosen(categories: Sequence[str], intents: list[str]) -> list[str]:
    if isinstance(categories, str):
        raise TypeError(f"categories must be a list of intents, got the str {categories!r}.")
    if unknown := [name for name in categories if name not in intents]:
        raise ValueError(f"These categories are no intents: {unknown}.")
    if not len(categories):
        raise ValueError("categories must hold at least one intent.")
    return sorted(set(categories))


def _read_bytes(name: str) -> bytes:
    return (files("sk_ulmfit.datasets") / "data" / "banking77" / name).read_bytes()


def _read_split(split: str) -> list[list[str]]:
    text = lzma.decompress(_read_bytes(f"{split}.csv.xz")).decode("utf-8")
    # newline="" leaves the line breaks inside of questions to csv.
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == ["label", "text"]
    return rows


def _to_frame(data: list[str], target: np.ndarray) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("as_frame=True needs pandas: pip install pandas") from error
    return pd.DataFrame({"text": data, "target": target})
