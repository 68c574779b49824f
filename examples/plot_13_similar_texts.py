"""
Near-duplicates, nearest neighbours, and mislabelled texts
==========================================================

A language model's features are vectors that lie near one another where texts mean the same. That
finds questions that were asked before, and texts that somebody has labelled wrongly (mislabeled
data), without training anything: seconds on a CPU.
"""

# %%
# Vectors of 600 questions
# ------------------------
# Customers' questions to a bank, of six of the 77 intents of banking77.

import time

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors

from sk_ulmfit import ULMFiTLanguageModel
from sk_ulmfit.datasets import load_banking77

intents = [
    "card_arrival",
    "card_delivery_estimate",
    "exchange_rate",
    "lost_or_stolen_card",
    "pin_blocked",
    "terminate_account",
]
bank = load_banking77(subset="train", categories=intents)
texts = np.array([text.strip() for text in bank.data[:600]])
labels = np.array(intents)[bank.target[:600]]

start = time.perf_counter()
encoder = ULMFiTLanguageModel(output="features").fit(texts)
vectors = encoder.transform(texts)
print(f"{len(texts)} vectors of {vectors.shape[1]} numbers in {time.perf_counter() - start:.0f} s")

# %%
# The vectors begin with what texts mean; behind it stand the language model's own pools, which
# classifiers need and neighbours do not.

n_meaning = sum(name.startswith("sentence") for name in encoder.get_feature_names_out())
meaning = vectors[:, :n_meaning]

# %%
# Near-duplicates
# ---------------
# The pairs that are nearest to one another by the cosine.

neighbours = NearestNeighbors(n_neighbors=2, metric="cosine").fit(meaning)
distances, nearest = neighbours.kneighbors(meaning)
pairs = {
    tuple(sorted((i, int(nearest[i, 1])))): float(distances[i, 1])
    for i in np.argsort(distances[:, 1])
}
for one, other in list(pairs)[:4]:
    print(f"{1 - pairs[one, other]:.2f}  {texts[one]}\n      {texts[other]}\n")

# %%
# The nearest labelled questions
# ------------------------------
# A new question, and what those were about that are most like it: an answer that shows its reasons.

[question] = encoder.transform(["someone took my wallet, and the card is in it"])
distances, nearest = neighbours.kneighbors([question[:n_meaning]], n_neighbors=3)
for distance, i in zip(distances[0], nearest[0], strict=True):
    print(f"{1 - distance:.2f}  {labels[i]:<22} {texts[i]}")

# %%
# Labels that are wrong
# ---------------------
# Thirty labels are made wrong. Every text is then judged by a regression that has not seen it;
# where the given label is least probable, it is looked at first.

random = np.random.default_rng(0)
wrong = random.choice(len(texts), 30, replace=False)
given = labels.copy()
given[wrong] = [random.choice([name for name in intents if name != labels[i]]) for i in wrong]

start = time.perf_counter()
p = cross_val_predict(LogisticRegression(), vectors, given, method="predict_proba", cv=5)
suspicion = 1 - p[np.arange(len(texts)), np.searchsorted(np.unique(given), given)]
first = np.argsort(-suspicion)[:30]
print(
    f"Of the 30 labels looked at first {np.isin(first, wrong).sum()} are wrong, by chance it would "
    f"be {30 * 30 / len(texts):.1f} ({time.perf_counter() - start:.0f} s)"
)
for i in first[:4]:
    print(f"{given[i]:<22} {texts[i]}")

# %%
# What is left of the list, and was not made wrong by us, is worth a look too: banking77 has labels
# of its own that can be argued about.
