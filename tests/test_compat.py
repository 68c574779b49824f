"""Names of scikit-learn, skorch and torch that no promise keeps are still there."""

from __future__ import annotations

import ast
import inspect
import re
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real

import numpy as np
import pytest
import sklearn.base
import skorch
import torch
from skorch.callbacks import EarlyStopping, PassthroughScoring

import sk_ulmfit._compat as compat
from sk_ulmfit.training.classifier import ClassifierNet
from sk_ulmfit.training.language_model import LanguageModelNet
from sk_ulmfit.training.net import ULMFiTNet
from tests.test_layout import PACKAGE, SOURCES, name_of

NETS = [ULMFiTNet, LanguageModelNet, ClassifierNet]


@pytest.mark.parametrize("name", compat.__all__)
def test_what_is_imported_is_there(name):
    assert getattr(compat, name) is not None


def test_estimators_validate_by_a_method_that_can_be_called():
    assert callable(sklearn.base.BaseEstimator._validate_params)


@pytest.mark.parametrize("value", [10**400, -(10**400), Fraction(1, 10), Decimal("nan"), np.inf])
@pytest.mark.parametrize("kind", [Real, Integral])
def test_numbers_that_training_cannot_take_are_refused_in_words(value, kind):
    """Where scikit-learn would compare them, or torch make a float of them, and fail."""
    constraints = {"lr": [compat.Interval(kind, 0, None, closed="left")]}
    with pytest.raises(ValueError, match="The 'lr' parameter of this must be a"):
        compat.validate_parameter_constraints(constraints, {"lr": value}, "this")


def test_torchs():
    assert torch.lstm and isinstance(compat.has_bfloat16_kernels(), bool)
    assert compat.has_bfloat16_kernels() or not compat.has_bfloat16_instructions()
    rows = torch.sparse_coo_tensor([[2, 2]], [1.0, 3.0], (4,), check_invariants=True)
    numbers, values = compat.rows_of_gradient(rows)
    assert numbers.tolist() == [2, 2] and values.tolist() == [1.0, 3.0]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(
    "name",
    [
        *("fit_loop", "get_iterator", "get_loss", "infer", "initialize_module", "notify"),
        *("run_single_epoch", "train_step", "validation_step"),
    ],
)
def test_what_the_nets_override_or_call_is_skorchs(net, name):
    """A keyword that skorch's own method has is one that ours hands on."""
    theirs = inspect.signature(getattr(skorch.NeuralNet, name)).parameters
    ours = inspect.signature(getattr(net, name)).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in ours.values())
    assert takes_all or set(theirs) <= set(ours)


def test_what_is_read_of_skorchs_callbacks():
    stopping = EarlyStopping()
    stopping.on_train_begin(None)
    for name in (*compat.EARLY_STOPPING_STATE, "best_model_weights_"):
        assert hasattr(stopping, name)
    scoring = PassthroughScoring("loss").initialize()
    scoring.on_train_begin(None)
    assert hasattr(scoring, "best_score_")


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_private_names_are_imported_in_one_place(source):
    if source == PACKAGE / "_compat.py":
        return
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            theirs = [name for name in full if re.match(r"(sklearn|skorch|torch)\.", name)]
            assert not [name for name in theirs if re.search(r"\._[a-z]", name)]
