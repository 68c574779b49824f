"""Train one model on one data set, read its test split once, and write down what came out.

    python benchmarks/compare.py --data DIR --set trec6 --model ulmfit --seed 0
    python benchmarks/compare.py --data DIR --set sst2 --model tfidf en-small --labels 100 500
    python benchmarks/compare.py --data DIR --set imdb --model en-small-semi --labels 100 \
        --lm-epochs 1 --lm-amp --lm-checkpoints DIR --test-rows 2000
    python benchmarks/compare.py --data DIR --set trec6 --model fastai --peer FASTAI/bin/python

The models "fasttext" and "minilm" need the extra `bench`, "fastai" an interpreter that has it.

`DIR` holds a folder for each data set, with train.csv.xz and test.csv.xz (columns label, text),
and perhaps unsup.csv.xz (column text). A run is a line of benchmarks/results/compare.jsonl; one
that is there already is not repeated. `benchmarks/report.py` makes the tables of docs/results.md of
them.
"""

from __future__ import annotations

import argparse
import time
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import _results
import numpy as np
from _baselines import MiniLM, fasttext, tfidf
from _data import read_split
from _peer import measure_fastai
from _runs import PAPERS, PAPERS_LM, draw, measure
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.pretrained import load_pretrained


def ulmfit(seed: int, direction: str = "forward") -> Pipeline:
    """All three stages on the training texts alone, with the paper's pooling."""
    lm = ULMFiTLanguageModel(pretrained=None, direction=direction, random_state=seed, verbose=1)
    clf = ULMFiTClassifier(pooling="concat", batch_size=32, random_state=seed, verbose=1, **PAPERS)
    return Pipeline([("lm", lm), ("clf", clf)])


def pretrained(seed: int) -> ULMFiTClassifier:
    """The shipped language model, with the package's defaults."""
    return ULMFiTClassifier(random_state=seed, verbose=1)


def pretrained_both(seed: int) -> ULMFiTClassifier:
    """The same in both directions."""
    lm = ULMFiTLanguageModel(direction="both", verbose=1)
    return ULMFiTClassifier(lm, random_state=seed, verbose=1)


def features(seed: int) -> Pipeline:
    """The shipped language model as a vectoriser, as it is, and scikit-learn's regression."""
    return make_pipeline(ULMFiTLanguageModel(output="features"), LogisticRegression())


def plain(seed: int, **params: Any) -> ULMFiTClassifier:
    """The shipped language model, by the paper's techniques alone."""
    lm = ULMFiTLanguageModel(verbose=1, **PAPERS_LM, **params)
    return ULMFiTClassifier(lm, random_state=seed, verbose=1, **PAPERS)


def scratch(seed: int, **params: Any) -> ULMFiTClassifier:
    """No language model at all: a classifier as large as en-small's from a random start."""
    sizes = load_pretrained("en-small").sizes
    lm = ULMFiTLanguageModel(
        pretrained=None,
        max_epochs=0,
        emb_size=sizes.emb_size,
        hidden_size=sizes.hidden_size,
        n_layers=sizes.n_layers,
        random_state=seed,
    )
    return ULMFiTClassifier(lm, random_state=seed, verbose=1, **PAPERS, **params)


BASELINES = {
    "tfidf": lambda seed: tfidf(),
    "fasttext": fasttext,
    "minilm": lambda seed: MiniLM(),
}
MODELS = {
    **BASELINES,
    "scratch": scratch,
    "scratch-concat": lambda seed: scratch(seed, pooling="concat"),
    "ulmfit": ulmfit,
    "ulmfit-both": lambda seed: ulmfit(seed, "both"),
    "features": features,
    "en-small": pretrained,
    "en-small-both": pretrained_both,
    "en-small-plain": lambda seed: plain(seed),
    "en-small-plain-both": lambda seed: plain(seed, direction="both"),
}
# Those whose language model is fine-tuned on texts without labels too: what of their classifier is
# not the package's default.
SEMI: dict[str, dict[str, Any]] = {
    "en-small-semi": {},
    "en-small-plain-semi": PAPERS,
    "en-small-plain-semi-concat": {**PAPERS, "pooling": "concat"},
}


