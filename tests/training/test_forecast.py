"""What the log says of a training before it has taken long."""

from __future__ import annotations

import logging

import pytest

from sk_ulmfit.training import forecast
from sk_ulmfit.training.forecast import Forecast, duration


class Net:
    """As much of a net as is asked."""

    max_epochs = 4
    device = "cpu"

    def __init__(self):
        self.history = []

    def get_iterator(self, dataset, training):
        return range(10)


@pytest.fixture
def train(monkeypatch, caplog):
    def run(seconds_per_step, **options):
        now = [0.0]
        monkeypatch.setattr(forecast.time, "monotonic", lambda: now[0])
        told = Forecast("forward classifier", "doc", **options)
        net = Net()
        told.on_train_begin(net)
        with caplog.at_level(logging.INFO, "sk_ulmfit"):
            for epoch in range(net.max_epochs):
                net.history.append({})
                told.on_epoch_begin(net, dataset_train=range(1600))
                for _ in range(10):
                    now[0] += seconds_per_step * (told.costs or [1.0] * 4)[epoch]
                    told.on_batch_end(net, training=True)
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return run


def test_a_training_says_how_long_it_takes(train):
    [(level, told)] = train(3.0, shows_progress=False)
    assert level == "INFO"
    assert told == "forward classifier: 4 epochs of 1,600 texts on cpu take about 2 minutes"


def test_epochs_that_train_more_layers_take_longer(train):
    [(_, told)] = train(3.0, shows_progress=False, costs=[1.0, 2.0, 3.0, 3.0])
    assert told.endswith("about 4 minutes")  # 270 seconds


def test_epochs_of_another_training_may_be_in_the_history(train, monkeypatch):
    """As skorch's LoadInitState puts them there."""
    monkeypatch.setattr(Net, "__init__", lambda self: setattr(self, "history", [{}] * 9))
    [(_, told)] = train(3.0, shows_progress=False, costs=[1.0, 2.0, 3.0, 3.0])
    assert "4 epochs of 1,600 texts on cpu take about" in told


def test_ten_minutes_are_told_unasked_unless_a_bar_does(train, caplog):
    [(level, told)] = train(30.0, shows_progress=False)
    assert level == "WARNING" and "about 20 minutes; verbose=1 shows progress" in told
    caplog.clear()
    assert [level for level, _ in train(30.0, shows_progress=True)] == ["INFO"]


def test_a_short_training_says_nothing(train):
    assert train(0.01, shows_progress=False) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "1 second"),
        (1.4, "1 second"),
        (80, "80 seconds"),
        (100, "2 minutes"),
        (9000, "2 hours"),
    ],
)
def test_durations(seconds, told):
    assert duration(seconds) == told
