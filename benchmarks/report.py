"""Make docs/results.md, its figures, and the tables of other pages, of benchmarks/results/.

python benchmarks/report.py            # write the pages
python benchmarks/report.py --check    # fail if a page is not what the results give
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import _results
from _figures import FIGURES, draw_figure, in_step
from _summary import in_short
from _tables import (
    Groups,
    calibration_table,
    card,
    choices_table,
    deletion_table,
    full_table,
    headline_table,
    levers_table,
    low_shot_table,
    paper_tables,
    peer_table,
    profile_table,
    read_results,
    search_table,
    served_mixed,
    service_table,
    serving_table,
    speed_table,
    worth_table,
)

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"
MODEL = ROOT / "sk_ulmfit" / "pretrained" / "en-small"
MARKS = "<!-- results: made by benchmarks/report.py -->", "<!-- end of results -->"
TEMPLATE = ROOT / "benchmarks" / "results.md"


def page(groups: Groups) -> str:
    """The whole page: the text of benchmarks/results.md with its tables put in."""
    full = {key: runs for key, runs in groups.items() if key[2] is None}
    few = list(dict.fromkeys(key[0] for key in groups if key[2]))
    cards = [card(key[0], key[1], runs) for key, runs in full.items() if "losses" in runs[0]]
    values = {
        "short": in_short(groups),
        "full": full_table(full),
        "few": "\n\n".join(low_shot_table(groups, name) for name in few),
        "worth": worth_table(groups),
        "peer": peer_table(groups),
        "paper": paper_tables(),
        "calibration": calibration_table(),
        "deletion": deletion_table(),
        "search": search_table(),
        "serving": serving_table(),
        "mixed": served_mixed(),
        "service": service_table(),
        "speed": speed_table(),
        "profile": profile_table(),
        "levers": levers_table(),
        "choices": choices_table(),
        "cards": "".join(cards),
    }
    text = TEMPLATE.read_text()
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def readme(groups: Groups) -> str:
    """The README with its block of results made anew."""
    block = f"{MARKS[0]}\n{headline_table(groups)}\n{MARKS[1]}"
    pattern = f"{re.escape(MARKS[0])}.*{re.escape(MARKS[1])}"
    return re.sub(pattern, lambda _: block, README.read_text(), flags=re.DOTALL)


def card_of_model() -> str:
    """The card of en-small."""
    rows = [
        "| direction | tokens trained on | perplexity | unknown charged | per token | on disk |",
        "|---|---|---|---|---|---|",
    ]
    perplexities = {run["direction"]: run for run in _results.read("wikitext")}
    for direction in ("forward", "backward"):
        folder = MODEL / direction
        model = json.loads((folder / "model.json").read_text())
        tokens = sum(sitting["tokens"] for sitting in model["training"])
        figures = perplexities[direction]
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
        "vectors_share": first["vectors_share"],
        "sittings": sittings_table(sittings),
        **taught(),
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def taught() -> dict[str, str]:
    """What the card says of the teacher."""
    folder = MODEL / "sentences"
    training = json.loads((folder / "model.json").read_text())["training"]
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {
        "teacher": training["teacher"],
        "taught_texts": f"{training['texts']:,}",
        "taught_words": f"{training['words']:,}",
        "everyday": f"{training['everyday_share']:.0%}",
        "sentence_size": str(training["size"]),
        "lexicon": f"{training['lexicon']:,}",
        "lexicon_reads": f"{training['lexicon_readings'] / 1e6:.1f} million",
        "taught_reads": f"{training['readings'] / 1e6:.1f} million",
        "wide_reads": f"{training['wide_readings'] / 1e6:.1f} million",
        "taught_lr": str(training["lr"]),
        "taught_batch": str(training["batch_size"]),
        "backward_texts": f"{training['backward_texts']:,}",
        "agreement": f"{training['agreement']:.3f}",
        "agreement_size": str(training["agreement_size"]),
        "agreement_of_pools": f"{training['agreement_of_pools']:.3f}",
        "left_out": str(training["left_out"]),
        **{f"{what}_minutes": str(n) for what, n in training["cpu_minutes"].items()},
        "sentence_size_on_disk": f"{size / 1e6:.1f} MB",
    }


def sittings_table(sittings: list[dict[str, Any]]) -> str:
    """How a direction was trained, a row for each time that its training was taken up."""
    rows = [
        "| tokens | on | rate | batch | samples of the softmax | dropout times |",
        "|---|---|---|---|---|---|",
    ]
    for sitting in sittings:
        rows.append(
            f"| {sitting['tokens'] / 1e6:.1f} M | {sitting['device']} | {sitting['lr']} | "
            f"{sitting['batch_size']} x 70 | {sitting['softmax_samples']} | "
            f"{sitting['dropout_mult']} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Write or check the pages and figures."""
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
    for name in FIGURES:
        if not check:
            draw_figure(name, groups)
        elif not in_step(name, groups):
            sys.exit(f"The figure {name} is not what the results give: run benchmarks/report.py")
    print(
        "docs/results.md, its figures, README.md and the model's card are in step with the results."
    )


if __name__ == "__main__":
    main()
