"""Classify the texts of a folder of Parquet files: in some processes, or on a Dask cluster.

    pip install sk-ulmfit[serve,dask] pyarrow
    python examples/score_archive.py intents-int8 ARCHIVE SCORED --processes 8
    python examples/score_archive.py intents-int8 ARCHIVE SCORED --scheduler tcp://10.0.0.1:8786

For every file of ARCHIVE there will be one of the same name in SCORED: the columns named by
`--keep`, the likeliest class of each text and its probability. Files are independent of one another
and appear when complete, so the same command goes on where an earlier one was stopped, and
machines that share the folders may be added at any time. A worker loads the model once and holds no
more than some thousand texts in memory.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sk_ulmfit import serving

AT_ONCE = 5_000  # texts


@cache
def model_in(folder: str) -> serving.ServedClassifier:
    """The model, loaded once in every process."""
    return serving.load(folder)


def score_file(source: Path, target: Path, model: str, keep: Iterable[str] = ()) -> int:
    """Classify the texts of one file; gives how many, 0 if that has been done."""
    if target.exists():
        return 0
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.part")
    served, archive, writer = model_in(model), pq.ParquetFile(source), None
    n_texts = 0
    for rows in archive.iter_batches(AT_ONCE, columns=["text", *keep]):
        p = served.predict_proba(rows["text"].to_pylist())
        scored = {name: rows[name] for name in keep}
        scored["class"] = pa.array(served.classes_[p.argmax(axis=1)])
        scored["probability"] = pa.array(p.max(axis=1))
        table = pa.table(scored)
        writer = writer or pq.ParquetWriter(unfinished, table.schema)
        writer.write_table(table)
        n_texts += len(table)
    if writer is not None:
        writer.close()
        os.replace(unfinished, target)
    return n_texts


def jobs(archive: Path, scored: Path) -> tuple[list[Path], list[Path]]:
    """Files that are left to do, and where their results go."""
    scored.mkdir(parents=True, exist_ok=True)
    left = [file for file in sorted(archive.glob("*.parquet")) if not (scored / file.name).exists()]
    return left, [scored / file.name for file in left]


def in_processes(
    score: Any, files: tuple[list[Path], list[Path]], n_processes: int
) -> Iterator[int]:
    """Score files in processes of this machine."""
    with get_context("spawn").Pool(n_processes) as pool:
        yield from pool.starmap(score, zip(*files, strict=True), chunksize=1)


def on_cluster(score: Any, files: tuple[list[Path], list[Path]], client: Any) -> Iterator[int]:
    """Score files on the workers of a Dask cluster; one that is lost is replaced by another."""
    from distributed import as_completed

    for done in as_completed(client.map(score, *files, pure=False, retries=2)):
        yield done.result()


def main() -> None:
    """Score what is left to do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder that sk_ulmfit.export wrote")
    parser.add_argument("archive", type=Path, help='folder of Parquet files with a column "text"')
    parser.add_argument("scored", type=Path, help="folder for the results")
    parser.add_argument("--keep", nargs="*", default=[], help="columns to copy, for example an id")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--scheduler", help="address of a Dask scheduler, instead of processes")
    options = parser.parse_args()
    score = partial(score_file, model=options.model, keep=tuple(options.keep))
    files = jobs(options.archive, options.scored)
    if options.scheduler:
        from distributed import Client

        counts = on_cluster(score, files, Client(options.scheduler))
    else:
        counts = in_processes(score, files, options.processes)
    total = 0
    for n_texts in counts:
        total += n_texts
        print(f"{total:,} texts", flush=True)


if __name__ == "__main__":
    main()
