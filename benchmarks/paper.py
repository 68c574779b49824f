"""Run rows of the paper's ablation tables (section 5) on a data set.

    python benchmarks/paper.py --data DIR --set trec6 --labels 500 --seed 0 1 2 3 4
    python benchmarks/paper.py --data DIR --set trec6 --row full chain-thaw --budget 30

As in the paper, errors are on a tenth of the training texts, held out; test splits are not read.
Every row is the package's default in all but the parameters written here, and the number of epochs
and what is not of the paper: R-Drop, label smoothing and a wider head for many classes. A run is a
line of benchmarks/results/paper.jsonl; one that is there already is not repeated, so that an
interrupted command goes on. `benchmarks/report.py` sets the rows beside the paper's figures.

A language model is fine-tuned once for all the rows that share it: the seconds of fitting include
it in the first of them only.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import _results
from _data import read_split
from _runs import PAPERS, PAPERS_LM, Labelled, draw, measure
from sklearn.pipeline import Pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.pretrained import load_pretrained

# The learning rates stay as they are, and are the same for every layer.
PLAIN = {"schedule": "constant", "lr_decay": 1.0}
DISCR = {"schedule": "constant"}
STLR = {"lr_decay": 1.0}
COS = {"schedule": "cosine", "lr_decay": 1.0}


@dataclass(frozen=True)
class Row:
    """A row of one of the paper's tables."""

    table: str
    name: str
    paper: tuple[float, float, float] | None  # its errors on IMDb, TREC-6 and AG News
    lm: dict[str, Any] = field(default_factory=dict)  # where they differ from the defaults
    clf: dict[str, Any] = field(default_factory=dict)


METHOD = "The full method"
LM_TUNING = "Fine-tuning of the language model"
CLF_TUNING = "Fine-tuning of the classifier"
BEST = (5.00, 5.69, 5.38)


def classifier_row(name: str, paper: tuple[float, float, float], **params: Any) -> Row:
    """Stage 3 in another way."""
    return Row(CLF_TUNING, name, paper, clf=params)


ROWS = {
    "method": Row(METHOD, "pretraining, freez + discr + stlr", BEST),
    "backward": Row(METHOD, "backward instead of forward", None, {"direction": "backward"}),
    "both": Row(METHOD, "both directions, averaged", None, {"direction": "both"}),
    "no-pretraining": Row(METHOD, "without pretraining", (5.63, 10.67, 5.52), {"pretrained": None}),
    "defaults": Row(
        METHOD,
        "with R-Drop and label smoothing, 25 epochs",
        None,
        # (what they were when this was measured)
        clf={"r_drop": 1.0, "label_smoothing": 0.1, "head_sizes": "auto", "max_epochs": 25},
    ),
    "vanilla-lm": Row(
        METHOD, "vanilla LSTM as language model", (5.98, 7.41, 5.76), {"dropout_mult": 0.0}
    ),
    "lm-none": Row(LM_TUNING, "none", (6.99, 6.38, 6.09), {"max_epochs": 0}),
    "lm-full": Row(LM_TUNING, "full", (5.86, 6.54, 5.61), PLAIN),
    "lm-full-discr": Row(LM_TUNING, "full + discr", (5.55, 6.36, 5.47), DISCR),
    "scratch": Row(
        CLF_TUNING, "from scratch", (9.93, 13.36, 6.81), {"pretrained": None, "max_epochs": 0}
    ),
    "full": classifier_row("full", (6.87, 6.86, 5.81), unfreeze_schedule="full", **PLAIN),
    "full-discr": classifier_row(
        "full + discr", (5.57, 6.21, 5.62), unfreeze_schedule="full", **DISCR
    ),
    "last": classifier_row("last", (6.49, 16.09, 8.38), unfreeze_schedule="last", **PLAIN),
    "last-no-dropout": Row(
        CLF_TUNING,
        "last, frozen_dropout=False",
        None,
        clf={"unfreeze_schedule": "last", "frozen_dropout": False, **PLAIN},
    ),
    "chain-thaw": classifier_row(
        "chain-thaw", (5.39, 6.71, 5.90), unfreeze_schedule="chain-thaw", **PLAIN
    ),
    "freez": classifier_row("freez", (6.37, 6.86, 5.81), **PLAIN),
    "freez-discr": classifier_row("freez + discr", (5.39, 5.86, 6.04), **DISCR),
    "freez-stlr": classifier_row("freez + stlr", (5.04, 6.02, 5.35), **STLR),
    "freez-cos": classifier_row("freez + cos", (5.70, 6.38, 5.29), **COS),
}


def model_of(row: Row, seed: int, memory: str | None = None) -> Pipeline:
    """Stages 2 and 3 as the row has them; `memory` is a folder for fitted language models."""
    params = {**PAPERS_LM, **row.lm}
    if params.get("pretrained", "") is None:
        sizes = load_pretrained("en-small").sizes  # the architecture of the other rows
        params.update(
            emb_size=sizes.emb_size, hidden_size=sizes.hidden_size, n_layers=sizes.n_layers
        )
    lm = ULMFiTLanguageModel(random_state=seed, **params)
    clf = ULMFiTClassifier(random_state=seed, **{**PAPERS, **row.clf})
    return Pipeline([("lm", lm), ("clf", clf)], memory=memory)


def held_out(
    data: Labelled, n_labels: int | None, seed: int, parts: int = 10
) -> tuple[Labelled, Labelled]:
    """Split training texts into those to train on and one of so many parts to measure on."""
    measured, train = draw(data, len(data[0]) // parts, seed)
    if n_labels is not None:
        train, _ = draw(train, n_labels, seed)
    return train, measured


def main() -> None:
    """Run what is asked for and is not there yet, while the budget lasts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", required=True, nargs="+", dest="sets", help="such as trec6")
    parser.add_argument("--row", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--labels", type=int, help="draw so many training texts, by the seed")
    parser.add_argument("--budget", type=float, help="begin no run after so many minutes")
    options = parser.parse_args()
    end = time.monotonic() + 60 * (options.budget or float("inf"))
    with tempfile.TemporaryDirectory() as memory:
        for seed, name, row in product(options.seed, options.sets, options.row):
            key = (name, row, options.labels, seed)
            if key in _results.keys("paper"):
                continue
            if time.monotonic() > end:
                print("The budget is used up; the same command goes on.")
                return
            data = read_split(options.data, name, "train")
            train, measured = held_out(data, options.labels, seed)
            described = {"set": name, "row": row, "seed": seed, "labels": options.labels}
            result = {**described, **measure(model_of(ROWS[row], seed, memory), train, measured)}
            _results.write("paper", result)
            print(
                f"{_results.called('paper', key)}: validation error {result['error']:.2f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
