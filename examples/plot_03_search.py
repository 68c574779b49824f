"""
Searching unfreezing schedules
==============================

Which layers should be trained when? ``unfreeze_schedule`` is a parameter like any other, so
``GridSearchCV`` answers. With ``Pipeline(memory=...)`` the language model, which all candidates
share, is fine-tuned once for every fold.
"""

# %%
# Four schedules
# --------------
# Gradual unfreezing is the paper's: the head alone, then one layer more in every epoch. "full"
# trains all layers from the start, "last" the head alone, "chain-thaw" one layer after the other.
# Before anything is trained, a display shows what they do. Lower layers learn at lower rates
# (discriminative learning rates), and all rates rise shortly and fall slowly (slanted triangular).

import matplotlib.pyplot as plt

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.plotting import TrainingScheduleDisplay

clf = ULMFiTClassifier(max_epochs=8, r_drop=0, random_state=0)
schedules = ["gradual", "full", "last", "chain-thaw"]

figure, axes = plt.subplots(2, 2, figsize=(9, 6), sharex=True, sharey=True, layout="constrained")
for schedule, ax in zip(schedules, axes.flat, strict=True):
    clf.set_params(unfreeze_schedule=schedule)
    TrainingScheduleDisplay.from_parameters(clf, n_layers=2, steps_per_epoch=10, ax=ax)
    ax.set_title(schedule)
    ax.label_outer()
    if schedule != "chain-thaw":
        ax.get_legend().remove()  # one is enough
plt.show()

# %%
# The texts
# ---------
# Six intents of banking77 about cash and cards, 20 questions of each.

from sklearn.model_selection import train_test_split

from sk_ulmfit.datasets import load_banking77

intents = [
    "card_swallowed",
    "cash_withdrawal_charge",
    "cash_withdrawal_not_recognised",
    "declined_cash_withdrawal",
    "pending_cash_withdrawal",
    "wrong_amount_of_cash_received",
]
train = load_banking77(categories=intents)
texts, _, labels, _ = train_test_split(
    train.data, train.target, train_size=120, stratify=train.target, random_state=0
)

# %%
# The search
# ----------
# ``memory`` names the folder where fitted steps are kept. The names of parameters are those of the
# steps and of their parameters.

import tempfile

from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

memory = tempfile.TemporaryDirectory()
pipe = Pipeline(
    [("lm", ULMFiTLanguageModel(max_epochs=2, random_state=0)), ("clf", clf)],
    memory=memory.name,
)
search = GridSearchCV(
    pipe,
    {"clf__unfreeze_schedule": schedules},
    cv=StratifiedKFold(2, shuffle=True, random_state=0),
)
search.fit(texts, labels)

print(f"{'schedule':12}{'error %':>10}{'fit seconds':>14}")
for params, score, seconds in zip(
    search.cv_results_["params"],
    search.cv_results_["mean_test_score"],
    search.cv_results_["mean_fit_time"],
    strict=True,
):
    print(f"{params['clf__unfreeze_schedule']:12}{100 * (1 - score):10.1f}{seconds:14.1f}")

# %%
# The time of the first candidate holds that of the language model; the others found it in
# ``memory``. Three language models are trained here, one for either fold and one for the final fit
# on all texts, instead of nine.
#
# Two folds of 60 texts give errors with a spread of some points: enough to tell bad schedules from
# good ones, not to rank the good ones.

from pathlib import Path

print(len(list(Path(memory.name).rglob("output.pkl"))), "language models were trained")
print("best:", search.best_params_)

# %%
# What became of the best one is drawn from its history, not from its parameters:

best = search.best_estimator_["clf"]
TrainingScheduleDisplay.from_estimator(best).ax_.set_title(best.unfreeze_schedule)
plt.show()

memory.cleanup()

# %%
# Your own schedule is a tuple: ``unfreeze_schedule=(2, 2, 4)`` trains the head for two epochs, the
# last two groups for two more, and everything for four. A search takes a list of tuples as well.