@cache
def fine_tuned(
    data: Path,
    name: str,
    n_texts: int | None,
    epochs: int | None,
    amp: bool,
    checkpoints: Path | None,
) -> tuple[ULMFiTLanguageModel, dict[str, Any]]:
    """en-small fine-tuned on texts without labels: of the training set, and "unsup" if there is.

    How long it took is told only if no checkpoint can have shortened it.
    """
    texts, _ = read_split(data, name, "train")
    if (data / name / "unsup.csv.xz").exists():
        texts = texts + read_split(data, name, "unsup")[0]
    if n_texts is not None:
        rows = np.random.default_rng(0).permutation(len(texts))[:n_texts]
        texts = [texts[i] for i in np.sort(rows)]
    lm = ULMFiTLanguageModel(random_state=0, verbose=1, amp=amp)
    if epochs is not None:
        lm.set_params(max_epochs=epochs)
    if checkpoints is not None:
        lm.set_params(checkpoint_dir=str(checkpoints))
    start = time.perf_counter()
    lm.fit(texts)
    tuning: dict[str, Any] = {"n_lm_texts": len(texts)}
    if checkpoints is None:
        tuning["lm_seconds"] = round(time.perf_counter() - start, 1)
    # Nothing of this machine belongs into the parameters that are written down.
    return lm.set_params(checkpoint_dir=None), tuning


def full_name(model: str, lm_texts: int | None) -> str:
    """A model with the number of texts that its language model has read, if it is limited."""
    return f"{model}-{lm_texts}" if lm_texts and model in SEMI else model


def run(
    options: argparse.Namespace, name: str, model: str, seed: int, n_labels: int | None
) -> dict[str, Any]:
    """Fit on all or on `n_labels` training texts, and read the test split."""
    train, test = (read_split(options.data, name, split) for split in ("train", "test"))
    if n_labels is not None:
        train, _ = draw(train, n_labels, seed)
    if options.test_rows is not None:
        test, _ = draw(test, options.test_rows, 0)
    called = full_name(model, options.lm_texts)
    described = {"set": name, "model": called, "seed": seed, "labels": n_labels}
    if model == "fastai":
        return {**described, **measure_fastai(options.peer, train, test, seed)}
    if model in SEMI:
        lm, tuning = fine_tuned(
            options.data,
            name,
            options.lm_texts,
            options.lm_epochs,
            options.lm_amp,
            options.lm_checkpoints,
        )
        clf = ULMFiTClassifier(FrozenEstimator(lm), random_state=seed, verbose=1, **SEMI[model])
        return {**described, **tuning, **measure(clf, train, test)}
    return {**described, **measure(MODELS[model](seed), train, test, perplexity=n_labels is None)}


def main() -> None:
    """Run what is asked for, unless its result is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models = [*MODELS, *SEMI, "fastai"]
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", required=True, nargs="+", dest="sets", help="such as trec6")
    parser.add_argument("--model", required=True, nargs="+", choices=models)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--labels", type=int, nargs="+", help="draw so many training texts, by the seed"
    )
    parser.add_argument("--test-rows", type=int, help="read so many test texts only")
    parser.add_argument(
        "--lm-texts", type=int, help="texts that a semi-supervised language model is fine-tuned on"
    )
    parser.add_argument("--lm-epochs", type=int, help="for so many epochs, not the default")
    parser.add_argument("--lm-amp", action="store_true", help="in bfloat16 where it is safe")
    parser.add_argument(
        "--lm-checkpoints", type=Path, help="folder in which this fine-tuning is kept and goes on"
    )
    parser.add_argument("--peer", help="interpreter of a virtual environment that has fastai")
    options = parser.parse_args()
    if "fastai" in options.model and options.peer is None:
        parser.error("--model fastai needs --peer, the interpreter that has it.")
    runs = product(options.seed, options.sets, options.labels or [None], options.model)
    for seed, name, n_labels, model in runs:
        called = full_name(model, options.lm_texts)
        key = (name, called, n_labels, seed)
        if key in _results.keys("compare"):
            continue
        result = run(options, name, model, seed, n_labels)
        _results.write("compare", result)
        print(f"{_results.called('compare', key)}: test error {result['error']:.2f} %", flush=True)


if __name__ == "__main__":
    main()
