"""
Quick start
===========

A classifier of texts in three stages: a language model of English that ships with the package
(stage 1) is fine-tuned on the texts of the task (stage 2), then a classifier on top of it is
trained on their labels (stage 3).
"""

# %%
# The texts
# ---------
# banking77 holds questions of bank customers, each with one of 77 intents. To be quick we take six
# of the intents, and 30 questions of each to learn from. There are 40 of each to be tested on.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from sk_ulmfit.datasets import load_banking77

intents = [
    "card_arrival",
    "card_not_working",
    "change_pin",
    "exchange_rate",
    "lost_or_stolen_card",
    "pin_blocked",
]
train = load_banking77(categories=intents)
test = load_banking77(subset="test", categories=intents)

texts, _, target, _ = train_test_split(
    train.data, train.target, train_size=180, stratify=train.target, random_state=0
)
labels = np.array(train.target_names)[target]
test_labels = np.array(test.target_names)[test.target]
for text, label in list(zip(texts, labels, strict=True))[:4]:
    print(f"{label:20} {text}")

# %%
# Fit
# ---
# Two steps of a Pipeline, as with ``TfidfVectorizer`` and ``LogisticRegression``. The language
# model starts from ``"en-small"``, which is part of the package: nothing is downloaded. Labels may
# be strings. With so few labels the default would train neither, but solve for the head, in
# seconds; with numbers of epochs there is a training to look at.

from sklearn.pipeline import Pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel

pipe = Pipeline(
    [
        ("lm", ULMFiTLanguageModel(max_epochs=5, random_state=0)),
        ("clf", ULMFiTClassifier(max_epochs=10, random_state=0)),
    ]
)
pipe.fit(texts, labels)

# %%
# Predict
# -------

questions = ["I think somebody has stolen my card!", "Is it possible to choose another PIN?"]
print(pipe.predict(questions))

# %%
# ``predict_proba`` has a column for every class, in the order of ``classes_``.

for question, row in zip(questions, pipe.predict_proba(questions), strict=True):
    print(question)
    for best in row.argsort()[::-1][:3]:
        print(f"    {row[best]:.2f}  {pipe.classes_[best]}")

# %%
# On the 240 test texts:

print(f"test error {100 * (1 - pipe.score(test.data, test_labels)):.1f} %")

# %%
# What the stages did
# -------------------
# The steps are fitted estimators, with what they have learned in attributes that end in an
# underscore. The vocabulary is that of ``en-small`` and the words of our texts that it lacks.

lm, clf = pipe["lm"], pipe["clf"]
print(len(lm.vocab_), "words")
print(f"perplexity of the test texts: {lm.perplexity(test.data):.0f}")

# %%
# ``history_`` has an entry for every epoch. That of the classifier says which layer groups were
# trained: at first the head alone (3), then one group more in every epoch, down to the embedding
# (0). This is gradual unfreezing.

for epoch in clf.history_[:5]:
    print(epoch["epoch"], epoch["trained_groups"], f"{epoch['train_loss']:.3f}")

# %%
# Both histories as a figure:

from sk_ulmfit.plotting import TrainingHistoryDisplay

figure, (left, right) = plt.subplots(ncols=2, figsize=(9, 3.6), layout="constrained")
TrainingHistoryDisplay.from_estimator(lm, ax=left)
TrainingHistoryDisplay.from_estimator(clf, ax=right)
left.set_title("Stage 2: language model")
right.set_title("Stage 3: classifier", pad=52)  # above the names of the layers
for ax in (left, right):
    ax.get_legend().remove()  # there is one curve
plt.show()

# %%
# In one estimator
# ----------------
# ``ULMFiTClassifier().fit(texts, labels)`` does stages 2 and 3 in one go, which is handy where no
# other step is needed. The Pipeline shines in searches, because the language model can be kept
# while parameters of the classifier are tried: see :ref:`sphx_glr_auto_examples_plot_03_search.py`.
