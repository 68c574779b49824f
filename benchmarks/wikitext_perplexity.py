"""Perplexity per WikiText word of a language model, comparable between tokenizers.

    python benchmarks/wikitext_perplexity.py CORPORA/wikitext103/wt103.test.tokens

`--write` makes them a line of benchmarks/results/wikitext.jsonl, of which the model's card is made.

The total negative log-likelihood of all tokens is divided by the number of WikiText's words, line
ends not counted, whatever the tokenizer makes of them. WikiText's own marks are undone first.

A model of words predicts that an unknown word comes, not which one. The second figure charges
every word that is unknown to the model, but not to WikiText, as if it had then been guessed among
a million.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from pathlib import Path

import _results
import torch

from sk_ulmfit.models import TrainedLanguageModel
from sk_ulmfit.models.inference import negative_log_likelihood
from sk_ulmfit.pretrained import load_pretrained
from sk_ulmfit.text.token_lists import TokenLists
from sk_ulmfit.training.devices import resolve_device

_ARTICLE = re.compile(r"^ = (?!=).*(?<!=) = $", re.MULTILINE)
_HEADING = re.compile(r"^ (?:= )+(.*?)(?: =)+ $", re.MULTILINE)
OTHER_WORDS = 1_000_000


def articles(text: str) -> list[str]:
    """Cut a WikiText file into articles, without the marks of headings."""
    starts = [match.start() for match in _ARTICLE.finditer(text)] or [0]
    cut = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [_HEADING.sub(r"\1", article) for article in cut]


def wikitext_perplexity(
    model: TrainedLanguageModel, text: str, device: torch.device, bptt: int = 70
) -> dict[str, dict[str, float]]:
    """Perplexities per word of `text`, by direction.

    Parameters
    ----------
    model : TrainedLanguageModel
    text : str
        A WikiText file.
    device : torch.device
    bptt : int

    Returns
    -------
    dict of str to dict
    """
    vocab = model.tokenizer.vocab
    documents = TokenLists(*model.tokenizer.encode(articles(text)))
    n_words = len(re.sub(r"^ (?:= )+(.*?)(?: =)+ $", r"\1", text, flags=re.MULTILINE).split())
    n_unknown = int((documents.ids == vocab.unk_id).sum()) - text.split().count("<unk>")
    results = {}
    for direction in model.directions:
        nll, n_tokens = negative_log_likelihood(
            model.module(direction).to(device),
            documents,
            device,
            eos_id=vocab.bos_id,
            backward=direction == "backward",
            bptt=bptt,
        )
        charged = nll + max(n_unknown, 0) * math.log(OTHER_WORDS)
        results[direction] = {
            "per_word": round(math.exp(nll / n_words), 2),
            "per_word_unknown_charged": round(math.exp(charged / n_words), 2),
            "per_token": round(math.exp(nll / n_tokens), 2),
            "words": n_words,
            "tokens": n_tokens,
            "unknown_words": n_unknown,
        }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a WikiText file, such as wt103.test.tokens")
    parser.add_argument("--model", default="en-small", help="name or directory")
    parser.add_argument("--direction", choices=["forward", "backward"], default="forward")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--write", action="store_true", help="among the results too")
    args = parser.parse_args()
    model = load_pretrained(args.model, (args.direction,))
    text = args.file.read_text(encoding="utf-8")
    figures = wikitext_perplexity(model, text, resolve_device(args.device))[args.direction]
    figures = {"file": args.file.name, "model": args.model, "direction": args.direction, **figures}
    print(json.dumps(figures, indent=1))
    if args.write:
        _results.write("wikitext", figures)


if __name__ == "__main__":
    main()
