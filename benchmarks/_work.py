"""What the two sides of `speed.py` have in common: sizes, documents, and a way to take turns.

Nothing but numpy and the standard library is used: it also runs under fastai's interpreter.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Config:
    """Sizes of a language model and of the work with it."""

    emb_size: int
    hidden_size: int
    n_layers: int
    n_words: int
    steps: int  # of training, a round
    batch_size: int = 64
    bptt: int = 72
    n_classes: int = 6

    def flops(self, n_tokens: int, *, softmax: bool) -> float:
        """Of the matrix products of a forward pass."""
        widths = [self.emb_size, *[self.hidden_size] * (self.n_layers - 1), self.emb_size]
        layers = sum(4 * n_out * (n_in + n_out) for n_in, n_out in pairwise(widths))
        return 2.0 * n_tokens * (layers + (self.n_words * self.emb_size if softmax else 0))


CONFIGS = {
    "small": Config(128, 384, 3, 8_000, steps=6),
    "paper": Config(400, 1152, 3, 30_000, steps=3),
}

# Mean lengths of documents: like TREC-6 or SST-2, and like IMDb.
SHORT, LONG = 40, 250


def stream(config: Config, n_tokens: int) -> np.ndarray:
    """Numbers of words, all of which occur if there is room for them."""
    random = np.random.default_rng(0)
    words = random.permutation(config.n_words)[:n_tokens]
    drawn = random.integers(config.n_words, size=n_tokens - len(words))
    return random.permutation(np.concatenate([words, drawn]))


def documents(config: Config, n: int, mean_length: int, seed: int) -> list[np.ndarray]:
    """Documents of numbers of words, from half to one and a half of the mean length."""
    random = np.random.default_rng(seed)
    lengths = random.integers(mean_length // 2, mean_length * 3 // 2 + 1, size=n)
    return [random.integers(config.n_words, size=length) for length in lengths]


def labels(config: Config, n: int) -> list[int]:
    """Classes of the documents."""
    return [i % config.n_classes for i in range(n)]


def word(number: int) -> str:
    """A word that both tokenizers leave alone: letters only, no three of a kind."""
    letters = "bcdfghjklmnpqrst"
    return "".join(f"{letters[(number >> shift) & 15]}a" for shift in (12, 8, 4, 0))


def text(numbers: np.ndarray) -> str:
    """The document as text."""
    return " ".join(word(int(number)) for number in numbers)


# Prepares a row of the table, and gives back what does a round of it: that returns the units done
# (tokens, documents) and the seconds that they took.
Row = Callable[[Config], Callable[[], tuple[float, float]]]


def take_turns(rows: dict[str, Row]) -> None:
    """Prepare the row and configuration of the command line; do a round for every line of stdin.

    A third argument is a file that the row reads (see `job`). The line "profile" asks where the
    time of a round goes.
    """
    do_round = rows[sys.argv[1]](CONFIGS[sys.argv[2]])
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "profile":
            answer = profile(do_round)
        else:
            units, seconds = do_round()
            answer = {"units": units, "seconds": seconds, "peak_bytes": peak_bytes()}
        print(json.dumps(answer), flush=True)


# Where a round's time goes, by the beginnings of the names of torch's operators.
PARTS = {
    "lstm": ("aten::mkldnn_rnn_layer",),
    "products": ("aten::addmm", "aten::mm", "aten::bmm", "aten::mkldnn_linear"),
}


def profile(do_round: Callable[[], tuple[float, float]]) -> dict[str, float]:
    """Shares of a round's time in the parts, in torch's other operators, and outside of torch."""
    import torch  # not for those who only read the sizes

    activity = [torch.profiler.ProfilerActivity.CPU]
    start = time.perf_counter()
    with torch.profiler.profile(activities=activity) as profiler:
        do_round()
        seconds = time.perf_counter() - start
    shares = dict.fromkeys([*PARTS, "operators"], 0.0)
    for operator in profiler.key_averages():
        if operator.key.startswith(("aten::", "autograd::")):
            names = (part for part, begins in PARTS.items() if operator.key.startswith(begins))
            share = operator.self_cpu_time_total / 1e6 / seconds
            shares[next(names, "operators")] += share
    shares["outside"] = 1.0 - sum(shares.values())
    return {part: round(share, 3) for part, share in shares.items()}


def job() -> dict[str, Any]:
    """Real texts and labels to train on and to read, as `speed.py` has written them."""
    return json.loads(Path(sys.argv[3]).read_text())


def peak_bytes() -> int:
    """The largest resident memory of this process so far."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
