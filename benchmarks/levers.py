"""What makes a CPU minute of pretraining count: choices compared at the same time of training.

    python benchmarks/levers.py CORPORA/simplewiki/shard-01.txt.xz --data DIR \
        --wikitext CORPORA/wikitext103/wt103.valid.tokens --minutes 1 --choice words no-vectors

Each choice trains a forward model on one thread for the same CPU time, by the recipe of
examples/pretrain_english.py, and is judged by the perplexity per word of WikiText's validation
file and by the validation error of `ULMFiTClassifier` with 100 labels, on texts that are drawn from
the training sets (no test split is read). A choice is a line of benchmarks/results/levers.jsonl.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import _results
import numpy as np
import torch
from _data import read_split
from _runs import PAPERS, draw
from wikitext_perplexity import wikitext_perplexity

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.models import TrainedLanguageModel

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))
import pretrain_english as recipe  # noqa: E402

# What each choice changes of the recipe's defaults.
CHOICES: dict[str, dict[str, Any]] = {
    "words": {},
    "no-vectors": {"vectors_share": 0.0},
    "full-softmax": {"softmax_samples": None},
    "words-15k": {"max_vocab": 15_000},
    "subwords-12k": {"tokenizer": "subword", "max_vocab": 12_000},
    "wider": {"hidden_size": 1024},
    "batch-64": {"batch_size": 64},
    "batch-16": {"batch_size": 16},
    "dropout": {"dropout_mult": 0.5},
}
SETS = ("trec6", "sst2")
N_LABELS, N_DRAWS, N_HELD_OUT = 100, 2, 1000


def downstream(model: TrainedLanguageModel, data: Path, name: str) -> dict[str, Any]:
    """Mean error with few labels, on texts held out of the training set."""
    errors, seconds = [], []
    for seed in range(N_DRAWS):
        held_out, pool = draw(read_split(data, name, "train"), N_HELD_OUT, 1000 + seed)
        train, _ = draw(pool, N_LABELS, seed)
        begin = time.process_time()
        clf = ULMFiTClassifier(ULMFiTLanguageModel.from_trained(model), random_state=seed, **PAPERS)
        clf.fit(*train)
        seconds.append(time.process_time() - begin)
        wrong = clf.predict(held_out[0]) != np.array(held_out[1])
        errors.append(100 * float(np.mean(wrong)))
    return {
        "error": round(float(np.mean(errors)), 2),
        "errors": [round(error, 2) for error in errors],
        "seconds": round(float(np.mean(seconds)), 1),
    }


def run(choice: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train by one choice, and judge."""
    changed = CHOICES[choice]
    args = recipe.parse_args([str(path) for path in options.corpora])
    vars(args).update(changed)
    # What takes long is shared by all that tokenise alike.
    args.work = options.work / f"{args.tokenizer}-{args.max_vocab}"
    start = recipe.starting_point(args)
    tokens = 60 * options.minutes * recipe.tokens_per_second(args, start, time.process_time)
    share = tokens / recipe.tokenised(args)[1].lengths.sum()
    begin = time.process_time()
    lm = recipe.language_model(args, start, max_epochs=max(1, round(share)))
    lm.fit(recipe.Articles(args.corpora, min(1.0, share)))
    minutes = (time.process_time() - begin) / 60
    text = options.wikitext.read_text(encoding="utf-8")[:400_000]
    return {
        "choice": choice,
        "changed": changed,
        "minutes": round(minutes, 2),
        "tokens": round(tokens),
        "budget": options.minutes,
        "perplexity": wikitext_perplexity(lm.trained_, text, torch.device("cpu"))["forward"],
        **{name: downstream(lm.trained_, options.data, name) for name in SETS},
    }


def main() -> None:
    """Run what is asked for, unless its result is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--wikitext", type=Path, required=True, help="WikiText's validation file")
    parser.add_argument("--work", type=Path, default=Path("build/levers"))
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--choice", nargs="+", choices=sorted(CHOICES), default=sorted(CHOICES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for choice in options.choice:
        if (choice,) in _results.keys("levers"):
            print(f"{choice} is there already")
            continue
        result = run(choice, options)
        _results.write("levers", result)
        print(f"{choice}: {result}", flush=True)


if __name__ == "__main__":
    main()
