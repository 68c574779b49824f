"""
Imbalanced classes
==================

The class that matters most is often the one with the fewest texts. A classifier may look good and
miss it. Weights make it count, and metrics that look at every class tell whether they did.
"""

# %%
# The texts
# ---------
# Of banking77, 80 questions each of three everyday intents and six questions of an urgent one:
# "compromised_card". Everybody hopes that it stays rare.

import textwrap

import matplotlib.pyplot as plt
import numpy as np

from sk_ulmfit.datasets import load_banking77

counts = {
    "card_not_working": 80,
    "card_payment_not_recognised": 80,
    "cash_withdrawal_not_recognised": 80,
    "compromised_card": 6,
}
rare = "compromised_card"
train = load_banking77(categories=list(counts))
test = load_banking77(subset="test", categories=list(counts))
names = np.array(train.target_names)

rng = np.random.default_rng(0)
rows = np.concatenate(
    [
        rng.choice(np.flatnonzero(names[train.target] == name), size, replace=False)
        for name, size in counts.items()
    ]
)
texts = [train.data[row] for row in rows]
labels = names[train.target[rows]]
test_labels = names[test.target]

# %%
# One language model for all
# --------------------------
# Weights concern stage 3 only, so there is one language model, and the texts are encoded for it
# once.

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel

lm = ULMFiTLanguageModel(random_state=0).fit(texts)
documents, test_documents = lm.transform(texts), lm.transform(test.data)

# %%
# Three ways to weigh
# -------------------
# ``class_weight="balanced"`` gives every class the same sum of weights in the loss.
# ``sample_weight`` weighs each text: here by what a mistake costs, say five times as much for a
# compromised card as for other questions.

cost = np.where(labels == rare, 5.0, 1.0)
settings = {
    "no weights": ({}, None),
    "class_weight='balanced'": ({"class_weight": "balanced"}, None),
    "sample_weight=cost": ({}, cost),
}
predictions = {}
for name, (params, sample_weight) in settings.items():
    clf = ULMFiTClassifier(random_state=0, **params)
    clf.fit(documents, labels, sample_weight=sample_weight)
    predictions[name] = clf.predict(test_documents)

# %%
# Metrics that tell
# -----------------
# The test set has 40 questions of every class, so that the recall of the rare one is measured well.
# For an accuracy as it would be in daily business, test texts are weighed by how frequent their
# class was in training: there the rare class has a share of 2 %, and ignoring it altogether costs
# 2 points. The balanced accuracy is the mean of the recalls, and shows it.

from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score

daily = np.array([counts[label] for label in test_labels])
print(f"{'':26}{'accuracy':>10}{'balanced':>10}{'recall of ' + rare:>28}")
recalls = {}
for name, predicted in predictions.items():
    recalls[name] = recall_score(test_labels, predicted, labels=names, average=None)
    print(
        f"{name:26}"
        f"{accuracy_score(test_labels, predicted, sample_weight=daily):10.3f}"
        f"{balanced_accuracy_score(test_labels, predicted):10.3f}"
        f"{recalls[name][names == rare].item():28.3f}"
    )

# %%
figure, ax = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
positions = np.arange(len(names))
for k, (name, color) in enumerate(zip(recalls, ["#56B4E9", "#E69F00", "#009E73"], strict=True)):
    bars = ax.bar(positions + 0.27 * (k - 1), recalls[name], width=0.25, color=color, label=name)
    ax.bar_label(bars, fmt="%.2f", fontsize="small", padding=1)
words = [textwrap.fill(name.replace("_", " "), width=18) for name in names]
ax.set_xticks(positions, [f"{words[i]}\n({counts[name]} texts)" for i, name in enumerate(names)])
ax.set(ylabel="Recall", ylim=(0, 1.1))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(loc="upper left", bbox_to_anchor=(0, 1.2), ncols=3, frameon=False)
plt.show()

# %%
# Weights move mistakes from one class to another; they add no information. With six examples the
# rare class stays the hardest, and some more labels of it would help more than any weight. In a
# Pipeline the weights of texts are passed by the step's name: ``pipe.fit(texts, labels,
# clf__sample_weight=cost)``.
