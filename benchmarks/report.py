"""Make docs/results.md of the results in benchmarks/results/.

python benchmarks/report.py            # write the page
python benchmarks/report.py --check    # fail if the page is not what the results give
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
MARKS = "<!-- results: made by benchmarks/report.py -->", "<!-- end of results -->"

# Runs by data set and model.
Groups = dict[tuple[str, str], list[dict[str, Any]]]

NAMES = {
    "tfidf": "TF-IDF + LogisticRegression, tuned",
    "ulmfit": "ULMFiT without pretraining, forward",
    "ulmfit-both": "ULMFiT without pretraining, both directions",
}
SETS = {"trec6": "TREC-6", "banking77": "banking77"}

HEAD = """# Results

<!-- made by benchmarks/report.py of benchmarks/results/*.json: do not edit -->

What was run and measured. Every number comes from a JSON file in `benchmarks/results/`, which also
holds the parameters, losses and versions. Parameters were chosen on validation splits of the
training texts; a test split is read once a run.

## Without pretraining

All three stages see the training texts alone: the language model starts from random weights.
Default parameters of the package, the same for every data set.
"""


def mean_and_spread(values: list[float]) -> str:
    """Mean, and the standard deviation if there are several."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def card(name: str, model: str, runs: list[dict[str, Any]]) -> str:
    """Two lines on a trained model: what was run, what was measured."""
    first, params = runs[0], runs[0]["params"]
    lm, clf = params["lm"], params["clf"]
    losses = first["losses"]
    ends = {
        step: [rows[0][2], [row for row in rows if row[0] == rows[0][0]][-1][2]]
        for step, rows in losses.items()
    }
    return (
        f"- **{SETS[name]}, {NAMES[model]}**: language model {lm['emb_size']}/{lm['hidden_size']}/"
        f"{lm['n_layers']} on {first['n_train']} training texts, {lm['max_epochs']} epochs, then "
        f"the classifier, {clf['max_epochs']} epochs, `{clf['unfreeze_schedule']}`.\n"
        f"  Training loss of the language model {ends['lm'][0]:.2f} → {ends['lm'][1]:.2f}, of the "
        f"classifier {ends['clf'][0]:.2f} → {ends['clf'][1]:.2f} (seed {first['seed']}); test "
        f"perplexity {mean_and_spread([run['test_perplexity'] for run in runs])}, test error "
        f"{mean_and_spread([run['error'] for run in runs])} %.\n"
    )


def read_results() -> Groups:
    """Runs by data set and model, in the order of the tables."""
    found: Groups = defaultdict(list)
    for file in sorted(RESULTS.glob("compare-*.json")):
        result = json.loads(file.read_text())
        found[result["set"], result["model"]].append(result)
    order = [(name, model) for name in SETS for model in NAMES]
    return {key: found[key] for key in order if key in found}


def table(groups: Groups) -> str:
    """Errors and times of all models."""
    rows = ["| data | model | seeds | test error % | fit seconds | predict texts/s |"]
    rows.append("|---|---|---|---|---|---|")
    for (name, model), runs in groups.items():
        seconds = np.median([run["fit_seconds"] for run in runs])
        rate = np.median([run["predict_per_second"] for run in runs])
        rows.append(
            f"| {SETS[name]} | {NAMES[model]} | {len(runs)} | "
            f"{mean_and_spread([run['error'] for run in runs])} | {seconds:.0f} | {rate:.0f} |"
        )
    run = next(iter(groups.values()))[0]
    machine, versions = run["machine"], run["versions"]
    where = f"{machine['threads']} CPU thread(s) and {machine['gpu'] or 'no GPU'}"
    rows.append(
        f"\nMedian times, with {where}; torch {versions['torch']}, scikit-learn "
        f"{versions['scikit-learn']}. Other runs went on beside them: take times as upper bounds."
    )
    return "\n".join(rows)


def page(groups: Groups) -> str:
    """The whole page."""
    models = " ".join(dict.fromkeys(model for _, model in groups))
    cards = [card(name, model, runs) for (name, model), runs in groups.items() if model != "tfidf"]
    return f"""{HEAD}
{table(groups)}

Repeat it (results that are there already are kept: delete those that are to be made again):

```
python benchmarks/compare.py --data DIR --set {" ".join(SETS)} --seed 0 1 2 \\
    --model {models}
python benchmarks/report.py
```

### Model cards

{"".join(cards)}"""


def readme(groups: Groups) -> str:
    """The README with its block of results made anew."""
    block = f"{MARKS[0]}\n{table(groups)}\n{MARKS[1]}"
    pattern = f"{re.escape(MARKS[0])}.*{re.escape(MARKS[1])}"
    return re.sub(pattern, lambda _: block, README.read_text(), flags=re.DOTALL)


def main() -> None:
    """Write or check the page and the README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    groups = read_results()
    for file, content in ((PAGE, page(groups)), (README, readme(groups))):
        if not check:
            file.write_text(content)
        elif file.read_text() != content:
            sys.exit(f"{file} is not what the results give: run python benchmarks/report.py")
    print("docs/results.md and README.md are in step with the results.")


if __name__ == "__main__":
    main()
