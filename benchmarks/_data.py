"""Read labelled texts from the folder that a benchmark is given.

Such a folder holds ``NAME/train.csv.xz``, ``NAME/test.csv.xz`` and perhaps further splits, with the
columns ``label`` and ``text``.
"""

from __future__ import annotations

import csv
import lzma
from pathlib import Path


def read_labelled_csv(path: str | Path) -> tuple[list[str], list[str] | None]:
    """Read texts and labels from an xz-compressed CSV file.

    Every field stays the string that it is in the file. (`pandas.read_csv` makes missing values
    of texts such as "NA", "null" and the empty one.)

    Parameters
    ----------
    path : str or path
        The file; its first line names the columns.

    Returns
    -------
    texts : list of str
    labels : list of str or None
        None if the file has no column ``label``, as one of unlabelled texts.
    """
    texts = []
    labels = []
    # The csv module refuses fields above a limit that all its users share: put it back after use.
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if "text" not in columns:
                raise ValueError(
                    f"{path} has no column 'text', only {', '.join(columns) or 'none'}."
                )
            for row in reader:
                texts.append(row["text"])
                labels.append(row.get("label"))
    finally:
        csv.field_size_limit(limit)
    return texts, labels if "label" in columns else None


def read_split(folder: str | Path, name: str, split: str) -> tuple[list[str], list[str] | None]:
    """Read a split ("train", "test", ...) of the data set `name` in `folder`.

    Parameters
    ----------
    folder : str or path
    name : str
    split : str

    Returns
    -------
    texts : list of str
    labels : list of str or None
    """
    path = Path(folder) / name / f"{split}.csv.xz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the data set {name!r} has no split {split!r}.")
    return read_labelled_csv(path)
