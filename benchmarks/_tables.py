"""Tables of results, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any

import _results
import numpy as np
from choices import CHOICES
from paper import ROWS

# Runs by data set, model and number of labels (None: all).
Groups = dict[tuple[str, str, int | None], list[dict[str, Any]]]

NAMES = {
    "tfidf": "TF-IDF + LogisticRegression, tuned",
    "fasttext": "fastText, tuned",
    "minilm": "frozen MiniLM + LogisticRegression, tuned",
    "fastai": "fastai from en-small",
    "scratch": "from scratch, no language model",
    "scratch-concat": "from scratch, the paper's pooling",
    "ulmfit": "ULMFiT without pretraining, forward",
    "ulmfit-both": "ULMFiT without pretraining, both directions",
    "en-small-plain": "en-small by the paper's techniques alone, forward",
    "en-small-plain-both": "the same, both directions",
    "en-small-plain-semi-10000": "the same, also on 10,000 texts without labels",
    "en-small-plain-semi-concat-10000": "the same, also on 10,000 texts, the paper's pooling",
    "en-small-plain-semi": "the same, also on all texts without labels",
    "en-small-plain-semi-concat": "the same, also on all texts, the paper's pooling",
    "features": "features of en-small + LogisticRegression, nothing set",
    "en-small": "**`ULMFiTClassifier()`**: en-small, forward",
    "en-small-both": "the same, both directions",
    "en-small-semi": "the same, also on all texts without labels",
}
SETS = {
    "trec6": "TREC-6",
    "sst2": "SST-2",
    "banking77": "banking77",
    "imdb": "IMDb",
    "ag_news": "AG News",
    "newsgroups20": "20 newsgroups",
    "stackoverflow": "Stack Overflow",
    "hwu64": "HWU64",
    "tweet_offensive": "tweets, offensive or not",
}
DEFAULT = "en-small"  # what a user gets who sets nothing
BESIDE = {"tfidf": "TF-IDF + LogisticRegression", "minilm": "frozen MiniLM + LogisticRegression"}
# Rows of the README, with few labels: more on the page of results.
HEADLINES = [("trec6", 100), ("trec6", 1000), ("sst2", 500), ("banking77", 770)]
SPACE = "\N{NO-BREAK SPACE}"  # where a narrow table must not break a value
PLAIN = "en-small-plain"  # what is set beside fastai (both read a text once a step) and scratch
POOLINGS = {"ours": "", "the paper's": "-concat"}  # and how names of models tell them
# Where the paper's figures of a data set are in `Row.paper`.
PAPER_SETS = {"imdb": 0, "trec6": 1}


def mean_and_spread(values: list[float], digits: int = 2) -> str:
    """Mean, and the standard deviation if there are several."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    mean, spread = np.mean(values), np.std(values, ddof=1)
    return f"{mean:.{digits}f}{SPACE}±{SPACE}{spread:.{digits}f}"


def with_best(column: list[list[float]], digits: int = 2) -> list[str]:
    """Mean and spread of each of a column's values, the lowest mean in bold."""
    means = [round(float(np.mean(values)), digits) if values else np.inf for values in column]
    return [
        "-"
        if not values
        else f"**{mean_and_spread(values, digits)}**"
        if mean == min(means)
        else mean_and_spread(values, digits)
        for values, mean in zip(column, means, strict=True)
    ]


def errors_of(runs: list[dict[str, Any]]) -> list[float]:
    """Test errors in percent."""
    return [run["error"] for run in runs]


def paired(errors: dict[int, float], base: dict[int, float]) -> list[float]:
    """How much larger than `base` the errors are, seed by seed where both were measured."""
    return [errors[seed] - base[seed] for seed in sorted(errors.keys() & base.keys())]


def against(differences: list[float], word: str) -> str:
    """Their mean, and how many speak for the word: "better" or "worse"."""
    sign = {"better": -1, "worse": 1}[word]
    found = sum(sign * difference > 0 for difference in differences)
    return f"{np.mean(differences):+.2f}, {word} in {found} of {len(differences)}"


