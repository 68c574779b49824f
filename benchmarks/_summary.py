"""What the page of results says, in one table."""

from __future__ import annotations

import numpy as np
from _tables import DEFAULT, NAMES, SPACE, Groups, errors_of, on_cpu

BESIDE = ["tfidf", "fasttext", "minilm", "features"]
# Numbers of labels that are told together, and how.
AMOUNTS = {
    "fewer than 500 labels": range(1, 500),
    "500 and more": range(500, 1_000_000),
    "all": [None],
}


def in_short(groups: Groups) -> str:
    """Where the default has a lower error than each of the others, and how long a fit takes."""
    rows = [
        "| `ULMFiTClassifier()` beside | " + " | ".join(AMOUNTS) + " |",
        "|---" * (1 + len(AMOUNTS)) + "|",
    ]
    for other in BESIDE:
        cells = [won(groups, other, amount) for amount in AMOUNTS.values()]
        rows.append(f"| {NAMES[other]} | " + " | ".join(cells) + " |")
    for model, name in ((DEFAULT, "its own"), ("tfidf", "TF-IDF's")):
        times = [seconds(groups, model, amount) for amount in AMOUNTS.values()]
        rows.append(f"| seconds of {name} fit on a CPU | " + " | ".join(times) + " |")
    return "\n".join(rows)


def won(groups: Groups, other: str, amount: range | list[None]) -> str:
    """In how many cases the default has the lower mean error, and by how much."""
    gains = [
        np.mean(errors_of(groups[name, other, n])) - np.mean(errors_of(groups[name, DEFAULT, n]))
        for name, n in cases(groups, amount)
        if (name, other, n) in groups
    ]
    if not gains:
        return "-"
    ahead = f"{sum(gain > 0 for gain in gains)} of {len(gains)}".replace(" ", SPACE)
    return f"{ahead}, {np.median(gains):+.1f}"


def seconds(groups: Groups, model: str, amount: range | list[None]) -> str:
    """Shortest and longest median time of a fit on a CPU."""
    found = [
        [run["fit_seconds"] for run in groups.get((name, model, n), []) if on_cpu(run)]
        for name, n in cases(groups, amount)
    ]
    medians = sorted(float(np.median(times)) for times in found if times)
    return f"{medians[0]:.1f} to {medians[-1]:.1f}".replace(" ", SPACE) if medians else "-"


def cases(groups: Groups, amount: range | list[None]) -> list[tuple[str, int | None]]:
    """Data sets and numbers of labels that the default was measured with."""
    return [(name, n) for (name, model, n) in groups if model == DEFAULT and n in amount]
