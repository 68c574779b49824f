"""Results of benchmarks: a file of JSON lines for each table, a line for each run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock

RESULTS = Path(__file__).parent / "results"

# The tables, and what tells the runs of each apart.
KEYS = {
    "compare": ("set", "model", "labels", "seed"),
    "paper": ("set", "row", "labels", "seed"),
    "choices": ("set", "choice", "labels", "seed"),
    "calibration": ("set", "labels", "seed"),
    "deletion": ("set", "labels", "seed"),
    "serving": ("set", "labels", "form"),
    "service": ("form",),
    "levers": ("choice",),
    "search": ("set", "labels", "seed"),
    "speed": ("row", "config"),
    "wikitext": ("direction",),
}

Key = tuple[str | int | None, ...]


def key_of(table: str, run: dict[str, Any]) -> Key:
    """What tells a run apart from the others of its table."""
    return tuple(run[name] for name in KEYS[table])


def read(table: str) -> list[dict[str, Any]]:
    """All runs of a table, in order of their keys."""
    file = RESULTS / f"{table}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def keys(table: str) -> set[Key]:
    """What tells the runs apart that are there."""
    return {key_of(table, run) for run in read(table)}


def write(table: str, run: dict[str, Any]) -> None:
    """Add a run, in place of one with the same key; others may write meanwhile."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{table}.jsonl"
    with FileLock(file.with_suffix(".lock")):
        runs = {key_of(table, one): one for one in [*read(table), run]}
        in_order = sorted(runs.items(), key=lambda item: [(part is None, part) for part in item[0]])
        temporary = file.with_suffix(".new")
        temporary.write_text("".join(f"{json.dumps(one)}\n" for _, one in in_order), "utf-8")
        os.replace(temporary, file)


def called(table: str, key: Key) -> str:
    """Name of a run for those who watch."""
    return " ".join([table, *(str(part) for part in key if part is not None)])
