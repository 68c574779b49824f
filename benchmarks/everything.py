"""Make the results of benchmarks/results/ that are not there yet, then the report.

    python benchmarks/everything.py DATA --peer FASTAI/bin/python
    python benchmarks/everything.py DATA --table full few --lanes 10 --gpu-lanes 6 --minutes 60

`DATA` is the folder of the data sets, `FASTAI` a virtual environment with fastai 2.8.12; without it
the runs beside fastai are left out. The tables are those of docs/results.md (those of speed and of
pretraining have commands of their own there).

Every run is a process with one thread, and as many go on at once as there are lanes. Lanes with a
GPU take the long runs of our models first, the others the short ones. Interrupted, the same command
goes on: runs whose results are there are left out. IMDb, and the choices on banking77, with all
labels take a GPU.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import _results
from choices import CHOICES
from compare import BASELINES, MODELS, full_name
from paper import ROWS

FOLDER = Path(__file__).resolve().parent
TABLES = ("full", "few", "peer", "paper", "calibration", "choices")


@dataclass(frozen=True)
class Job:
    """A process that makes some results."""

    tables: str  # that show them, with spaces between
    command: list[str]
    makes: list[tuple[str, _results.Key]] = field(default_factory=list)  # tables and their keys
    on_gpu: bool = False  # whether it is long enough to be worth one
    days: bool = False  # whether it would take so long without one

    def is_done(self, there: set[tuple[str, _results.Key]]) -> bool:
        """Tell whether all of its results are there."""
        return there.issuperset(self.makes)


def runs(
    tables: str,
    names: str,
    models: str,
    labels: Sequence[int | None] = (None,),
    seeds: Sequence[int] = (0,),
    more: Sequence[str] = (),
    together: bool = False,
    days: bool = False,
) -> Iterator[Job]:
    """Runs of compare.py, each a job.

    Parameters
    ----------
    tables, names, models : str
        With spaces between: tables of the page, data sets, models.
    labels, seeds : sequence of int
    more : sequence of str
        Further arguments.
    together : bool, default=False
        All in one job: they share a language model that takes long.
    days : bool, default=False
        So long would it take without a GPU.
    """

    def command(
        names: list[str], models: list[str], labels: Sequence[int | None], seeds: Sequence[int]
    ) -> list[str]:
        which = ["--set", *names, "--model", *models, "--seed", *map(str, seeds)]
        drawn = ["--labels", *map(str, labels)] if labels[0] else []
        return ["compare.py", *which, *drawn, *more]

    found = []
    texts = int(more[more.index("--lm-texts") + 1]) if "--lm-texts" in more else None
    for seed, n, name, model in product(seeds, labels, names.split(), models.split()):
        makes = [("compare", (name, full_name(model, texts), n, seed))]
        ours = model in MODELS and model not in BASELINES
        long = ours and (n is None or name in ("ag_news", "imdb", "newsgroups20"))
        found.append(Job(tables, command([name], [model], [n], [seed]), makes, long, days))
    if not together:
        yield from found
        return
    makes = [one for job in found for one in job.makes]
    whole = command(names.split(), models.split(), labels, seeds)
    yield Job(tables, whole, makes, True, days)


def jobs(peer: str | None = None) -> Iterator[Job]:
    """Everything, in the order of the page; the runs of fastai if there is an interpreter."""
    five, three = range(5), range(3)
    part = ["--test-rows", "2000"]
    simple, ours, semi = "tfidf fasttext minilm", "en-small en-small-plain", "en-small-plain-semi"
    other_sets = {"stackoverflow": 500, "hwu64": 320, "tweet_offensive": 100}
    fastai = ["--peer", peer] if peer else []
    models = "fastai" if peer else ""

    yield from runs("full", "trec6", ours, seeds=three)
    yield from runs("full", "sst2 banking77", ours, seeds=three)
    yield from runs("full", "banking77", "en-small-both en-small-plain-both")
    yield from runs("full", "sst2 banking77", simple)
    yield from runs("full", "trec6", f"{simple} ulmfit ulmfit-both", seeds=three)
    yield from runs("full", "banking77", "ulmfit ulmfit-both")
    yield from runs("full", " ".join(other_sets), "en-small tfidf minilm")
    once = ["--lm-epochs", "1", "--lm-amp", "--lm-checkpoints"]
    all_of_it = [*once, "checkpoints/imdb-all"]
    both = f"{semi} en-small-semi"
    yield from runs("full", "imdb", both, more=all_of_it, together=True, days=True)

    for name, n in (("trec6", 500), ("sst2", 500), ("banking77", 770)):
        yield from runs("few peer", name, "en-small-plain", [n], five)
        yield from runs("peer", name, models, [n], five, fastai)
        yield from runs("few", name, f"en-small features {simple}", [n], five)
    for name, n in (("ag_news", 200), ("imdb", 100), ("newsgroups20", 200)):
        yield from runs("few peer", name, "en-small-plain", [n], five, part)
        yield from runs("peer", name, models, [n], five, part + fastai)
        yield from runs("few", name, "en-small", [n], five, part)
        if name != "imdb":
            yield from runs("few", name, f"features {simple}", [n], five, part)
    yield from runs("few", "trec6", f"{ours} features", [100, 200], five)
    yield from runs("few", "trec6", ours, [1000, 2000], three)
    yield from runs("few", "trec6", simple, [100, 200], five)
    yield from runs("few", "trec6", "scratch", [100, 200, 500], five)
    yield from runs("few", "trec6", f"{simple} scratch", [1000, 2000], three)
    yield from runs("few", "trec6", "scratch-concat", [100, 200, 500, 1000], three)
    yield from runs("few", "trec6", semi, [100, 200, 500], five, together=True)
    yield from runs("few", "sst2", f"{ours} features {simple}", [100], five)
    yield from runs("few", "banking77", f"{ours} features {simple}", [385], five)
    yield from runs("few", "trec6", "features", [1000], three)
    yield from runs("few", "imdb", "features", [100], three, part)
    for name, n in other_sets.items():
        yield from runs("few", name, "en-small features tfidf minilm", [n], five)
    yield from runs("few", "imdb", "en-small", [500], three, part)
    yield from runs("few", "imdb", f"{simple} scratch", [100, 500], three, part)
    yield from runs("few", "imdb", "scratch scratch-concat", [1000], three, part)
    both = f"{semi} {semi}-concat"
    reviews = [*part, *once, "checkpoints/imdb"]
    yield from runs("few", "imdb", both, [100, 500], three, reviews, together=True)
    some = [*part, "--lm-texts", "10000", "--lm-epochs", "2"]
    yield from runs("few", "imdb", both, [100, 500], three, some, together=True)

    for seed in five:
        makes = [("paper", ("trec6", row, 500, seed)) for row in ROWS]
        command = ["paper.py", "--set", "trec6", "--labels", "500", "--seed", str(seed)]
        yield Job("paper", command, makes)
    for name in ("banking77", "sst2"):
        command = ["calibration.py", "--set", name, "--labels", "1500"]
        yield Job("calibration", command, [("calibration", (name, 1500, 0))])
    for name, seed in product(("trec6", "sst2"), three):
        makes = [("choices", (name, choice, 500, seed)) for choice in CHOICES]
        command = ["choices.py", "--set", name, "--labels", "500", "--seed", str(seed)]
        yield Job("choices", command, makes)
    for choice, seed in product(CHOICES, three):
        makes = [("choices", ("banking77", choice, None, seed))]
        command = ["choices.py", "--set", "banking77", "--choice", choice, "--seed", str(seed)]
        yield Job("choices", command, makes, on_gpu=True, days=True)


class Lanes:
    """Processes beside one another.

    Parameters
    ----------
    waiting : list of Job
    more : list of str
        Arguments of all of them.
    end : float
        When no other is begun (by `time.monotonic`).
    """

    def __init__(self, waiting: list[Job], more: list[str], end: float):
        self.waiting = waiting
        self.more = more
        self.end = end
        self.running: list[subprocess.Popen[bytes]] = []
        self.failed: list[Job] = []
        self.lock = threading.Lock()

    def next(self, on_gpu: bool) -> Job | None:
        """Take the first job of this kind, or else the first there is."""
        with self.lock:
            if not self.waiting or time.monotonic() > self.end:
                return None
            possible = [job for job in self.waiting if on_gpu or not job.days]
            kind = [job for job in possible if job.on_gpu == on_gpu]
            if not possible:
                return None
            job = (kind or possible)[0]
            self.waiting.remove(job)
            return job

    def drive(self, on_gpu: bool) -> None:
        """Do one job after another."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if not on_gpu:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        while job := self.next(on_gpu):
            start = time.monotonic()
            command = [sys.executable, str(FOLDER / job.command[0]), *job.command[1:], *self.more]
            process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            self.running.append(process)
            if process.wait():
                self.failed.append(job)
            seconds = time.monotonic() - start
            print(f"{seconds:.0f} s, status {process.returncode}: {' '.join(job.command)}")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--peer", help="interpreter of a virtual environment that has fastai")
    parser.add_argument("--table", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--lanes", type=int, default=2, help="processes on the CPU")
    parser.add_argument("--gpu-lanes", type=int, default=0, help="and on the GPU")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop what runs then")
    return parser.parse_args()


def main() -> None:
    """Do what is missing."""
    options = parse_args()
    more = ["--data", str(options.data.resolve())]
    there = {(table, key) for table in _results.KEYS for key in _results.keys(table)}
    waiting = [
        job
        for job in jobs(options.peer)
        if not job.is_done(there)
        and (options.gpu_lanes or not job.days)
        and set(job.tables.split()) & set(options.table)
    ]
    print(f"{len(waiting)} runs are missing.")
    end = time.monotonic() + 60 * options.minutes
    lanes = Lanes(waiting, more, end)
    threads = [
        threading.Thread(target=lanes.drive, args=[i < options.gpu_lanes], daemon=True)
        for i in range(options.lanes + options.gpu_lanes)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and time.monotonic() < end:
        time.sleep(1)
    for process in lanes.running:
        process.kill()  # those that have ended do not mind
    subprocess.run([sys.executable, str(FOLDER / "report.py")], check=True)
    if lanes.failed or lanes.waiting:
        sys.exit(f"{len(lanes.failed)} runs failed or were stopped, {len(lanes.waiting)} wait.")


if __name__ == "__main__":
    main()
