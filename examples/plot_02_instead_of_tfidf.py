"""
In the place of TF-IDF and LogisticRegression
=============================================

Most text classifiers of scikit-learn begin as ``make_pipeline(TfidfVectorizer(),
LogisticRegression())``. Swap the two steps, and everything around them stays: the same Pipeline,
the same ``cross_val_score``. Here both are measured, in errors and in seconds.
"""

# %%
# The texts
# ---------
# Six intents of banking77 that are easily mistaken for one another, 20 questions of each: money
# that should have moved and has not.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from sk_ulmfit.datasets import load_banking77

intents = [
    "balance_not_updated_after_bank_transfer",
    "cancel_transfer",
    "declined_transfer",
    "pending_transfer",
    "transfer_fee_charged",
    "transfer_into_account",
]
train = load_banking77(categories=intents)
texts, _, labels, _ = train_test_split(
    train.data, train.target, train_size=120, stratify=train.target, random_state=0
)

# %%
# Three pipelines
# ---------------
# The first is the one to beat. The second swaps the vectoriser alone: ``output="features"`` turns
# texts into a matrix for any estimator. The third swaps both steps. Of so few labels neither trains
# a network: what they know of language is used as it is.

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel

pipelines = {
    "TfidfVectorizer, LogisticRegression": make_pipeline(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)),
        LogisticRegression(C=10, max_iter=1000),
    ),
    "ULMFiTLanguageModel, LogisticRegression": make_pipeline(
        ULMFiTLanguageModel(output="features", random_state=0),
        LogisticRegression(),
    ),
    "ULMFiTLanguageModel, ULMFiTClassifier": make_pipeline(
        ULMFiTLanguageModel(random_state=0),
        ULMFiTClassifier(random_state=0),
    ),
}

# %%
# The same cross-validation
# -------------------------

from sklearn.model_selection import StratifiedKFold, cross_val_score

folds = StratifiedKFold(3, shuffle=True, random_state=0)
errors, seconds = {}, {}
for name, pipeline in pipelines.items():
    start = time.perf_counter()
    errors[name] = 100 * (1 - cross_val_score(pipeline, texts, labels, cv=folds))
    seconds[name] = time.perf_counter() - start

print(f"{'':42}{'error %':>12}{'seconds':>10}")
for name, values in errors.items():
    print(f"{name:42}{values.mean():5.1f} ± {values.std(ddof=1):4.1f}{seconds[name]:10.1f}")

# %%
# Fold by fold, as the folds are the same for all:

figure, (left, right) = plt.subplots(
    ncols=2, figsize=(9, 2.6), sharey=True, width_ratios=[3, 2], layout="constrained"
)
rows = np.arange(len(pipelines))
for values in zip(*errors.values(), strict=True):
    left.plot(values, rows, color="0.8", zorder=0)
for row, values in zip(rows, errors.values(), strict=True):
    left.scatter(values, [row] * len(values), s=40, color="#0072B2")
left.set(xlabel="Error in each fold (%)", yticks=rows, yticklabels=list(pipelines))
left.set_xlim(left=0)
left.set_ylim(len(rows) - 0.5, -0.5)  # the first on top
right.scatter(list(seconds.values()), rows, s=60, color="#D55E00", marker="s")
right.set(xlabel="Seconds for all folds", xscale="log", xlim=(0.01, 200))
right.set_xticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
for ax in (left, right):
    ax.grid(axis="x", alpha=0.3)
plt.show()

# %%
# Which one to take
# -----------------
# Questions like these, short and full of telling words, are what TF-IDF is good at. What the
# language model knows of words that no training text has takes some mistakes off, for seconds more;
# three folds of 40 texts do not tell which of the two ways to use it is better. With more labels
# the third trains the network as well, which takes minutes, and is worth most where single words do
# not tell: the results in the documentation show from when on, for several data sets. Trying all
# three is a matter of swapping steps.
