"""Figures of results, as SVG files that carry the numbers they were drawn from.

So whether a figure is in step with the results can be told without drawing it again, which another
version of matplotlib would do a little differently.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _results
import numpy as np
from _tables import BESIDE, DEFAULT, PAPER_SETS, SETS, Groups, on_cpu, paper_runs
from paper import METHOD, ROWS

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "figures"

N_COLUMNS = 2  # panels side by side

# Colours that are told apart by the colour-blind too (Okabe and Ito).
STYLES = {
    "tfidf": ("TF-IDF + LogisticRegression", "#999999", "--", "s"),
    "fasttext": ("fastText", "#E69F00", "--", "^"),
    "minilm": ("frozen MiniLM + LogisticRegression", "#56B4E9", "--", "D"),
    "scratch": ("from scratch", "#000000", "-", "x"),
    "scratch-concat": ("from scratch, the paper's pooling", "#CC79A7", "-", "+"),
    "en-small": ("ULMFiT by default", "#D55E00", "-", "o"),
    "en-small-plain": ("ULMFiT, the paper's techniques alone", "#0072B2", "-", "P"),
    "en-small-plain-semi": ("the same, also texts without labels", "#009E73", "-", "v"),
}


def low_shot_numbers(groups: Groups) -> dict[str, Any]:
    """Labels, means and standard deviations by data set and model, where there are curves."""
    curves: dict[str, Any] = {}
    for (name, model, n_labels), runs in groups.items():
        if model in STYLES:
            errors = [run["error"] for run in runs]
            spread = float(np.std(errors, ddof=1)) if len(errors) > 1 else 0.0
            point = [runs[0]["n_train"], round(float(np.mean(errors)), 3), round(spread, 3)]
            if n_labels or name == "trec6":
                curves.setdefault(name, {}).setdefault(model, []).append(point)
    return {
        name: {model: sorted(points) for model, points in models.items()}
        for name, models in curves.items()
        if max((len(models[model]) for model in models if model.startswith("en-")), default=0) > 1
    }


def draw_low_shot(numbers: dict[str, Any], axes: Any) -> None:
    """Error against labels (as figure 3 of the paper)."""
    for ax, (name, models) in zip(axes, numbers.items(), strict=True):
        for model in STYLES:
            if model not in models:
                continue
            label, colour, line, marker = STYLES[model]
            labels, means, spreads = np.array(models[model]).T
            ax.plot(labels, means, line, color=colour, marker=marker, ms=4, label=label)
            if len(labels) == 1:
                ax.errorbar(labels, means, spreads, color=colour, alpha=0.4)
            ax.fill_between(
                labels, means - spreads, means + spreads, color=colour, alpha=0.12, lw=0
            )
        ticks = sorted({point[0] for points in models.values() for point in points})
        ax.set_xscale("log")
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        ax.set(title=SETS[name], xlabel="labelled texts", ylim=(0, None))
        ax.grid(alpha=0.3)
    for ax in axes[::N_COLUMNS]:
        ax.set_ylabel("test error, %")
    handles = {}
    for ax in axes:
        lines, names = ax.get_legend_handles_labels()
        handles.update(zip(names, lines, strict=True))
    axes[0].figure.legend(
        handles.values(), handles,
        loc="outside lower center", ncols=3, frameon=False, fontsize="small",
    )  # fmt: skip


def headline_numbers(groups: Groups) -> dict[str, Any]:
    """Labels, mean error and median seconds on a CPU by data set and model, for the README."""
    curves: dict[str, Any] = {}
    for (name, model, n_labels), runs in groups.items():
        runs = [run for run in runs if on_cpu(run)]
        if n_labels and runs and model in (DEFAULT, *BESIDE):
            error = float(np.mean([run["error"] for run in runs]))
            seconds = float(np.median([run["fit_seconds"] for run in runs]))
            point = [n_labels, round(error, 2), round(seconds, 1)]
            curves.setdefault(name, {}).setdefault(model, []).append(point)
    return {
        name: curves[name] for name in ("trec6", "banking77") if DEFAULT in curves.get(name, {})
    }


def draw_headline(numbers: dict[str, Any], axes: Any) -> None:
    """Error against labels of what one would try first, with the seconds that a fit takes."""
    compared = {name: {n for n, *_ in models[DEFAULT]} for name, models in numbers.items()}
    took: dict[str, list[float]] = {}
    for name, models in numbers.items():
        for model, points in models.items():
            took.setdefault(model, []).extend(s for n, _, s in points if n in compared[name])
    for ax, (name, models) in zip(axes, numbers.items(), strict=True):
        for model in (*BESIDE, DEFAULT):
            points = [point for point in sorted(models[model]) if point[0] in compared[name]]
            label, colour, line, marker = STYLES[model]
            labels, errors, _ = np.array(points).T
            label += f"\n{min(took[model]):.2g} to {max(took[model]):.0f} s a fit"
            ax.plot(labels, errors, line, color=colour, marker=marker, ms=6, lw=2, label=label)
        ax.set_xscale("log")
        ax.set_xticks(sorted(compared[name]), [f"{n:,}" for n in sorted(compared[name])])
        ax.minorticks_off()
        ax.margins(x=0.08)
        ax.set(title=SETS[name], xlabel="labelled texts", ylim=(0, None))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("test error, %")
    handles, names = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(
        handles[::-1], names[::-1],
        loc="outside lower center", ncols=3, frameon=False, fontsize="small",
    )  # fmt: skip


def ablation_numbers(groups: Groups) -> dict[str, Any]:
    """Differences to the full method, seed by seed, beside the paper's."""
    numbers: dict[str, Any] = {}
    for (name, n_labels), rows in paper_runs().items():
        method = rows.get("method", {})
        if name not in PAPER_SETS:
            continue
        title = f"{SETS[name]}, {n_labels or 'all'} labels"
        for key, row in ROWS.items():
            common = sorted(rows.get(key, {}).keys() & method.keys())
            if key == "method" or len(common) < 2:
                continue
            differences = [round(rows[key][seed] - method[seed], 3) for seed in common]
            of_paper = None
            if row.paper is not None:
                column = PAPER_SETS[name]
                of_paper = round(row.paper[column] - ROWS["method"].paper[column], 3)
            stage = row.table.removeprefix("Fine-tuning of the ")
            described = row.name if row.table == METHOD else f"{stage}: {row.name}"
            numbers.setdefault(title, {})[described] = [differences, of_paper]
    return numbers


