"""
Texts without labels
====================

Texts are many, labels are dear. The language model needs no labels, so it may learn from all texts,
and the classifier from the few that somebody has labelled.
"""

# %%
# The texts
# ---------
# Eight intents of banking77, 60 questions of each: 480 texts that a bank has anyway. Who answers
# them has put a label to 32 of them.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from sk_ulmfit.datasets import load_banking77

intents = [
    "activate_my_card",
    "card_about_to_expire",
    "card_arrival",
    "card_delivery_estimate",
    "card_linking",
    "card_not_working",
    "get_physical_card",
    "order_physical_card",
]
train = load_banking77(categories=intents)
test = load_banking77(subset="test", categories=intents)
texts, _, target, _ = train_test_split(
    train.data, train.target, train_size=480, stratify=train.target, random_state=0
)
labels = np.array(train.target_names, dtype=object)[target]
test_labels = np.array(test.target_names)[test.target]

# %%
# None, or -1
# -----------
# A text without a label has the label None, or -1 if labels are numbers, as in
# :mod:`sklearn.semi_supervised`. Such texts train the language model only.

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel

labelled, _ = train_test_split(
    np.arange(len(texts)), train_size=32, stratify=labels, random_state=0
)
partly = np.full(len(texts), None, dtype=object)
partly[labelled] = labels[labelled]

lm = ULMFiTLanguageModel(max_epochs=5, batch_size=8, random_state=0)
clf = ULMFiTClassifier(lm, random_state=0)
clf.fit(texts, partly)
print(f"test error with 32 labels: {100 * (1 - clf.score(test.data, test_labels)):.1f} %")

# %%
# The error against the number of labels
# --------------------------------------
# :class:`~sk_ulmfit.plotting.LowShotDisplay` trains classifiers on more and more labelled texts.
# Three take part: TF-IDF, ULMFiT with the shipped language model as it is (``max_epochs=0``), and
# ULMFiT with the one that was fitted above, on all texts. ``FrozenEstimator`` says that this one is
# to be used as it is, not fitted again.
#
# This makes 18 trainings of ULMFiT. To be quick they train the head alone: with
# ``frozen_dropout=False`` the frozen encoder reads every text once, not in every epoch.

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sk_ulmfit.plotting import LowShotDisplay


def head_on(language_model):
    """Train the head on a language model."""
    return ULMFiTClassifier(
        language_model,
        unfreeze_schedule="last",
        frozen_dropout=False,
        batch_size=8,
        random_state=0,
    )


display = LowShotDisplay.from_estimators(
    {
        "TF-IDF": make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10)),
        "ULMFiT, en-small as it is": head_on(ULMFiTLanguageModel(max_epochs=0)),
        "ULMFiT, tuned on all texts": head_on(FrozenEstimator(clf.language_model_)),
    },
    texts,
    labels.astype(str),
    n_labels=[32, 96, 288],
    X_test=test.data,
    y_test=test_labels,
    n_draws=3,
    random_state=0,
)
plt.show()

# %%
for name, values in display.values.items():
    errors = "".join(f"{100 * error:8.1f}" for error in values.mean(axis=1))
    print(f"{name:28}{errors}   % with {display.n_labels.tolist()} labels")

# %%
# Texts without labels take some points off ULMFiT's error where labels are few, and hardly any
# where there are many. TF-IDF stays ahead here: questions like these are short and full of telling
# words, and 480 of them are little to learn a language from. On longer texts, and with the whole
# network trained, it is another picture: the results in the documentation are from whole data sets
# and more draws.
