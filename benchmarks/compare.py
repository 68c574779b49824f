"""Train one model on one data set, read its test split once, and write down what came out.

    python benchmarks/compare.py --data DIR --set trec6 --model ulmfit --seed 0
    python benchmarks/compare.py --data DIR --set sst2 --model tfidf en-small --labels 100

The models "fasttext" and "minilm" need the extra `bench`.

`DIR` holds a folder for each data set, with train.csv.xz and test.csv.xz (columns label, text).
Results go to benchmarks/results/, one JSON file a run; a run that is there already is not
repeated. `benchmarks/report.py` makes the tables of docs/results.md of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from _baselines import MiniLM, fasttext, tfidf
from _data import read_split
from _runs import RESULTS, draw, measure
from sklearn.pipeline import Pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel


def ulmfit(seed: int, direction: str = "forward") -> Pipeline:
    """All three stages on the training texts alone, with the package's defaults."""
    lm = ULMFiTLanguageModel(pretrained=None, direction=direction, random_state=seed, verbose=1)
    return Pipeline([("lm", lm), ("clf", ULMFiTClassifier(random_state=seed, verbose=1))])


def pretrained(seed: int) -> ULMFiTClassifier:
    """The shipped language model, with the package's defaults."""
    return ULMFiTClassifier(random_state=seed, verbose=1)


def pretrained_both(seed: int) -> ULMFiTClassifier:
    """The same in both directions."""
    lm = ULMFiTLanguageModel(direction="both", verbose=1)
    return ULMFiTClassifier(lm, random_state=seed, verbose=1)


MODELS = {
    "tfidf": lambda seed: tfidf(),
    "fasttext": fasttext,
    "minilm": lambda seed: MiniLM(),
    "ulmfit": ulmfit,
    "ulmfit-both": lambda seed: ulmfit(seed, "both"),
    "en-small": pretrained,
    "en-small-both": pretrained_both,
}


def run(
    data: Path, name: str, model_name: str, seed: int, n_labels: int | None = None
) -> dict[str, Any]:
    """Fit on all or on `n_labels` training texts, and read the test split."""
    train, test = read_split(data, name, "train"), read_split(data, name, "test")
    if n_labels is not None:
        train, _ = draw(train, n_labels, seed)
    return {
        "set": name,
        "model": model_name,
        "seed": seed,
        "labels": n_labels,
        **measure(MODELS[model_name](seed), train, test),
    }


def main() -> None:
    """Run what is asked for, unless its result is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", required=True, nargs="+", dest="sets", help="such as trec6")
    parser.add_argument("--model", required=True, nargs="+", choices=sorted(MODELS))
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--labels", type=int, help="draw so many training texts, by the seed")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in options.sets:
        for model_name in options.model:
            for seed in options.seed:
                drawn = f"-{options.labels}labels" if options.labels else ""
                file = RESULTS / f"compare-{name}-{model_name}{drawn}-{seed}.json"
                if file.exists():
                    print(f"{file.name} is there already")
                    continue
                result = run(options.data, name, model_name, seed, options.labels)
                file.write_text(json.dumps(result, indent=1) + "\n")
                print(f"{file.name}: test error {result['error']:.2f} %")


if __name__ == "__main__":
    main()