def read_results() -> Groups:
    """Runs by data set, model and labels, in the order of the tables."""
    found: Groups = defaultdict(list)
    for run in _results.read("compare"):
        found[run["set"], run["model"], run["labels"]].append(run)
    numbers = sorted({key[2] for key in found if key[2]})
    order = [(s, m, n) for s in SETS for n in (None, *numbers) for m in NAMES]
    return {key: found[key] for key in order if key in found}


def full_table(groups: Groups) -> str:
    """Errors and times of all models with all labels."""
    rows = [
        "| data | model | test error % | seeds | fit seconds: CPU | GPU "
        "| predicted texts a second: CPU | GPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(key[0] for key in groups):
        of_set = {model: runs for (of, model, _), runs in groups.items() if of == name}
        errors = with_best([errors_of(runs) for runs in of_set.values()])
        for (model, runs), error in zip(of_set.items(), errors, strict=True):
            times = [
                f"{np.median(values):,.0f}" if values else "-"
                for what in ("fit_seconds", "predict_per_second")
                for values in (
                    [run[what] for run in runs if on_cpu(run) == on] for on in (True, False)
                )
            ]
            rows.append(
                f"| {SETS[name]} | {NAMES[model]} | {error} | {len(runs)} | {' | '.join(times)} |"
            )
    return "\n".join(rows) + "\n\n" + where(groups)


def where(groups: Groups) -> str:
    """What all the times have in common."""
    runs = [run for group in groups.values() for run in group]

    def all_of(part: str, name: str, word: str = "and") -> str:
        found = sorted({str(run[part][name]) for run in runs if run[part][name]})
        return f" {word} ".join(found)

    return (
        f"Median times, on a CPU with {all_of('machine', 'threads')} thread(s), on a GPU "
        f"({all_of('machine', 'gpu', 'or')}); torch {all_of('versions', 'torch')}, scikit-learn "
        f"{all_of('versions', 'scikit-learn')}. Other runs went on beside them, on a GPU several: "
        "take times as upper bounds."
    )


def low_shot_table(groups: Groups, name: str) -> str:
    """Errors of all models on one data set by the number of labels."""
    found = {key[1:]: runs for key, runs in groups.items() if key[0] == name and key[2]}
    numbers = sorted({n for _, n in found if n})
    rows = [f"| {SETS[name]}, labels | " + " | ".join(map(str, numbers)) + " |"]
    rows.append("|---" * (1 + len(numbers)) + "|")
    columns = [with_best([errors_of(found.get((m, n), [])) for m in NAMES], 1) for n in numbers]
    for model, *cells in zip(NAMES, *columns, strict=True):
        if set(cells) != {"-"}:
            rows.append(f"| {NAMES[model]} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def headline_table(groups: Groups) -> str:
    """Errors and seconds of fits on a CPU, of what one would try first."""
    names = {DEFAULT: "**`ULMFiTClassifier()`**", **BESIDE}
    rows = [
        "| data | labels | " + " | ".join(names.values()) + " |",
        "|---" * (2 + len(names)) + "|",
    ]
    for name, n_labels in HEADLINES:
        of_models = [
            [run for run in groups.get((name, model, n_labels), []) if on_cpu(run)]
            for model in names
        ]
        errors = with_best([errors_of(runs) for runs in of_models], 1)
        cells = [
            f"{error} in {np.median([run['fit_seconds'] for run in runs]):.0f} s" if runs else "-"
            for runs, error in zip(of_models, errors, strict=True)
        ]
        rows.append(f"| {SETS[name]} | {n_labels} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def on_cpu(run: dict[str, Any]) -> bool:
    """Whether a run was computed without a GPU."""
    return not run["machine"].get("gpu")


def worth_table(groups: Groups) -> str:
    """How many labels training from scratch takes to be as good as all three stages with few."""
    rows = [
        "| data | pooling | labels | error % | with texts without labels "
        "| from scratch: as good with |",
        "|---|---|---|---|---|---|",
    ]
    for name, (pooling, suffix) in product(SETS, POOLINGS.items()):
        ours, some_texts, all_texts, scratch = (
            mean_errors(groups, name, model)
            for model in (
                f"{PLAIN}{suffix}",
                f"{PLAIN}-semi{suffix}-10000",
                f"{PLAIN}-semi{suffix}",
                f"scratch{suffix}",
            )
        )
        semi = {**some_texts, **all_texts}
        for n in sorted(n for n in ours.keys() | semi.keys() if n < max(scratch, default=0)):
            cells = [f"{errors[n]:.1f}" if n in errors else "-" for errors in (ours, semi)]
            cells.append(labels_needed(scratch, min(e[n] for e in (ours, semi) if n in e)))
            rows.append(f"| {SETS[name]} | {pooling} | {n} | {' | '.join(cells)} |")
    return "\n".join(rows)


def mean_errors(groups: Groups, name: str, model: str) -> dict[int, float]:
    """Mean error of a model on a data set by the number of labels, where it is not all."""
    return {
        n: float(np.mean([run["error"] for run in runs]))
        for (of_set, of_model, n), runs in groups.items()
        if (of_set, of_model) == (name, model) and n
    }


def labels_needed(errors: dict[int, float], wanted: float) -> str:
    """From how many labels on an error of at most `wanted` was measured."""
    enough = [n for n, error in sorted(errors.items()) if error <= wanted]
    n = enough[0] if enough else max(errors)
    return f"{'' if enough else 'more than '}{n} labels ({errors[n]:.1f} %)"


def peer_table(groups: Groups) -> str:
    """Ours and fastai, seed by seed."""
    rows = [
        "| data | labels | seeds | fastai, error % | ours, error % | difference | ours better in |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, model, n_labels), theirs in groups.items():
        if model != "fastai" or (name, PLAIN, n_labels) not in groups:
            continue
        their = {run["seed"]: run["error"] for run in theirs}
        our = {run["seed"]: run["error"] for run in groups[name, PLAIN, n_labels]}
        seeds = sorted(their.keys() & our.keys())
        differences = paired(our, their)
        better = sum(difference < 0 for difference in differences)
        rows.append(
            f"| {SETS[name]} | {n_labels or 'all'} | {len(seeds)} | "
            f"{mean_and_spread([their[seed] for seed in seeds], 1)} | "
            f"{mean_and_spread([our[seed] for seed in seeds], 1)} | "
            f"{mean_and_spread(differences, 1)} | {better} of {len(seeds)} |"
        )
    return "\n".join(rows)


def calibration_table() -> str:
    """Probabilities before and after temperature scaling."""
    rows = [
        "| data | labels | error % | temperature | calibration error: before, after | "
        "log loss: before, after |",
        "|---|---|---|---|---|---|",
    ]
    for run in _results.read("calibration"):
        before, after = run["before"], run["after"]
        rows.append(
            f"| {SETS[run['set']]} | {run['labels'] or 'all'} | {run['error']:.1f} | "
            f"{run['temperature']:.2f} | {before['ece']:.3f}, **{after['ece']:.3f}** | "
            f"{before['log_loss']:.3f}, **{after['log_loss']:.3f}** |"
        )
    return "\n".join(rows)


def search_table() -> str:
    """A search over unfreeze schedules: its seconds, and what it found."""
    rows = [
        "| data | labels | candidates x folds | seconds, refit included | "
        "cross-validated errors % | test error % of the best |",
        "|---|---|---|---|---|---|",
    ]
    for run in _results.read("search"):
        errors = [candidate["error"] for candidate in run["candidates"]]
        rows.append(
            f"| {SETS[run['set']]} | {run['labels']} | {len(errors)} x {run['folds']} | "
            f"{run['seconds']:.0f} | {min(errors):.1f} to {max(errors):.1f} | {run['error']:.1f} |"
        )
    return "\n".join(rows)


FORMS = {
    "estimator": "`ULMFiTClassifier`, with torch",
    "float32": "exported, float32",
    "int8": "exported, int8",
    "minilm": "frozen MiniLM + LogisticRegression, int8",
    "tfidf": "TF-IDF + LogisticRegression",
}


def serving_runs() -> list[dict[str, Any]]:
    """What was measured of every form of a classifier, in the table's order."""
    runs = _results.read("serving")
    order = list(FORMS)
    return sorted(runs, key=lambda run: (run["labels"], order.index(run["form"])))


def serving_table() -> str:
    """Answers, speed, cold start and size of every form of a classifier."""
    rows = [
        "| data | labels | form | error % | largest difference | texts a second, with 2 threads | "
        "one text, ms (99 %) | with 2 threads | cold start, s | MB | with packages |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    if not (runs := serving_runs()):
        return "Not measured yet."
    for run in runs:
        difference = f"{run['difference']['largest']:.0e}" if "difference" in run else "-"
        speeds = [run.get(f"threads_{n}") for n in (1, 2)]
        rates = [f"{speed['per_second']:,}" if speed else "-" for speed in speeds]
        times = [f"{speed['ms']:.1f} ({speed['ms_p99']:.1f})" if speed else "-" for speed in speeds]
        rows.append(
            f"| {SETS[run['set']]} | {run['labels']:,} | {FORMS[run['form']]} | "
            f"{run['error']:.1f} | {difference} | {', '.join(rates)} | {' | '.join(times)} | "
            f"{run['cold_start_seconds']:.1f} | {run['megabytes']:.0f} | "
            f"{run['megabytes'] + run['megabytes_of_packages']:.0f} |"
        )
    return "\n".join(rows)


def served_mixed() -> str:
    """How exported classifiers differ on texts of all lengths."""
    runs = {run["form"]: run["mixed"] for run in serving_runs() if "mixed" in run}
    if not runs:
        return "Not measured yet."
    some = runs["float32"]
    said = [
        f"{form} by at most {one['largest']:.0e}, with another class for {one['other_class']}"
        for form, one in runs.items()
    ]
    return (
        f"On {some['n_texts']:,} texts of five sets, the longest of {some['longest']:,} tokens, "
        f"probabilities differ from the estimator's in {'; in '.join(said)} of them."
    )


def service_table() -> str:
    """A service under load, and when it is stopped."""
    rows = [
        "| form | clients | requests a second | ms: median, 99 % | without an answer |",
        "|---|---|---|---|---|",
    ]
    if not (runs := _results.read("service")):
        return "Not measured yet."
    for run in runs:
        rows.append(
            f"| {FORMS[run['form']]} | {run['clients']} | {run['requests_per_second']:,} | "
            f"{run['ms']:.1f}, {run['ms_p99']:.1f} | {run['unanswered']} |"
        )
    return "\n".join(rows)


def deletion_table() -> str:
    """What becomes of predictions by deleting named and random words, and seconds a text."""
    rows = [
        "| data | labels | trained | texts | words a text | probability falls by: 10 % of the "
        "words, named (random) | 20 % | predictions changed by 10 % | 20 % | marked % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    trained = {"full": "all layers", "head": "the head alone"}
    if not (runs := _results.read("deletion")):
        return "Not measured yet."
    for run in runs:
        cells = [
            f"**{run['deleted'][f'named {share}'][what]:.2f}** "
            f"({run['deleted'][f'random {share}'][what]:.2f})"
            for what in ("fall", "changed")
            for share in ("10%", "20%")
        ]
        rows.append(
            f"| {SETS[run['set']]} | {run['labels']} | {trained[run['training']]} | "
            f"{run['n_texts']} | {run['n_words']:.0f} | {' | '.join(cells)} | "
            f"{100 * run['marked']:.0f} |"
        )
    lengths = runs[0]["seconds"]
    times = [
        f"{length} words: " + ", ".join(f"{run['seconds'][length]:.2f}" for run in runs)
        for length in lengths
    ]
    rows.append(f"\nCPU seconds of one core a text: {'; '.join(times)}.")
    return "\n".join(rows)


# Rows of `speed.py`: what they are called, and their unit.
SPEED_ROWS = {
    "lm-train": ("language model, training", "tokens"),
    "lm-train-amp": ("the same, ours in bfloat16 (`amp=True`)", "tokens"),
    "lm-eval": ("language model, perplexity", "tokens"),
    "clf-train": ("classifier, training all layers, long texts", "texts"),
    "clf-train-amp": ("the same, ours in bfloat16 (`amp=True`)", "texts"),
    "clf-head": ("classifier, training the head, 5 epochs, long texts", "texts"),
    "predict-short": ("prediction, short texts", "texts"),
    "predict-long": ("prediction, long texts", "texts"),
    "predict-one": ("prediction, one short text a call", "texts"),
    "pipeline": ("text in, predictions out: TREC-6", "texts"),
}
SPEED_SIZES = {"small": "128/384/3", "paper": "400/1152/3"}


def speed_runs() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """What was measured, in the table's order: what it is called, its unit, sizes, and numbers."""
    runs = {_results.key_of("speed", run): run for run in _results.read("speed")}
    for row, (described, unit) in SPEED_ROWS.items():
        for config, sizes in SPEED_SIZES.items():
            if (run := runs.get((row, config))) is not None:
                yield described, unit, "en-small" if row == "pipeline" else sizes, run


def speed_table() -> str:
    """Rates of ours and fastai's, row by row."""
    lines = [
        "| what | sizes | ours | fastai | ratio (lowest, highest) | of the floor: ours, fastai | "
        "memory: ours, fastai (ratio) |",
        "|---|---|---|---|---|---|---|",
    ]
    runs = list(speed_runs())
    for described, unit, sizes, run in runs:
        ours, theirs = run["ours"], run["fastai"]
        floor = "-"
        if "share_of_floor" in ours:
            floor = f"{ours['share_of_floor']:.2f}, {theirs['share_of_floor']:.2f}"
        lines.append(
            f"| {described} | {sizes} | "
            f"{ours['rate']:,.0f} {unit}/s | {theirs['rate']:,.0f} | "
            f"**{run['ratio']:.2f}** ({min(run['ratios']):.2f}, {max(run['ratios']):.2f}) | "
            f"{floor} | {ours['peak_mb']} MB, {theirs['peak_mb']} MB "
            f"({run['memory_ratio']:.2f}) |"
        )
    last = runs[-1][-1]
    machine = last["machine"]
    n_rounds = min(len(run["ours"]["rates"]) for *_, run in runs)
    lines.append(
        f"\nMedians of {n_rounds} rounds; {machine['threads']} CPU threads, "
        f"{machine['gpu'] or 'no GPU'}, torch {last['versions']['torch']}."
    )
    return "\n".join(lines)


def profile_table() -> str:
    """Where the time of the rows goes, for ours and fastai."""
    parts = {
        "lstm": "LSTM",
        "products": "other matrix products",
        "operators": "other operators of torch",
        "outside": "outside of torch",
    }
    lines = [
        f"| what | sizes | {' | '.join(parts.values())} |",
        "|---|---|" + "---|" * len(parts),
    ]
    for described, _, sizes, run in speed_runs():
        if profile := run.get("profile"):
            shares = [
                ", ".join(f"{100 * profile[side][part]:.0f}" for side in ("ours", "fastai"))
                for part in parts
            ]
            lines.append(f"| {described} | {sizes} | {' | '.join(shares)} |")
    lines.append("\nPercent of a round's time: ours, fastai.")
    return "\n".join(lines)


def levers_table() -> str:
    """What each choice of pretraining led to."""
    rows = [
        "| choice | what it changes | tokens | perplexity | TREC-6 error % | SST-2 error % |",
        "|---|---|---|---|---|---|",
    ]
    runs = _results.read("levers")
    for run in sorted(runs, key=lambda run: run["perplexity"]["per_word_unknown_charged"]):
        changed = ", ".join(f"{key}={value}" for key, value in run["changed"].items())
        perplexity = run["perplexity"]
        rows.append(
            f"| {run['choice']} | {changed or '-'} | {run['tokens'] / 1e6:.2f} M | "
            f"{perplexity['per_word']:.0f} ({perplexity['per_word_unknown_charged']:.0f}) | "
            f"{run['trec6']['error']:.1f} | {run['sst2']['error']:.1f} |"
        )
    return "\n".join(rows)


def choices_table() -> str:
    """Errors on texts held out, by what the search started from and by other choices."""
    errors: dict[tuple[str, int | None], dict[str, dict[int, float]]] = {}
    for run in _results.read("choices"):
        of_set = errors.setdefault((run["set"], run["labels"]), {})
        of_set.setdefault(run["choice"], {})[run["seed"]] = run["error"]
    heads = [f"{SETS[name]}, {n or 'all'} labels" for name, n in errors]
    rows = [f"| choice | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for choice, changed in CHOICES.items():
        cells = []
        for of_set in errors.values():
            base, own = (of_set.get(of, {}) for of in ("start", choice))
            if choice == "start" and own:
                cells.append(f"{mean_and_spread(list(own.values()))} ({len(own)} seeds)")
            elif differences := paired(own, base):
                cells.append(against(differences, "better"))
            else:
                cells.append("-")
        if set(cells) != {"-"}:
            described = ", ".join(f"`{key}={value}`" for key, value in changed.items())
            rows.append(f"| {described or 'start'} | {' | '.join(cells)} |")
    return "\n".join(rows)


def paper_runs() -> dict[tuple[str, int | None], dict[str, dict[int, float]]]:
    """Errors of the paper's rows by data set and labels, row and seed."""
    runs: dict[tuple[str, int | None], dict[str, dict[int, float]]] = {}
    for run in _results.read("paper"):
        rows = runs.setdefault((run["set"], run["labels"]), defaultdict(dict))
        rows[run["row"]][run["seed"]] = run["error"]
    return runs


def paper_tables() -> str:
    """Rows of the paper's tables, a table for each data set and number of labels."""
    tables = [paper_table(name, n_labels, rows) for (name, n_labels), rows in paper_runs().items()]
    return "\n\n".join(tables)


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
    shown = {key: row for key, row in ROWS.items() if key in rows}
    means = with_best([list(rows[key].values()) for key in shown])
    table = ""
    for (key, row), mean in zip(shown.items(), means, strict=True):
        if row.table != table:
            table = row.table
            lines.append(f"| *{table}* | | | | |")
        errors = rows[key]
        paper = "-"
        if of_paper is not None and row.paper is not None:
            paper = f"{row.paper[of_paper]:.2f}"
        differences = [] if key == "method" else paired(errors, method)
        beside = against(differences, "worse") if differences else "-"
        lines.append(f"| {row.name} | {paper} | {mean} | {len(errors)} | {beside} |")
    return "\n".join(lines)


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
        f"- {SETS[name]}, {NAMES[model]}: language model {start} on {first['n_train']} "
        f"training texts, {lm['max_epochs']} epochs, then the classifier, {clf['max_epochs']} "
        f"epochs, `{clf['unfreeze_schedule']}`.\n"
        f"  Training loss of the language model {ends['lm'][0]:.2f} → {ends['lm'][1]:.2f}, of the "
        f"classifier {ends['clf'][0]:.2f} → {ends['clf'][1]:.2f} (seed {first['seed']}); test "
        f"perplexity {mean_and_spread([run['test_perplexity'] for run in runs])}, test error "
        f"{mean_and_spread([run['error'] for run in runs])} %.\n"
    )
