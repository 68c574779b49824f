"""
Which words speak for a class
=============================

:func:`~sk_ulmfit.explain` tells how much every word of a text adds to the log-odds of a class, by
reading the text without some of its words. It shows the text in colour in notebooks and in
terminals.
"""

# %%
# A classifier
# ------------
# Five intents of banking77, 30 questions of each; few epochs, to be quick.

import numpy as np
from sklearn.model_selection import train_test_split

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, explain
from sk_ulmfit.datasets import load_banking77

intents = [
    "card_arrival",
    "card_not_working",
    "change_pin",
    "lost_or_stolen_card",
    "pin_blocked",
]
train = load_banking77(categories=intents)
test = load_banking77(subset="test", categories=intents)
names = np.array(train.target_names)
texts, _, target, _ = train_test_split(
    train.data, train.target, train_size=150, stratify=train.target, random_state=0
)
clf = ULMFiTClassifier(
    ULMFiTLanguageModel(max_epochs=5, random_state=0), max_epochs=10, random_state=0
)
clf.fit(texts, names[target])
print(f"test error: {100 * (1 - clf.score(test.data, names[test.target])):.1f} %")

# %%
# One text
# --------
# Without a target, the predicted class is explained. In a notebook, and on this page, the
# explanation shows itself as HTML: blue speaks for the class, red against it.

question = "my new card has not arrived, was it lost in the mail?"
[explanation] = explain(clf, [question])
explanation

# %%
# In a terminal, ``print`` lists the words that count most, and ``to_text(color=True)`` colours the
# text as well. The numbers are in nats: by how much the log-odds fall without the word. Behind
# ``±`` is how far their sums are from what the classifier says when words are left out.

print(explanation)

# %%
# For a table or a figure of your own, ``words()`` has each word with its place in the text:

for word in explanation.words()[:4]:
    print(word)

# %%
# A mistake
# ---------
# The test text that is wrong with the highest probability. Explained are two classes, the true one
# and the one that was predicted instead.

proba = clf.predict_proba(test.data)
predicted, true = clf.classes_[proba.argmax(axis=1)], names[test.target]
wrong = np.flatnonzero(predicted != true)
worst = wrong[proba[wrong].max(axis=1).argmax()]
for_predicted, for_true = explain(
    clf, [test.data[worst]] * 2, target=[predicted[worst], true[worst]]
)
for_predicted

# %%
for_true

# %%
# All classes at once
# -------------------
# Every row is the explanation of one class. What speaks for one class speaks against others.

import matplotlib.pyplot as plt

rows = explain(clf, [question] * len(clf.classes_), target=list(clf.classes_))
words = [word.text for word in rows[0].words() if word.span]
table = np.array([[word.attribution for word in row.words() if word.span] for row in rows])
largest = abs(table).max()

figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
image = ax.imshow(table, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto")
ax.set_xticks(range(len(words)), words, rotation=45, ha="right", rotation_mode="anchor")
ax.set_yticks(
    range(len(rows)), [f"{row.target} ({row.probability:.2f})" for row in rows], fontsize="small"
)
figure.colorbar(image, label="nats")
plt.show()

# %%
# Many texts
# ----------
# Attributions of the same word, averaged over texts, tell what the classifier goes by as a whole.
# Five test texts of each class are enough for an impression.

some = np.concatenate([np.flatnonzero(true == name)[::8] for name in clf.classes_])
sums, counts = {}, {}
for found in explain(clf, [test.data[i] for i in some], target=list(true[some])):
    for word in found.words():
        key = (found.target, word.text.lower().strip(",.?!"))
        sums[key] = sums.get(key, 0.0) + word.attribution
        counts[key] = counts.get(key, 0) + 1

for name in clf.classes_:
    means = {
        word: sums[target, word] / counts[target, word]
        for target, word in sums
        if target == name and counts[target, word] >= 2
    }
    best = sorted(means, key=means.get, reverse=True)[:4]
    print(f"{name:20}", ", ".join(f"{word} {means[word]:+.1f}" for word in best))

# %%
# An explanation is faithful to the classifier, not to the world: it tells what the classifier goes
# by, also where that is a bad reason. That is what it is for.
