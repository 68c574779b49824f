"""
Language models of fastai
=========================

fastai's models of WikiText-103, and what its ``learn.save(..., with_opt=False)`` wrote, can be the
start of fine-tuning: two files, weights and vocabulary. The published ones are an archive of these:
``curl -O https://s3.amazonaws.com/fast-ai-modelzoo/wt103-fwd.tgz`` and ``tar -xf wt103-fwd.tgz``.

This page is built without a network. So it makes a file in fastai's format itself, from a small
language model that it trains: the layout is the published one, the weights are not.
"""

# %%
# A file as fastai writes it
# --------------------------
# A language model of 2,500 questions of bank customers (banking77), trained in seconds.

import matplotlib.pyplot as plt
import torch

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.datasets import load_banking77

texts = load_banking77().data[::4]
small = ULMFiTLanguageModel(
    pretrained=None, emb_size=48, hidden_size=96, n_layers=3, max_epochs=8, random_state=0
)
small.fit(texts)

# %%
# fastai's file of weights holds a dictionary of tensors, with these names. The embedding is there
# three times, because it is the softmax too and because of the dropout around it. The vocabulary is
# a pickled list beside it. In such a list the special tokens come in another order than ours;
# words are matched by their spelling, never by their place.

import pickle
import tempfile
from pathlib import Path

weights = {
    name: torch.from_numpy(array.copy())
    for name, array in small.trained_.weights["forward"].items()
}
state = {
    "0.encoder.weight": weights["encoder.embedding"],
    "0.encoder_dp.emb.weight": weights["encoder.embedding"],
    "1.decoder.weight": weights["encoder.embedding"],
    "1.decoder.bias": weights["bias"],
}
for layer in range(3):
    ours = f"encoder.layers.{layer}"
    state[f"0.rnns.{layer}.weight_hh_l0_raw"] = weights[f"{ours}.weight_hh"]
    for part in ("weight_ih", "bias_ih", "bias_hh"):
        state[f"0.rnns.{layer}.module.{part}_l0"] = weights[f"{ours}.{part}"]

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "bank-fwd.pth"
torch.save(state, path)
path.with_suffix(".pkl").write_bytes(pickle.dumps(list(small.vocab_)))

for name, tensor in state.items():
    print(f"{name:36} {tuple(tensor.shape)}")

# %%
# Reading it
# ----------
# The path of the weights is enough; the vocabulary is found beside them. All sizes are read off the
# shapes. Pickles can be made to run code when they are read: here they cannot, what is no plain
# tensor or list of words is refused.

imported = ULMFiTLanguageModel(str(path), max_epochs=0).fit(texts)
held_out = load_banking77(subset="test").data[::10]
print("layers:", imported.trained_.n_layers, "hidden units:", imported.trained_.hidden_size)
print(f"perplexity of {len(held_out)} texts before: {small.perplexity(held_out):.4f}")
print(f"perplexity of {len(held_out)} texts after:  {imported.perplexity(held_out):.4f}")

# %%
# New words
# ---------
# Fine-tuning adds words of the new texts that the model lacks. Each begins with the mean of all
# embeddings; known words begin where pretraining left them.

task = load_banking77(categories=["atm_support", "card_swallowed", "exchange_rate", "age_limit"])
texts, test_texts = task.data[::8], task.data[1::4]
labels, test_labels = task.target[::8], task.target[1::4]

tuned = ULMFiTLanguageModel(str(path), max_epochs=3, random_state=0).fit(texts)
new = sorted(set(tuned.vocab_) - set(imported.vocab_))
print("new words:", ", ".join(new))

# %%
# A start from a file
# -------------------
# To a classifier the file is a language model like any other. Beside it, a classifier of the same
# size from random weights, on the same texts: every eighth question of four intents.

sizes = {"emb_size": 48, "hidden_size": 96, "n_layers": 3}
starts = {
    "from the file": ULMFiTLanguageModel(str(path), max_epochs=3, random_state=0),
    "from random weights": ULMFiTLanguageModel(None, max_epochs=0, **sizes, random_state=0),
}
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (name, lm), style in zip(starts.items(), ["o-", "s--"], strict=True):
    clf = ULMFiTClassifier(lm, max_epochs=12, random_state=0).fit(texts, labels)
    losses = [epoch["train_loss"] for epoch in clf.history_]
    ax.plot(range(1, len(losses) + 1), losses, style, label=name)
    print(f"{name:20} test error {100 * (1 - clf.score(test_texts, test_labels)):.1f} %")
ax.set(xlabel="Epoch", ylabel="Training loss (nats per text)", ylim=(0, None))
ax.grid(alpha=0.3)
ax.legend(frameon=False)
plt.show()

folder.cleanup()
