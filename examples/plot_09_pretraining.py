"""
A language model of your own corpus
===================================

Stage 1 from scratch: where no pretrained model speaks your language or that of your field, train
one on your own texts. Here the corpus is tiny, to be quick, but the steps are those of a large one.
"""

# %%
# The corpus
# ----------
# 3,000 questions of bank customers (banking77), without their labels: about 45,000 tokens. A
# corpus that is worth it has a thousand times as much; ``fit`` takes files that are larger than
# memory just as well.

import matplotlib.pyplot as plt
import numpy as np

from sk_ulmfit.datasets import load_banking77

rng = np.random.default_rng(0)
corpus = list(rng.permutation(load_banking77().data)[:3000])
held_out = list(rng.permutation(load_banking77(subset="test").data)[:300])

# %%
# Training
# --------
# ``pretrained=None`` starts from random weights, so the sizes are ours to choose: small ones.
# ``early_stopping=True`` sets texts aside and goes back to the epoch that knew these best.

from sk_ulmfit import ULMFiTLanguageModel

lm = ULMFiTLanguageModel(
    pretrained=None,
    emb_size=64,
    hidden_size=128,
    n_layers=2,
    max_epochs=8,
    dropout_mult=0.5,
    early_stopping=True,
    random_state=0,
)
lm.fit(corpus)
print(len(lm.vocab_), "words, with the most frequent ones:", " ".join(lm.vocab_[10:25]))

# %%
# The perplexity is the exponential of the loss on texts set aside: among how many words, equally
# likely, the model hesitates at every word.

perplexity = np.exp([epoch["valid_loss"] for epoch in lm.history_])
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.plot(range(1, len(perplexity) + 1), perplexity, "o-", color="#0072B2")
ax.set(xlabel="Epoch", ylabel="Perplexity of texts set aside", yscale="log")
ticks = [20, 30, 40, 60, 80]
ax.set_yticks(ticks, [str(tick) for tick in ticks])
ax.minorticks_off()
ax.grid(alpha=0.3)
plt.show()

# %%
print(f"perplexity of 300 texts that it has never seen: {lm.perplexity(held_out):.1f}")

# %%
# What it has learned
# -------------------
# ``generate`` writes on. Low temperatures take likely words, high ones dare more.

for temperature in (0.3, 0.7, 1.0):
    text = lm.generate("I want to", max_tokens=15, temperature=temperature, random_state=0)
    print(f"{temperature}  {text}")

# %%
# Save it, and use it
# -------------------
# A saved model is a directory of safetensors and JSON; loading it runs no code. Its path stands
# wherever ``"en-small"`` stands by default.

import tempfile
from pathlib import Path

import sk_ulmfit
from sk_ulmfit import ULMFiTClassifier

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "bank"
    lm.save(path)
    for file in sorted(path.iterdir()):
        print(f"{file.name}: {file.stat().st_size:,} bytes")
    loaded = sk_ulmfit.load(path)
    print(loaded.perplexity(held_out) == lm.perplexity(held_out))

    task = load_banking77(categories=["pin_blocked", "change_pin", "lost_or_stolen_card"])
    clf = ULMFiTClassifier(
        ULMFiTLanguageModel(str(path), max_epochs=0), max_epochs=4, random_state=0
    )
    clf.fit(task.data[::3], task.target[::3])
    print(f"accuracy on the rest: {clf.score(task.data[1::3], task.target[1::3]):.3f}")

# %%
# The choice of a tokenizer
# -------------------------
# "word" splits at words and marks; rare words (here: seen once) become ``xxunk``. "subword" learns
# pieces of words from the corpus, and knows no unknown words: for languages that inflect and
# compound, and for misspelled texts. A function of your own is possible too.
#
# Perplexities per token do not compare between tokenizers, because tokens are not the same. Bits
# per character do, with one reservation: an ``xxunk`` stands for a word that nobody needs to spell,
# so the model of words has it easier.

for tokenizer in ("word", "subword"):
    model = ULMFiTLanguageModel(
        pretrained=None,
        tokenizer=tokenizer,
        max_vocab=2000,
        emb_size=64,
        hidden_size=128,
        max_epochs=5,
        dropout_mult=0.5,
        random_state=0,
    )
    model.fit(corpus)
    ids = model.transform(held_out).tokens.ids
    n_characters = sum(map(len, held_out))
    bits = -model.score(held_out) * len(ids) / n_characters / np.log(2)
    unknown = np.mean(ids == model.vocab_.index("xxunk"))
    print(
        f"{tokenizer:8} {len(model.vocab_)} in the vocabulary, {len(ids) / 300:.1f} tokens a text, "
        f"{100 * unknown:.1f} % unknown, perplexity {model.perplexity(held_out):.0f}, "
        f"{bits:.2f} bits a character"
    )
