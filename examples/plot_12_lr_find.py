"""
Finding a learning rate
=======================

The defaults are good rates for most texts. :func:`~sk_ulmfit.lr_find` shows whether they are for
yours: it trains at rates that rise from step to step, and watches the loss.
"""

# %%
# The texts
# ---------
# Six intents of banking77, 20 questions of each.

import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split

from sk_ulmfit.datasets import load_banking77

intents = [
    "automatic_top_up",
    "pending_top_up",
    "top_up_by_card_charge",
    "top_up_failed",
    "top_up_limits",
    "top_up_reverted",
]
train = load_banking77(categories=intents)
test = load_banking77(subset="test", categories=intents)
texts, _, labels, _ = train_test_split(
    train.data, train.target, train_size=120, stratify=train.target, random_state=0
)

# %%
# Two range tests
# ---------------
# One for either stage: a language model is tested on texts, a classifier on the documents that the
# language model makes of them, and on their labels. The estimators themselves stay unfitted. 50
# steps are enough for a first look; by default there are 100.

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, lr_find

lm = ULMFiTLanguageModel(max_epochs=2, random_state=0)
lm_test = lr_find(lm, texts, n_steps=30, max_lr=1.0)

lm.fit(texts)
documents, test_documents = lm.transform(texts), lm.transform(test.data)
clf = ULMFiTClassifier(max_epochs=4, r_drop=0, random_state=0)
clf_test = lr_find(clf, documents, labels, n_steps=40, min_lr=1e-5)

figure, axes = plt.subplots(nrows=2, figsize=(7, 6), layout="constrained")
lm_test.plot(ax=axes[0]).ax_.set_title("Language model", loc="left")
clf_test.plot(ax=axes[1]).ax_.set_title("Classifier", loc="left")
plt.show()

# %%
# How to read them
# ----------------
# On the left nothing happens: rates are too low. Then the loss falls; where it falls fastest is the
# suggestion. The valley ends where rates are so high that training gets worse, and may explode. Any
# rate between the suggestion and the valley will do: the curve is noisy, so take the order of
# magnitude. The default of both estimators is 0.01.

print(f"suggested: language model {lm_test.suggestion:.2g}, classifier {clf_test.suggestion:.2g}")

# %%
# Does it hold?
# -------------
# Three classifiers: trained at a rate from the left end of the curve, at the suggested one, and at
# the default, which is nearer the valley.

for lr in (1e-4, clf_test.suggestion, 0.01):
    clf.set_params(lr=lr).fit(documents, labels)
    error = 100 * (1 - clf.score(test_documents, test.target))
    loss = clf.history_[-1]["train_loss"]
    print(f"lr={lr:<8.2g} training loss {loss:6.3f}, test error {error:5.1f} %")

# %%
# The suggestion is safe rather than best: a training as short as this one, of some thirty steps,
# gets further nearer the valley. To choose among the rates in between, let a search compare their
# errors: ``GridSearchCV(pipe, {"clf__lr": [0.001, 0.003, 0.01, 0.03]})``.
