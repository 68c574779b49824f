"""Learning rates and unfreezing against the paper's formulas, step by step."""

from __future__ import annotations

from fnmatch import fnmatch

import numpy as np
import pytest

from sk_ulmfit.modules import LanguageModel, TextClassifier
from sk_ulmfit.modules.awd_lstm import EncoderSizes
from sk_ulmfit.schedules import (
    SCHEDULES,
    discriminative_rates,
    layer_groups,
    one_cycle,
    slanted_triangular,
    trained_groups,
)
from tests import reference


@pytest.mark.parametrize("n_steps", [10, 37, 100, 1234])
@pytest.mark.parametrize(("cut_frac", "ratio"), [(0.1, 32), (0.25, 10)])
def test_slanted_triangular_is_the_papers_formula_at_every_step(n_steps, cut_frac, ratio):
    for step in range(n_steps):
        expected = reference.slanted_triangular(step, n_steps, cut_frac, ratio, lr_max=0.01)
        ours = 0.01 * slanted_triangular(step, n_steps, cut_frac=cut_frac, lr_ratio=ratio)
        # n_steps * cut_frac not whole: the printed formula falls below zero at the very end
        assert ours == pytest.approx(max(expected, 0.01 / ratio), rel=1e-12)


def test_slanted_triangular_rises_for_a_tenth_and_falls_for_the_rest():
    rates = [slanted_triangular(step, 1000) for step in range(1000)]
    assert int(np.argmax(rates)) == 100
    assert rates[0] == pytest.approx(1 / 32) and rates[100] == 1
    assert all(np.diff(rates[:101]) > 0) and all(np.diff(rates[100:]) < 0)


@pytest.mark.parametrize("n_steps", [1, 2, 3, 9])
@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_schedules_of_few_steps_stay_between_zero_and_one(name, n_steps):
    rates = [SCHEDULES[name](step, n_steps, cut_frac=0.1, lr_ratio=32) for step in range(n_steps)]
    assert all(0 < rate <= 1 for rate in rates)


def test_one_cycle_peaks_where_the_warm_up_ends():
    rates = [one_cycle(step, 400, cut_frac=0.25) for step in range(400)]
    assert int(np.argmax(rates)) == 100


def test_discriminative_rates():
    assert discriminative_rates(0.01, 4) == pytest.approx(
        [0.01 / 2.6**3, 0.01 / 2.6**2, 0.01 / 2.6, 0.01]
    )
    assert discriminative_rates(0.01, 3, 1.0) == [0.01] * 3
    assert discriminative_rates(0.01, 3, 1e300) == [0.0, 0.01 / 1e300, 0.01]


def test_gradual_unfreezing_takes_one_more_layer_each_epoch():
    assert trained_groups("gradual", 4, 6) == [
        (3,),
        (2, 3),
        (1, 2, 3),
        (0, 1, 2, 3),
        (0, 1, 2, 3),
        (0, 1, 2, 3),
    ]


def test_other_schedules():
    assert trained_groups("full", 3, 2) == [(0, 1, 2)] * 2
    assert trained_groups("last", 3, 2) == [(2,)] * 2
    assert trained_groups("chain-thaw", 3, 5) == [(2,), (0,), (1,), (0, 1, 2), (0, 1, 2)]
    assert trained_groups("gradual", 3, 0) == []


def test_own_schedule_trains_everything_in_its_last_step():
    assert trained_groups((1, 2, 3), 5, 99) == [(4,), (3, 4), (3, 4), *[(0, 1, 2, 3, 4)] * 3]
    assert trained_groups((0, 0, 2), 5, 99) == [(0, 1, 2, 3, 4)] * 2
    assert trained_groups(np.array([1, 1]), 2, 99) == [(1,), (0, 1)]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("slow", "got 'slow'"),
        ((1, -1), "whole numbers"),
        ((1, 1.5), "whole numbers"),
        ((), "whole numbers"),
        ((0, 0), "above 0"),
        ((1, 1, 1, 1), "only 3 layer groups"),
    ],
)
def test_bad_schedules_are_refused(schedule, message):
    with pytest.raises(ValueError, match=message):
        trained_groups(schedule, 3, 5)


@pytest.mark.parametrize("n_layers", [1, 2, 4])
def test_every_parameter_is_in_one_layer_group(n_layers):
    sizes = EncoderSizes(11, 4, 6, n_layers)
    for kind, module in {
        "language model": LanguageModel(sizes),
        "classifier": TextClassifier(sizes, 3, head_sizes=(5,)),
    }.items():
        groups = layer_groups(kind, n_layers)
        found = {group.name: [] for group in groups}
        for name, _ in module.named_parameters():
            group = next(group for group in groups if fnmatch(name, group.pattern))
            found[group.name].append(name)
        assert all(found.values()), "no group is empty"
        for layer in range(n_layers):
            names = found[f"layer {layer + 1}"]
            assert all(name.startswith(f"encoder.layers.{layer}.") for name in names)
        if kind == "classifier":
            assert found["embedding"] == ["encoder.embedding"]
            assert all(name.startswith("head.") for name in found["head"])
        else:
            assert "encoder.embedding" in found["embedding and softmax"]
