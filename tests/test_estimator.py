"""What the two estimators share."""

from __future__ import annotations

from dataclasses import fields

import pytest
from numpydoc.docscrape import NumpyDocString

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.training.classifier import ClassifierOptions
from sk_ulmfit.training.language_model import LanguageModelOptions
from tests.helpers import classifier, language_model

# Where the two stages differ, so do the texts.
OF_THEIR_OWN = {
    *("batch_size", "bptt", "callbacks", "dropout_mult", "early_stopping", "lr", "lr_decay"),
    *("max_epochs", "pooling", "validation_fraction"),
}


def documented(estimator) -> dict[str, tuple[str, list[str]]]:
    """Type and text of every parameter."""
    parsed = NumpyDocString(estimator.__doc__.partition("\n\n")[2])["Parameters"]
    return {name: (entry.type, entry.desc) for entry in parsed for name in entry.name.split(", ")}


def test_parameters_that_both_have_mean_the_same():
    one, other = documented(ULMFiTClassifier), documented(ULMFiTLanguageModel)
    shared = (one.keys() & other.keys()) - OF_THEIR_OWN
    assert len(shared) >= 10
    for name in shared:
        assert one[name] == other[name], name


@pytest.mark.parametrize(
    ("options", "make"), [(ClassifierOptions, classifier), (LanguageModelOptions, language_model)]
)
def test_options_are_read_off_the_parameters(options, make):
    estimator = make(lr=0.123, max_epochs=7, callbacks=None)
    found = options.of(estimator, seed=5, schedule="constant")
    assert (found.lr, found.max_epochs, found.schedule, found.seed) == (0.123, 7, "constant", 5)
    parameters = estimator.get_params(deep=False)
    own = {field.name for field in fields(options)} - {"seed", "label"}
    assert own <= parameters.keys(), "every option is a parameter"
