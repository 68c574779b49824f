"""The callbacks on a skorch net that is not ours: an image classifier of scikit-learn's digits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Freezer
from torch import nn

from sk_ulmfit.callbacks import (
    DiscriminativeLR,
    GradualUnfreezing,
    ScheduledLR,
    SlantedTriangularLR,
)
from sk_ulmfit.schedules import slanted_triangular


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.lower = nn.Linear(64, 32)
        self.upper = nn.Linear(32, 32)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        return self.head(torch.relu(self.upper(torch.relu(self.lower(x)))))


class Recorder(Callback):
    """Writes down the rates of every step, and the weights after every epoch."""

    def on_train_begin(self, net, **kwargs):
        self.rates_, self.weights_, self.states_ = [], [], []
        self.start_ = {k: v.clone() for k, v in net.module_.state_dict().items()}

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.rates_.append([group["lr"] for group in net.optimizer_.param_groups])

    def on_epoch_end(self, net, **kwargs):
        self.weights_.append({k: v.clone() for k, v in net.module_.state_dict().items()})
        self.states_.append(len(net.optimizer_.state))


def fit(*callbacks, max_epochs=4, groups=("lower*", "upper*"), optimizer=torch.optim.AdamW):
    torch.manual_seed(0)
    X, y = load_digits(return_X_y=True)
    recorder = Recorder()
    net = NeuralNetClassifier(
        Digits,
        criterion=nn.CrossEntropyLoss,
        optimizer=optimizer,
        optimizer__param_groups=[(pattern, {}) for pattern in groups],
        lr=0.01,
        max_epochs=max_epochs,
        batch_size=100,
        train_split=None,
        callbacks=[*callbacks, recorder],
        verbose=0,
    )
    net.fit((X / 16).astype(np.float32), y)
    recorder = dict(net.callbacks_)["Recorder"]
    return net, recorder


def changed(before, after):
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def test_gradual_unfreezing_trains_the_layers_that_it_should():
    net, recorder = fit(GradualUnfreezing())
    weights = [recorder.start_, *recorder.weights_]
    trained = [changed(*pair) for pair in itertools.pairwise(weights)]
    assert trained == [{"head"}, {"upper", "head"}, *[{"lower", "upper", "head"}] * 2]
    assert net.history[:, "trained_groups"] == [[2], [1, 2], [0, 1, 2], [0, 1, 2]]
    assert recorder.states_ == [2, 4, 6, 6], "Adam keeps nothing for what was never trained"
    assert all(p.requires_grad for p in net.module_.parameters()), "left as it was found"


def test_chain_thaw_freezes_again():
    _, recorder = fit(GradualUnfreezing("chain-thaw"))
    weights = [recorder.start_, *recorder.weights_]
    trained = [changed(*pair) for pair in itertools.pairwise(weights)]
    assert trained == [{"head"}, {"lower"}, {"upper"}, {"lower", "upper", "head"}]


def test_parameters_that_were_frozen_before_stay_frozen():
    class Freeze(Callback):
        def on_train_begin(self, net, **kwargs):
            net.module_.lower.weight.requires_grad_(False)

    net, recorder = fit(Freeze(), GradualUnfreezing("full"), max_epochs=1)
    assert torch.equal(recorder.start_["lower.weight"], recorder.weights_[-1]["lower.weight"])
    assert not net.module_.lower.weight.requires_grad


def test_rates_of_every_step_and_group():
    _, recorder = fit(DiscriminativeLR(lr_decay=2.0), SlantedTriangularLR())
    n_steps = 4 * 18
    assert len(recorder.rates_) == n_steps
    factors = [slanted_triangular(step, n_steps) for step in range(n_steps)]
    expected = 0.01 * np.outer(factors, [1 / 4, 1 / 2, 1])
    np.testing.assert_allclose(recorder.rates_, expected, rtol=1e-12)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_other_schedules_scale_the_rate(schedule):
    net, recorder = fit(ScheduledLR(schedule), groups=(), max_epochs=2)
    rates = np.array(recorder.rates_)
    assert rates.shape == (36, 1) and rates.max() == pytest.approx(0.01)
    assert (rates.min() == 0.01) == (schedule == "constant")
    assert net.optimizer_.param_groups[0]["lr"] == 0.01, "the rate is put back"


def test_schedule_shorter_than_the_training_stays_at_its_end():
    _, recorder = fit(ScheduledLR("cosine", n_epochs=1), groups=(), max_epochs=3)
    rates = np.array(recorder.rates_)[:, 0]
    assert (rates[18:] == rates[18]).all() and rates[18] <= rates[:18].min()


def test_a_fit_that_goes_on_may_do_so_at_another_rate():
    net, _ = fit(ScheduledLR("constant"), groups=(), max_epochs=1)
    net.set_params(lr=1e-4)
    X, y = load_digits(return_X_y=True)
    net.partial_fit((X / 16).astype(np.float32), y)
    assert dict(net.callbacks_)["Recorder"].rates_[-1] == [1e-4]


def test_discriminative_rates_alone_slow_the_lower_layers():
    _, recorder = fit(DiscriminativeLR(lr_decay=1000.0), max_epochs=1, optimizer=torch.optim.SGD)
    moved = {
        name: (recorder.weights_[0][f"{name}.weight"] - recorder.start_[f"{name}.weight"]).norm()
        for name in ("lower", "upper", "head")
    }
    assert moved["lower"] < moved["upper"] / 50 < moved["head"] / 500


def test_callbacks_can_be_set_through_the_net():
    net, _ = fit(GradualUnfreezing(), max_epochs=1)
    net.set_params(callbacks__GradualUnfreezing__schedule="last")
    assert dict(net.callbacks_)["GradualUnfreezing"].schedule == "last"


@pytest.mark.parametrize("schedule", ["gradual", "full", "chain-thaw", (1, 1, 2)])
@pytest.mark.parametrize("freezes_first", [True, False])
@pytest.mark.parametrize("at", [1, 2])
def test_what_another_callback_freezes_stays_frozen(schedule, freezes_first, at):
    freezer, unfreezing = Freezer("upper.weight", at=at), GradualUnfreezing(schedule)
    net, recorder = fit(*((freezer, unfreezing) if freezes_first else (unfreezing, freezer)))
    weights = [recorder.start_, *recorder.weights_]
    for one, other in itertools.pairwise(weights[at - 1 :]):
        assert torch.equal(one["upper.weight"], other["upper.weight"])
    assert not torch.equal(recorder.start_["upper.bias"], recorder.weights_[-1]["upper.bias"])
    frozen = [name for name, p in net.module_.named_parameters() if not p.requires_grad]
    assert frozen == ["upper.weight"]


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        X, y = load_digits(return_X_y=True)
        return zip((X / 16).astype(np.float32), y, strict=True)


class LongStream(Stream):
    def __len__(self):
        return 1797


def test_streams_need_a_length():
    def net(schedule):
        return NeuralNetClassifier(
            Digits,
            criterion=nn.CrossEntropyLoss,
            train_split=None,
            classes=range(10),
            max_epochs=2,
            batch_size=100,
            callbacks=[schedule],
            verbose=0,
        )

    for schedule in (SlantedTriangularLR(), ScheduledLR("cosine", n_epochs=3)):
        with pytest.raises(TypeError, match="give the dataset a __len__"):
            net(schedule).fit(Stream(), y=None)
    assert len(net(SlantedTriangularLR()).fit(LongStream(), y=None).history) == 2
