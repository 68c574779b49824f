"""Make docs/results.md, and the tables of other pages, of the results in benchmarks/results/.

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
from paper import ROWS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
MODEL = ROOT / "sk_ulmfit" / "pretrained" / "en-small"
MARKS = "<!-- results: made by benchmarks/report.py -->", "<!-- end of results -->"

# Runs by data set, model and number of labels (None: all).
Groups = dict[tuple[str, str, int | None], list[dict[str, Any]]]

NAMES = {
    "tfidf": "TF-IDF + LogisticRegression, tuned",
    "fasttext": "fastText, tuned",
    "minilm": "frozen MiniLM + LogisticRegression, tuned",
    "ulmfit": "ULMFiT without pretraining, forward",
    "ulmfit-both": "ULMFiT without pretraining, both directions",
    "en-small": "`ULMFiTClassifier()`: en-small, forward",
    "en-small-both": "en-small, both directions",
}
# Where the paper's figures of a data set are in `Row.paper`.
PAPER_SETS = {"imdb": 0, "trec6": 1}
SETS = {"trec6": "TREC-6", "sst2": "SST-2", "banking77": "banking77"}

HEAD = """# Results

<!-- made by benchmarks/report.py of benchmarks/results/*.json: do not edit -->

What was run and measured. Every number comes from a JSON file in `benchmarks/results/`, which also
holds the parameters, losses and versions. Parameters were chosen on validation splits of the
training texts; a test split is read once a run.

## All labels

Default parameters of the package, the same for every data set. Without pretraining, all three
stages see the training texts alone; those rows are from before every layer was pooled, with
`pooling="concat"` and batches of 32 texts.
"""

FEW_HEAD = """## Few labels

So many training texts are drawn at random, each class in its share, and nothing else of the
training set is used, not even as text without labels. Mean and standard deviation of the draws;
nothing is tuned for a data set, but TF-IDF, fastText and the regression on MiniLM, by
cross-validation on the texts drawn.
"""

LEVERS_HEAD = """## What makes a CPU minute of pretraining count

Each choice trains a forward model by the recipe of `examples/pretrain_english.py` for the same time
on one CPU thread, on 11 million words of the Simple English Wikipedia. "words" is the recipe as it
is: 30,000 words, 256 wide embeddings that start as word vectors, two LSTM layers of 512, a softmax
of 4,096 samples, batches of 32. Perplexity is per word of WikiText-103's validation file, in
brackets with every unknown word charged (see `benchmarks/wikitext_perplexity.py`). Errors are with
100 labels on 1,000 texts held out of the training sets, mean of 2 draws: of so short a training
they say little beside their spread of two points.
"""

PAPER_HEAD = """## The paper's ablations

Each row is the package's default in all but what its name says, and all rows share data, seeds and
epochs. As in the paper (section 5), errors are on a tenth of the training texts, held out. The last
column compares with the full method seed by seed: the mean difference, and in how many seeds the
row was worse.
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
    start = lm.get("pretrained") or f"{lm['emb_size']}/{lm['hidden_size']}/{lm['n_layers']}"
    return (
        f"- **{SETS[name]}, {NAMES[model]}**: language model {start} on {first['n_train']} "
        f"training texts, {lm['max_epochs']} epochs, then the classifier, {clf['max_epochs']} "
        f"epochs, `{clf['unfreeze_schedule']}`.\n"
        f"  Training loss of the language model {ends['lm'][0]:.2f} → {ends['lm'][1]:.2f}, of the "
        f"classifier {ends['clf'][0]:.2f} → {ends['clf'][1]:.2f} (seed {first['seed']}); test "
        f"perplexity {mean_and_spread([run['test_perplexity'] for run in runs])}, test error "
        f"{mean_and_spread([run['error'] for run in runs])} %.\n"
    )


def read_results() -> Groups:
    """Runs by data set, model and labels, in the order of the tables."""
    found: Groups = defaultdict(list)
    for file in sorted(RESULTS.glob("compare-*.json")):
        result = json.loads(file.read_text())
        found[result["set"], result["model"], result.get("labels")].append(result)
    numbers = sorted({key[2] for key in found if key[2]})
    order = [(s, m, n) for s in SETS for n in (None, *numbers) for m in NAMES]
    return {key: found[key] for key in order if key in found}


def table(groups: Groups) -> str:
    """Errors and times of all models with all labels."""
    rows = ["| data | model | seeds | test error % | fit seconds | predict texts/s |"]
    rows.append("|---|---|---|---|---|---|")
    for (name, model, _), runs in groups.items():
        seconds = np.median([run["fit_seconds"] for run in runs])
        rate = np.median([run["predict_per_second"] for run in runs])
        rows.append(
            f"| {SETS[name]} | {NAMES[model]} | {len(runs)} | "
            f"{mean_and_spread([run['error'] for run in runs])} | {seconds:.0f} | {rate:.0f} |"
        )
    return "\n".join(rows) + "\n\n" + where(groups)


def where(groups: Groups) -> str:
    """The machine that the times are of."""
    run = next(iter(groups.values()))[0]
    machine, versions = run["machine"], run["versions"]
    return (
        f"Median times, with {machine['threads']} CPU thread(s) and {machine['gpu'] or 'no GPU'}; "
        f"torch {versions['torch']}, scikit-learn {versions['scikit-learn']}. Other runs went on "
        "beside them: take times as upper bounds."
    )


def few_table(groups: Groups) -> str:
    """Errors with few labels, and how they compare to those of TF-IDF."""
    rows = ["| data | labels | model | draws | test error % | of TF-IDF's | fit seconds |"]
    rows.append("|---|---|---|---|---|---|---|")
    for (name, model, n_labels), runs in groups.items():
        errors = [run["error"] for run in runs]
        seconds = np.median([run["fit_seconds"] for run in runs])
        baseline = groups.get((name, "tfidf", n_labels))
        ratio = "-"
        if baseline and model != "tfidf":
            ratio = f"{np.mean(errors) / np.mean([run['error'] for run in baseline]):.2f}"
        rows.append(
            f"| {SETS[name]} | {n_labels} | {NAMES[model]} | {len(runs)} | "
            f"{mean_and_spread(errors)} | {ratio} | {seconds:.0f} |"
        )
    return "\n".join(rows)


def levers_table() -> str:
    """What each choice of pretraining led to."""
    rows = [
        "| choice | what it changes | tokens | perplexity | TREC-6 error % | SST-2 error % |",
        "|---|---|---|---|---|---|",
    ]
    results = [json.loads(file.read_text()) for file in RESULTS.glob("levers-*.json")]
    for run in sorted(results, key=lambda run: run["perplexity"]["per_word_unknown_charged"]):
        changed = ", ".join(f"{key}={value}" for key, value in run["changed"].items())
        perplexity = run["perplexity"]
        rows.append(
            f"| {run['choice']} | {changed or '-'} | {run['tokens'] / 1e6:.2f} M | "
            f"{perplexity['per_word']:.0f} ({perplexity['per_word_unknown_charged']:.0f}) | "
            f"{run['trec6']['error']:.1f} | {run['sst2']['error']:.1f} |"
        )
    return "\n".join(rows)


def paper_tables() -> str:
    """Rows of the paper's tables, a table for each data set and number of labels."""
    runs: dict[tuple[str, int | None], dict[str, dict[int, float]]] = {}
    for file in sorted(RESULTS.glob("paper-*.json")):
        run = json.loads(file.read_text())
        rows = runs.setdefault((run["set"], run["labels"]), defaultdict(dict))
        rows[run["row"]][run["seed"]] = run["error"]
    tables = [paper_table(name, n_labels, rows) for (name, n_labels), rows in runs.items()]
    return "\n".join([PAPER_HEAD, *tables]) if tables else ""


def paper_table(name: str, n_labels: int | None, rows: dict[str, dict[int, float]]) -> str:
    """One data set's rows beside the paper's."""
    of_paper = PAPER_SETS.get(name)
    lines = [
        f"**{SETS[name]}, {f'{n_labels} labels' if n_labels else 'all labels'}**\n",
        f"| row | paper{f' ({SETS[name]})' if of_paper is not None else ''} | error % | seeds | "
        "against the full method |",
        "|---|---|---|---|---|",
    ]
    method = rows.get("method", {})
    table = ""
    for key, row in ROWS.items():
        if key not in rows:
            continue
        if row.table != table:
            table = row.table
            lines.append(f"| *{table}* | | | | |")
        errors = rows[key]
        paper = "-"
        if of_paper is not None and row.paper is not None:
            paper = f"{row.paper[of_paper]:.2f}"
        differences = [errors[seed] - method[seed] for seed in errors if seed in method]
        against = "-"
        if differences and key != "method":
            worse = sum(difference > 0 for difference in differences)
            against = f"{np.mean(differences):+.2f}, worse in {worse} of {len(differences)}"
        lines.append(
            f"| {row.name} | {paper} | {mean_and_spread(list(errors.values()))} | "
            f"{len(errors)} | {against} |"
        )
    labels = f" --labels {n_labels}" if n_labels else ""
    seeds = " ".join(str(seed) for seed in sorted(max(rows.values(), key=len)))
    command = f"python benchmarks/paper.py --data DIR --set {name}{labels} --seed {seeds}"
    return "\n".join(lines) + f"\n\n```\n{command}\n```\n"


def page(groups: Groups) -> str:
    """The whole page."""
    full = {key: runs for key, runs in groups.items() if key[2] is None}
    few = {key: runs for key, runs in groups.items() if key[2] is not None}
    cards = [card(key[0], key[1], runs) for key, runs in full.items() if "losses" in runs[0]]
    commands = [
        f"python benchmarks/compare.py --data DIR --set {name} --seed 0 1 2 3 4 --labels {n} \\\n"
        f"    --model {' '.join(dict.fromkeys(key[1] for key in few if key[::2] == (name, n)))}"
        for name, n in dict.fromkeys(key[::2] for key in few)
    ]
    models = " ".join(dict.fromkeys(key[1] for key in full))
    return f"""{HEAD}
{table(full)}

Repeat it (results that are there already are kept: delete those that are to be made again):

```
python benchmarks/compare.py --data DIR --set {" ".join(SETS)} --seed 0 1 2 \\
    --model {models}
python benchmarks/report.py
```

{FEW_HEAD}
{few_table(few)}

```
{chr(10).join(commands)}
```

{paper_tables()}
{LEVERS_HEAD}
{levers_table()}

```
python benchmarks/levers.py CORPORA/simplewiki/shard-01.txt.xz --data DIR \\
    --wikitext CORPORA/wikitext103/wt103.valid.tokens
```

## Model cards

{"".join(cards)}"""


def readme(groups: Groups) -> str:
    """The README with its block of results made anew."""
    full = {key: runs for key, runs in groups.items() if key[2] is None}
    few = {key: runs for key, runs in groups.items() if key[2] is not None}
    block = f"{MARKS[0]}\n{table(full)}\n\nWith few labels:\n\n{few_table(few)}\n{MARKS[1]}"
    pattern = f"{re.escape(MARKS[0])}.*{re.escape(MARKS[1])}"
    return re.sub(pattern, lambda _: block, README.read_text(), flags=re.DOTALL)


def card_of_model() -> str:
    """The card of en-small."""
    rows = [
        "| direction | tokens trained on | perplexity | unknown charged | per token | on disk |",
        "|---|---|---|---|---|---|",
    ]
    for direction in ("forward", "backward"):
        folder = MODEL / direction
        model = json.loads((folder / "model.json").read_text())
        tokens = sum(sitting["tokens"] for sitting in model["training"])
        figures = json.loads((RESULTS / f"wikitext-{direction}.json").read_text())
        size = sum(file.stat().st_size for file in folder.iterdir())
        rows.append(
            f"| {direction} | {tokens / 1e6:.1f} M | "
            f"{figures['per_word']:.0f} | {figures['per_word_unknown_charged']:.0f} | "
            f"{figures['per_token']:.0f} | {size / 1e6:.1f} MB |"
        )
    lm, sittings = model["language_model"], model["training"]
    first = sittings[0]
    text = (ROOT / "benchmarks" / "en-small.md").read_text()
    values = {
        "vocabulary": f"{len(lm['tokenizer']['tokens']):,}",
        "emb_size": lm["emb_size"],
        "hidden_size": lm["hidden_size"],
        "n_layers": lm["n_layers"],
        "corpus": f"{first['corpus_tokens'] / 1e6:.0f}",
        "table": "\n".join(rows),
        **first,
        "sittings": len(sittings),
        "lr": ", ".join(str(sitting["lr"]) for sitting in sittings),
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def main() -> None:
    """Write or check the page and the README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    groups = read_results()
    card_file = MODEL / "README.md"
    for file, content in (
        (PAGE, page(groups)),
        (README, readme(groups)),
        (card_file, card_of_model()),
    ):
        if not check:
            file.write_text(content)
        elif file.read_text() != content:
            sys.exit(f"{file} is not what the results give: run python benchmarks/report.py")
    print("docs/results.md, README.md and the model's card are in step with the results.")


if __name__ == "__main__":
    main()
