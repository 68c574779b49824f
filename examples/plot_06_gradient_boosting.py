"""
Features for gradient boosting
==============================

``ULMFiTLanguageModel(output="features")`` is a vectoriser: texts in, a matrix of numbers out. Any
estimator of scikit-learn can follow, and a ``ColumnTransformer`` puts the numbers beside other
columns of a table.
"""

# %%
# A table with a text column
# --------------------------
# Real tables hold more than texts: prices, ages, the channel that a message came by. banking77 has
# texts alone, so the number in this example is one that is known before anybody reads a question:
# how long it is. Four intents, 60 questions of each.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import train_test_split

from sk_ulmfit.datasets import load_banking77

intents = [
    "cash_withdrawal_charge",
    "declined_cash_withdrawal",
    "exchange_charge",
    "wrong_amount_of_cash_received",
]


def table(subset):
    """Text and length of the questions, and their intents."""
    bunch = load_banking77(subset=subset, categories=intents, as_frame=True)
    X = pd.DataFrame({"text": bunch.data, "n_characters": bunch.data.str.len()})
    return X, bunch.target.map(dict(enumerate(bunch.target_names)))


X, y = table("train")
X, _, y, _ = train_test_split(X, y, train_size=240, stratify=y, random_state=0)
X_test, y_test = table("test")
X.groupby(y)["n_characters"].describe()[["mean", "25%", "50%", "75%"]].round()

# %%
# Columns go their own ways
# -------------------------
# The language model gets the text column (a name, not a list of names: a vectoriser takes a series
# of texts), the number passes. ``pooling="mean"`` makes one column for every unit of the last
# layer; the default pools all layers, and makes more columns than trees can use. The language model
# is fine-tuned on the texts as part of the pipeline.

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from sk_ulmfit import ULMFiTLanguageModel

lm = ULMFiTLanguageModel(max_epochs=5, output="features", pooling="mean", random_state=0)
columns = ColumnTransformer([("lm", lm, "text"), ("number", "passthrough", ["n_characters"])])
columns.set_output(transform="pandas")
boosting = HistGradientBoostingClassifier(max_iter=40, random_state=0)

pipe = make_pipeline(columns, boosting).fit(X, y)
print(f"test error: {100 * (1 - pipe.score(X_test, y_test)):.1f} %")

# %%
# The columns have names, as in every transformer:

features = pipe[0].transform(X_test)
features.iloc[:3, [0, 1, 2, -2, -1]]

# %%
# Is it the text, or the length?
# ------------------------------
# Boosting on either part, and LogisticRegression on all columns. The features are there already, so
# this takes no language model.

from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

train_features = pipe[0].transform(X)
text_columns = [name for name in features.columns if name.startswith("lm__")]
linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
trials = {
    "boosting, length": (boosting, ["number__n_characters"]),
    "boosting, text": (boosting, text_columns),
    "boosting, text and length": (boosting, list(features.columns)),
    "linear, text": (linear, text_columns),
    "linear, text and length": (linear, list(features.columns)),
}
errors = {
    name: 100 * (1 - model.fit(train_features[used], y).score(features[used], y_test))
    for name, (model, used) in trials.items()
}

figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
colors = ["#E69F00"] * 3 + ["#0072B2"] * 2
bars = ax.barh(list(errors), list(errors.values()), color=colors, height=0.6)
ax.bar_label(bars, fmt="%.1f", padding=3)
ax.invert_yaxis()
ax.set(xlabel="Test error (%)", xlim=(0, 80))
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Guessing would be wrong in 75 %. The length alone is hardly better, and beside the text it adds
# nothing: which is what such a comparison is for. Trees look at one column after another, but what
# a language model knows is spread over all of them, so a linear model makes more of its features.
# Boosting earns its place where the table has columns that say what no text does.
