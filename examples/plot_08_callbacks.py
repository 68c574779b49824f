"""
Callbacks, yours and ours
=========================

Training is done by skorch, and its callbacks fit in both ways: estimators of sk_ulmfit take yours,
and ULMFiT's ways of training are callbacks that any skorch net takes, whatever it is made of.
"""

# %%
# Your callback in our training
# -----------------------------
# ``callbacks`` takes skorch callbacks. This one measures how far every layer has moved from where
# it began. A training works on a copy of it, so that parameters never change; what it records in
# the net's history is found in ``history_``.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.datasets import load_banking77


class Distance(Callback):
    """Record how far each layer group's weights are from those at the beginning."""

    def on_train_begin(self, net, **kwargs):
        self.start_ = self.weights(net)

    def on_epoch_end(self, net, **kwargs):
        now = self.weights(net)
        moved = [float(torch.dist(a, b)) for a, b in zip(self.start_, now, strict=True)]
        net.history.record("distance", moved)

    def weights(self, net):
        groups = net.optimizer_.param_groups
        return [
            torch.cat([weight.detach().flatten().clone() for weight in group["params"]])
            for group in groups
        ]


# %%
# Four intents of banking77, 20 questions of each, and the shipped language model as it is.

intents = ["card_arrival", "change_pin", "exchange_rate", "lost_or_stolen_card"]
data = load_banking77(categories=intents)
texts, _, labels, _ = train_test_split(
    data.data, data.target, train_size=80, stratify=data.target, random_state=0
)
clf = ULMFiTClassifier(
    ULMFiTLanguageModel(max_epochs=0), max_epochs=8, callbacks=[Distance()], random_state=0
)
clf.fit(texts, labels)

distance = np.array([epoch["distance"] for epoch in clf.history_])
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for group, (name, style) in enumerate(
    [("embedding", "o-"), ("layer 1", "s--"), ("layer 2", "^-."), ("head", "D:")]
):
    ax.plot(range(1, 9), distance[:, group], style, label=name)
ax.set(xlabel="Epoch", ylabel="Distance from the start")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
plt.show()

# %%
# A layer begins to move in the epoch that unfreezes it, lower layers later and less. That is the
# point of gradual unfreezing and discriminative rates: what the language model knows is kept.
#
# Our callbacks on another net
# ----------------------------
# :mod:`sk_ulmfit.callbacks` knows nothing of texts. Here is a net for scikit-learn's images of
# digits that learns 0 to 4 first. Then it shall tell 5 to 9 from ten images of each.

from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from torch import nn

from sk_ulmfit.callbacks import DiscriminativeLR, GradualUnfreezing, SlantedTriangularLR


class Digits(nn.Module):
    """Two hidden layers and a head."""

    def __init__(self):
        super().__init__()
        self.lower = nn.Linear(64, 64)
        self.upper = nn.Linear(64, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, X):
        """Logits of five classes."""
        return self.head(torch.relu(self.upper(torch.relu(self.lower(X)))))


X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
common = {"criterion": nn.CrossEntropyLoss, "train_split": None, "verbose": 0}
torch.manual_seed(0)
source = NeuralNetClassifier(
    Digits, optimizer=torch.optim.Adam, lr=0.003, max_epochs=30, batch_size=32, **common
)
source.fit(X[y < 5], y[y < 5])

# %%
# Layer groups are parameter groups of the optimizer, lowest first; what no pattern takes is the
# last, the head. This is all that the callbacks need to know.

transfer = {
    "all layers, constant rate": [],
    "ULMFiT's way, lr_decay=2.6": [
        DiscriminativeLR(lr_decay=2.6),
        SlantedTriangularLR(),
        GradualUnfreezing(),
    ],
    "ULMFiT's way, lr_decay=1": [SlantedTriangularLR(), GradualUnfreezing()],
}
X_new, y_new = X[y >= 5], y[y >= 5] - 5
scores = {name: [] for name in transfer}
for draw in range(5):
    few, rest = train_test_split(
        np.arange(len(y_new)), train_size=50, stratify=y_new, random_state=draw
    )
    for name, callbacks in transfer.items():
        torch.manual_seed(draw)
        net = NeuralNetClassifier(
            Digits,
            optimizer=torch.optim.AdamW,
            optimizer__param_groups=[("lower*", {}), ("upper*", {})],
            lr=0.03,
            max_epochs=30,
            batch_size=10,
            callbacks=callbacks,
            **common,
        ).initialize()
        body = {k: v for k, v in source.module_.state_dict().items() if "head" not in k}
        net.module_.load_state_dict(body, strict=False)
        net.partial_fit(X_new[few], y_new[few])
        scores[name].append(net.score(X_new[rest], y_new[rest]))

for name, values in scores.items():
    error = 100 * (1 - np.array(values))
    print(f"{name:28} test error {error.mean():5.1f} ± {error.std(ddof=1):.1f} %")

# %%
# The history of the last net shows what its callbacks did:

for epoch in net.history[:5]:
    rates = ", ".join(f"{rate:.4f}" for rate in epoch["lr"])
    print(f"epoch {epoch['epoch']}: trained groups {epoch['trained_groups']}, rates {rates}")

# %%
# The paper's 2.6 is for language models, whose lower layers know much that is worth keeping. This
# net has seen five digits: its lower layers have most to learn, and rates that hold them back cost
# errors. Unfreezing and the course of the rate do no harm even here. The callbacks are tools, not
# promises; their parameters are chosen by a search like any others
# (``callbacks__DiscriminativeLR__lr_decay``).