def draw_ablation(numbers: dict[str, Any], axes: Any) -> None:
    """A row for each way of training, to the right of zero where it is worse."""
    for ax, (title, rows) in zip(axes, numbers.items(), strict=True):
        for y, (differences, of_paper) in enumerate(rows.values()):
            ax.plot(differences, [y] * len(differences), "o", color="#D55E00", alpha=0.35, ms=4)
            ax.plot(np.mean(differences), y, "|", color="#D55E00", ms=14, mew=3)
            if of_paper is not None:
                ax.plot(of_paper, y, "D", color="#0072B2", mfc="none", ms=5)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.invert_yaxis()
        ax.axvline(0, color="black", lw=0.8)
        ax.set(title=title, xlabel="error minus that of the full method, percentage points")
        ax.grid(axis="x", alpha=0.3)
        ax.plot([], [], "o", color="#D55E00", alpha=0.35, ms=4, label="a seed")
        ax.plot([], [], "|", color="#D55E00", ms=14, mew=3, label="mean")
        ax.plot([], [], "D", color="#0072B2", mfc="none", ms=5, label="paper, all labels")
        ax.legend(fontsize="small")


def calibration_numbers(groups: Groups) -> dict[str, Any]:
    """Bins of the reliability diagrams, before and after temperature scaling."""
    return {
        f"{SETS[run['set']]}, {run['labels'] or 'all'} labels": {
            side: run[side]["bins"] for side in ("before", "after")
        }
        for run in _results.read("calibration")
    }


def draw_calibration(numbers: dict[str, Any], axes: Any) -> None:
    """How often predictions are right against how sure they are."""
    for ax, (title, sides) in zip(axes, numbers.items(), strict=True):
        ax.plot([0, 1], [0, 1], ":", color="black", lw=1, label="as sure as right")
        for side, colour, marker in (("before", "#999999", "s"), ("after", "#D55E00", "o")):
            sure, right, counts = np.array(sides[side]).T
            ax.plot(sure, right, color=colour, lw=1.2, label=f"{side} scaling")
            ax.scatter(sure, right, s=10 + 200 * counts / counts.sum(), color=colour, marker=marker)
        ax.set(
            title=title, xlabel="probability of the predicted class", xlim=(0, 1), ylim=(0, 1.03)
        )
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small", loc="upper left")
    for ax in axes[::N_COLUMNS]:
        ax.set_ylabel("share of right predictions")


# What to draw, by whom, and how large a panel is.
FIGURES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[float, float]]] = {
    "headline": (headline_numbers, draw_headline, (4.2, 3.6)),
    "low-shot": (low_shot_numbers, draw_low_shot, (4.6, 3.6)),
    "ablations": (ablation_numbers, draw_ablation, (8.8, 5.0)),
    "calibration": (calibration_numbers, draw_calibration, (4.4, 4.0)),
}


def draw_figure(name: str, groups: Groups, folder: Path = FOLDER) -> None:
    """Draw a figure, unless there is nothing to draw."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    numbers_of, draw, (width, height) = FIGURES[name]
    numbers = numbers_of(groups)
    if not numbers:
        return
    n_columns = min(N_COLUMNS, len(numbers))
    n_rows = -(-len(numbers) // n_columns)
    figure = Figure(figsize=(width * n_columns, height * n_rows), layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for empty in panels[len(numbers) :]:
        empty.remove()
    draw(numbers, panels[: len(numbers)])
    folder.mkdir(exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": name}):
        described = {"Date": None, "Description": json.dumps(numbers)}
        figure.savefig(folder / f"{name}.svg", metadata=described)


def in_step(name: str, groups: Groups, folder: Path = FOLDER) -> bool:
    """Tell whether a figure shows what the results are."""
    from xml.etree import ElementTree

    numbers = FIGURES[name][0](groups)
    file = folder / f"{name}.svg"
    if not numbers:
        return not file.exists()
    if not file.exists():
        return False
    described = ElementTree.parse(file).find(".//{http://purl.org/dc/elements/1.1/}description")
    return described is not None and json.loads(described.text or "{}") == numbers
