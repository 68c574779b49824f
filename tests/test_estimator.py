"""What the two estimators share."""

from __future__ import annotations

from dataclasses import fields

import pytest
import skorch
from numpydoc.docscrape import NumpyDocString

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.training.classifier import ClassifierOptions
from sk_ulmfit.training.language_model import LanguageModelOptions
from tests.helpers import banking, classifier, language_model

# Where the two stages differ, so do the texts.
OF_THEIR_OWN = {
    *("batch_size", "bptt", "callbacks", "dropout_mult", "lr", "lr_decay"),
    *("max_epochs", "pooling", "time_budget", "validation_fraction", "warm_start"),
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
    own = {field.name for field in fields(options)} - {"seed", "label", "deadline", "quiet"}
    assert own <= parameters.keys(), "every option is a parameter"


def scored(**params) -> list[skorch.callbacks.Callback]:
    scoring = skorch.callbacks.EpochScoring("accuracy", lower_is_better=False, **params)
    name = params.get("name", "accuracy")
    return [scoring, skorch.callbacks.EarlyStopping(name, lower_is_better=False)]


WITHOUT_TEXTS = {
    "default": [skorch.callbacks.EarlyStopping()],
    "named": [("mine", skorch.callbacks.EarlyStopping())],
    "class": [skorch.callbacks.EarlyStopping],
    "another": [skorch.callbacks.Checkpoint()],
    "score": scored(),
    "named score": scored(name="share"),
}


@pytest.mark.parametrize("make", [classifier, language_model])
class TestCallbacksRefusedBeforeTraining:
    def fit(self, make, message, error, **params):
        """No text is read: they are refused where parameters are."""
        with pytest.raises(error, match=message):
            make(**params).fit(["a text", "another"] * 5, ["a", "b"] * 5)

    @pytest.mark.parametrize("wrong", ["x", None, 3, ("name", "x"), {}], ids=repr)
    def test_what_is_none(self, make, wrong):
        self.fit(make, "must hold callbacks of skorch", TypeError, callbacks=[wrong])

    @pytest.mark.parametrize("which", WITHOUT_TEXTS)
    def test_that_watch_texts_where_none_are_set_aside(self, make, which):
        message = "no texts are set aside.*early_stopping=True"
        self.fit(make, message, ValueError, callbacks=WITHOUT_TEXTS[which])


@pytest.mark.parametrize("params", [{"early_stopping": True}, {"calibrate": True}, {}], ids=repr)
def test_callbacks_may_watch_texts_that_are_set_aside(params):
    texts, y = banking(2, 8)
    stopping = skorch.callbacks.EarlyStopping(patience=1, threshold=10)
    own = {"X_val": texts[:4], "y_val": y[:4]} if not params else {}
    clf = classifier(callbacks=[stopping], max_epochs=5, validation_fraction=0.3, **params)
    documents = language_model(max_epochs=1).fit(texts).transform(texts)
    assert clf.fit(documents, y, **own).n_epochs_ < 5
    watching = clf.set_params(early_stopping=True, calibrate=False)
    with pytest.raises(ValueError, match="partial_fit sets none aside"):
        watching.partial_fit(documents, y)


def test_scores_of_the_training_texts_may_be_watched():
    texts, y = banking(2, 8)
    documents = language_model(max_epochs=1).fit(texts).transform(texts)
    callbacks = scored(on_train=True, name="train_share")
    classifier(callbacks=callbacks, max_epochs=1).fit(documents, y)


@pytest.mark.parametrize("make", [classifier, language_model])
def test_where_everything_is_frozen(make):
    texts, y = banking(2, 8)
    X = texts
    if make is classifier:
        X = language_model(max_epochs=1).fit(texts).transform(texts)
    with pytest.raises(ValueError, match=r"Nothing is left to train in epoch 1.*Freezer"):
        make(callbacks=[skorch.callbacks.Freezer("*")]).fit(X, y)


TOO_LARGE = [
    *((language_model, {name: 10**9}) for name in ("emb_size", "hidden_size", "n_layers")),
    *((classifier, {"head_sizes": sizes}) for sizes in [(10**12,), [50, 10**9], (2**70,)]),
    *((make, {"max_epochs": 10**12}) for make in (classifier, language_model)),
    (classifier, {"unfreeze_schedule": (1, 10**12)}),
]


@pytest.mark.parametrize(("make", "params"), TOO_LARGE)
def test_numbers_with_a_zero_too_many_are_refused_before_training(make, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        make(**params).fit(["a text", "another"] * 5, ["a", "b"] * 5)
