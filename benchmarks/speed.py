"""Time the stages of ULMFiT, ours and fastai's in turn, on one idle machine.

    python benchmarks/speed.py
    python benchmarks/speed.py --peer FASTAI/bin/python --config small paper

Both sides have the same shapes, dropouts and documents, of random words. Each runs in a process of
its own, and they take turns, so that a machine that is slower for a while is so for both: compared
are rounds, in pairs. "Floor" is the time that the matrix products of a row would take alone, at the
rate of a large product, which is measured between the rounds. A row is a line of
benchmarks/results/speed.jsonl; what is there already is left out, so that an interrupted run goes
on.

The row "pipeline" fine-tunes en-small on 200 questions of TREC-6 and predicts 500, with the epochs
and batch sizes of the package's defaults; it needs the folder of the data sets:

    python benchmarks/speed.py --peer FASTAI/bin/python --data DATA --rows pipeline

Where the time goes is asked apart, as profiling slows a program down: `--profile` adds it to the
rows that are there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _results
import numpy as np
import torch
from _data import read_split
from _peer import job_for_fastai
from _runs import draw, environment
from _work import CONFIGS, LONG, SHORT, Config

FOLDER = Path(__file__).resolve().parent

# What a row does with each of its tokens: forward passes' worth of matrix products, whether the
# softmax is among them, and how many tokens a unit has. "amp" is bfloat16 on our side, where the
# CPU computes in it; fastai cannot, and stays with float32.
WORK = {
    "lm-train": (3, True, 1),
    "lm-train-amp": (3, True, 1),
    "lm-eval": (1, True, 1),
    "clf-train": (3, False, LONG),
    "clf-train-amp": (3, False, LONG),
    "clf-head": (1, False, LONG),
    "predict-short": (1, False, SHORT),
    "predict-long": (1, False, LONG),
    "predict-one": (1, False, SHORT),
    "pipeline": None,
}
N_TEXTS = 200


class Side:
    """A process that does rounds when it is told to."""

    def __init__(self, interpreter: str, script: str, *arguments: str):
        self.process = subprocess.Popen(
            [interpreter, str(FOLDER / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=FOLDER,
        )
        self.rounds: list[dict[str, float]] = []
        self._line(" ".join([script, *arguments]))

    def _line(self, what: str) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{what} ended without an answer. Run it by hand to see why.")
        return line

    def do_round(self) -> None:
        """Do one, and keep what came out."""
        self.rounds.append(self._ask(""))

    def profile(self) -> dict[str, float]:
        """Tell where the time of a round goes."""
        return self._ask("profile")

    def _ask(self, request: str) -> dict[str, float]:
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self._line("A round"))
        return answer

    def end(self) -> None:
        """Let the process end."""
        self.process.stdin.close()
        self.process.wait()

    def summary(self) -> dict[str, Any]:
        """Rates of the rounds after the first, which warms up, and the peak of memory."""
        self.end()
        rates = [one["units"] / one["seconds"] for one in self.rounds[1:]]
        return {
            "rate": round(float(np.median(rates)), 2),
            "rates": [round(rate, 2) for rate in rates],
            "peak_mb": round(self.rounds[-1]["peak_bytes"] / 1e6),
        }


def gemm_rate() -> float:
    """Floating-point operations a second of a large matrix product."""
    a, b = torch.randn(2048, 1024), torch.randn(1024, 2048)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * 2048 * 2048 * 1024 / best


def both_sides(*arguments: str, peer: str | None) -> dict[str, Side]:
    """Start the processes that do a row, of a configuration."""
    sides = {"ours": Side(sys.executable, "_speed_ours.py", *arguments)}
    if peer:
        sides["fastai"] = Side(peer, "_speed_fastai.py", *arguments)
    return sides


def profiles(*arguments: str, peer: str | None) -> dict[str, dict[str, float]]:
    """Where the time of both sides goes, after a round that warms up."""
    result = {}
    for name, side in both_sides(*arguments, peer=peer).items():
        side.do_round()
        result[name] = side.profile()
        side.end()
    return result


def compare(*arguments: str, peer: str | None, n_rounds: int) -> dict[str, Any]:
    """Let both sides do a row, of a configuration, in turn."""
    row, name = arguments[:2]
    sides = both_sides(*arguments, peer=peer)
    gemm = []
    for _ in range(n_rounds + 1):
        for side in sides.values():
            side.do_round()
        gemm.append(gemm_rate())
    result: dict[str, Any] = {side: process.summary() for side, process in sides.items()}
    rate = float(np.median(gemm))
    result["gemm_gflops"] = round(rate / 1e9, 1)
    if (work := WORK[row]) is not None:
        passes, softmax, tokens_per_unit = work
        config: Config = CONFIGS[name]
        flops = passes * config.flops(tokens_per_unit, softmax=softmax)
        for side in sides:
            result[side]["share_of_floor"] = round(flops * result[side]["rate"] / rate, 3)
    if peer:
        pairs = zip(result["ours"]["rates"], result["fastai"]["rates"], strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        result["ratio"] = round(float(np.median(ratios)), 2)
        result["ratios"] = [round(ratio, 2) for ratio in ratios]
        memory = result["ours"]["peak_mb"] / result["fastai"]["peak_mb"]
        result["memory_ratio"] = round(memory, 2)
    return result


def write_job(data: str, folder: str) -> str:
    """Write down the texts of the row "pipeline", and what fastai is told; gives the file."""
    train, _ = draw(read_split(data, "trec6", "train"), N_TEXTS, seed=0)
    job = job_for_fastai(folder, train, read_split(data, "trec6", "test"), seed=0)
    file = Path(folder) / "job.json"
    file.write_text(json.dumps(job))
    return str(file)


def main() -> None:
    """Do the rows that are asked for and are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="interpreter of a virtual environment that has fastai")
    parser.add_argument("--data", help="folder of the data sets, for the row 'pipeline'")
    parser.add_argument("--config", nargs="+", choices=list(CONFIGS), default=["small"])
    synthetic = [row for row, work in WORK.items() if work]
    parser.add_argument("--rows", nargs="+", choices=list(WORK), default=synthetic)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="tell where the time goes")
    options = parser.parse_args()
    if "pipeline" in options.rows and options.data is None:
        parser.error("The row 'pipeline' needs --data, the folder of the data sets.")
    if options.profile:
        for result in _results.read("speed"):
            row, name = result["row"], result["config"]
            if WORK[row] is None or "profile" in result:
                continue
            result["profile"] = profiles(row, name, peer=options.peer)
            _results.write("speed", result)
            print(f"{row} {name}: {result['profile']}", flush=True)
        return
    for name in options.config:
        for row in options.rows:
            if (row, name) in _results.keys("speed"):
                continue
            with tempfile.TemporaryDirectory() as folder:
                arguments = [row, name]
                if WORK[row] is None:
                    arguments.append(write_job(options.data, folder))
                result = compare(*arguments, peer=options.peer, n_rounds=options.rounds)
            _results.write("speed", {"row": row, "config": name, **result, **environment()})
            shown = ", ".join(
                f"{side} {result[side]['rate']:.1f}/s, {result[side]['peak_mb']} MB, "
                f"{result[side].get('share_of_floor', '-')} of the floor"
                for side in ("ours", "fastai")
                if side in result
            )
            print(f"{row} {name}: {shown}, ratio {result.get('ratio', '-')}", flush=True)


if __name__ == "__main__":
    main()
