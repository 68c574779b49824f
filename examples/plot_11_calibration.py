"""
Probabilities to trust
======================

Of all predictions with a probability of 0.8, four in five should be right. Networks tend to promise
more than they keep. ``calibrate=True`` scales their probabilities by one number, the temperature,
which is found on texts set aside.
"""

# %%
# The texts
# ---------
# Twelve intents of banking77 about payments and withdrawals, which are easily mistaken for one
# another; 20 questions of each, and all 480 test texts.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from sk_ulmfit.datasets import load_banking77

intents = [
    "card_payment_fee_charged",
    "card_payment_not_recognised",
    "card_payment_wrong_exchange_rate",
    "cash_withdrawal_charge",
    "cash_withdrawal_not_recognised",
    "declined_card_payment",
    "declined_cash_withdrawal",
    "extra_charge_on_statement",
    "pending_card_payment",
    "pending_cash_withdrawal",
    "reverted_card_payment?",
    "transaction_charged_twice",
]
train = load_banking77(categories=intents)
test = load_banking77(subset="test", categories=intents)
texts, _, labels, _ = train_test_split(
    train.data, train.target, train_size=240, stratify=train.target, random_state=0
)

# %%
# With and without
# ----------------
# Dropout and smoothed labels keep ULMFiT modest. To see the disease we provoke it: a head on the
# last layer alone, trained for 60 epochs without either, learns 240 texts by heart. Both
# classifiers are trained so, on documents of one language model. With ``calibrate=True`` a fifth of
# the texts is set aside (``validation_fraction``) and does not train the network: its error may be
# higher.

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.calibration import expected_calibration_error

lm = ULMFiTLanguageModel(max_epochs=4, random_state=0).fit(texts)
documents, test_documents = lm.transform(texts), lm.transform(test.data)

probabilities = {}
for calibrate in (False, True):
    clf = ULMFiTClassifier(
        unfreeze_schedule="last",
        frozen_dropout=False,
        dropout_mult=0.0,
        label_smoothing=0.0,
        pooling="concat",
        max_epochs=60,
        calibrate=calibrate,
        validation_fraction=0.2,
        random_state=0,
    )
    clf.fit(documents, labels)
    probabilities[f"calibrate={calibrate}"] = clf.predict_proba(test_documents)
print(f"temperature: {clf.trained_.temperature:.2f}")

# %%
# The expected calibration error is the mean distance between how sure predictions are and how often
# they are right. The log loss punishes wrong predictions the more the surer they were.

from sklearn.metrics import log_loss

print(f"{'':18}{'error %':>10}{'mean of top p':>16}{'calibration error':>20}{'log loss':>10}")
for name, proba in probabilities.items():
    right = proba.argmax(axis=1) == test.target
    print(
        f"{name:18}{100 * (1 - right.mean()):10.1f}{proba.max(axis=1).mean():16.3f}"
        f"{expected_calibration_error(test.target, proba):20.3f}"
        f"{log_loss(test.target, proba):10.3f}"
    )

# %%
# Reliability diagrams
# --------------------
# With many classes one looks at the predicted class: how probable it was said to be, and how often
# it was right. scikit-learn's display draws this, if "right" is handed over as the class. Below the
# diagonal, predictions were too sure. Each point stands for as many texts as any other.

from sklearn.calibration import CalibrationDisplay

figure, (curve, histogram) = plt.subplots(
    nrows=2, figsize=(5.5, 6.2), height_ratios=[3, 1], sharex=True, layout="constrained"
)
looks = [("#D55E00", "s", "--"), ("#0072B2", "o", "-")]
for (name, proba), (color, marker, line) in zip(probabilities.items(), looks, strict=True):
    top = proba.max(axis=1)
    right = proba.argmax(axis=1) == test.target
    CalibrationDisplay.from_predictions(
        right,
        top,
        n_bins=8,
        strategy="quantile",
        name=name,
        ax=curve,
        color=color,
        marker=marker,
        linestyle=line,
    )
    histogram.hist(
        top, bins=np.linspace(0, 1, 21), histtype="step", color=color, linestyle=line, lw=1.5
    )
curve.set(xlabel="", ylabel="Share of right predictions", xlim=(0, 1), ylim=(0, 1))
histogram.set(xlabel="Probability of the predicted class", ylabel="Test texts")
plt.show()

# %%
# One temperature for all classes changes no prediction of the network, and a few dozen texts are
# enough to find it. scikit-learn's ``CalibratedClassifierCV`` works on a ``ULMFiTClassifier`` as
# well; it trains several networks, and calibrates every class.
#
# Trained with its default dropout, the same network is nearly calibrated as it is: look at the
# diagram before you pay for calibration with training texts.
#
# Probabilities that hold allow decisions by cost: answer at 0.9 and above, ask a human below.

for name, proba in probabilities.items():
    sure = proba.max(axis=1) >= 0.9
    right = proba.argmax(axis=1) == test.target
    print(f"{name:18} {sure.sum()} of {len(sure)} answered, {100 * right[sure].mean():.1f} % right")
