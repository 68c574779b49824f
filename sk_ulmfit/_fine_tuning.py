"""The language model that a classifier begins with: stage 2, unless it is there already."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from ._estimator import refuse_fitted
from .documents import EncodedDocuments
from .language_model import ULMFiTLanguageModel, direction_named
from .models.names import directions_of, load_pretrained
from .schedules import layer_groups, trained_groups
from .training.net import TrainingInterrupted


def language_model_for(
    classifier: Any, X: list[str] | EncodedDocuments, seed: int, reads_only: bool
) -> ULMFiTLanguageModel:
    """Take the language model of documents or of the parameter `language_model`, or train it.

    Parameters
    ----------
    classifier : ULMFiTClassifier
    X : list of str, or EncodedDocuments
    seed : int
        Of a language model that has none of its own, if the classifier has one.
    reads_only : bool
        Whether a pretrained one is to be fine-tuned only if it says for how long.

    Raises
    ------
    TypeError, ValueError
        If there is no such language model, or it is not said what for it is given.
    TrainingInterrupted
        If it was interrupted; what had been learned is handed over.
    """
    if isinstance(X, EncodedDocuments):
        return ULMFiTLanguageModel.from_trained(X.language_model, device=classifier.device)
    given = classifier.language_model
    refuse_fitted(
        given,
        "language_model",
        "is used as it is",
        "an unfitted one, as clone() of sklearn.base makes,",
    )
    if isinstance(given, FrozenEstimator):
        # A copy: whatever becomes of the user's, this one stays what training began with.
        frozen = copy.copy(given.estimator)
        if not isinstance(frozen, ULMFiTLanguageModel):
            raise TypeError(
                "language_model must be a ULMFiTLanguageModel, got a FrozenEstimator of "
                f"{type(frozen).__name__}."
            )
        check_is_fitted(frozen)
        return frozen
    recipe = _recipe(classifier, seed)
    _check_steps(classifier.unfreeze_schedule, recipe)
    try:
        return recipe._fit(X, auto_epochs=0 if reads_only else None)
    except TrainingInterrupted as interrupt:
        told = TrainingInterrupted(
            interrupt.history,
            "Interrupted while the language model was trained. language_model_ holds what it "
            "had learned; the classifier is not trained."
            if not hasattr(classifier, "trained_")
            else "Interrupted while the language model was trained: the estimator is fitted as "
            "it was before. The error's language_model holds what it had learned.",
        )
        hand_over(classifier, recipe, told)
        raise told from interrupt


def _recipe(classifier: Any, seed: int) -> ULMFiTLanguageModel:
    """The unfitted language model that is given, or the default one with weights to begin with."""
    given = classifier.language_model
    if isinstance(given, ULMFiTLanguageModel):
        recipe = clone(given)
    else:
        recipe = ULMFiTLanguageModel(
            given,
            direction="forward" if given is None else direction_named(directions_of(given)),
            device=classifier.device,
            amp=classifier.amp,
            verbose=classifier.verbose,
        )
    # Without a seed for both, that of an unfinished training in checkpoint_dir holds.
    if recipe.random_state is None and classifier.random_state is not None:
        recipe.set_params(random_state=seed)
    if classifier.time_budget is not None and recipe.time_budget is None:
        recipe.set_params(time_budget=classifier.time_budget / 3)
    return recipe


def _check_steps(steps: Any, recipe: ULMFiTLanguageModel) -> None:
    """Refuse steps of unfreezing that the layers of a language model are too few for."""
    if not isinstance(steps, str):
        sizes = recipe if recipe.pretrained is None else load_pretrained(recipe.pretrained)
        trained_groups(steps, len(layer_groups("classifier", sizes.n_layers)), 1)


def hand_over(classifier: Any, language_model: ULMFiTLanguageModel, error: BaseException) -> None:
    """Let a language model outlive the error after it: it may be hours of training.

    An earlier fit stays whole: it is of another one.
    """
    error.language_model = language_model  # type: ignore[attr-defined]
    if not hasattr(classifier, "trained_"):
        classifier.language_model_ = language_model


@contextmanager
def handed_over(classifier: Any, language_model: ULMFiTLanguageModel) -> Iterator[None]:
    """Hand a language model over, and say so, if what is done with it fails."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        hand_over(classifier, language_model, error)
        error.add_note(
            "The language model is trained and kept: a fit with language_model="
            "FrozenEstimator(estimator.language_model_) takes it as it is. (Of an "
            "estimator that was fitted before, it is the error's language_model.)"
        )
        raise
