"""How much training an amount of data is worth: what "auto" stands for.

Chosen on held-out training texts of several sets. Each is a function of numbers of texts alone, so
that equal input gives equal training.
"""

from __future__ import annotations

import logging
from inspect import signature
from typing import Any

import numpy as np

from .._warnings import warn
from .budget import deadline_of

# What `partial_fit` trains by, whatever the parameters are.
ONE_EPOCH: dict[str, Any] = {"max_epochs": 1, "schedule": "constant", "early_stopping": False}

# And a classifier's: all layers, by weights of texts as they are given.
ONE_CLASSIFIER_EPOCH: dict[str, Any] = {
    **ONE_EPOCH,
    "head_start": "random",
    "linear_share": 0.0,
    "unfreeze_schedule": "full",
    "relative": False,
}

_log = logging.getLogger("sk_ulmfit")

# Epochs of a language model's fine-tuning that is worth it, and of one with layers that know what
# texts mean: a classifier begins with these, and gains by what is learned of new words alone.
FINE_TUNING_EPOCHS, EPOCHS_BELOW_SENTENCES = 15, 5

# Epochs of a classifier's training that is worth it, of few texts and of many.
CLASSIFIER_EPOCHS, EPOCHS_OF_MANY, MANY_TEXTS = 20, 15, 2000

# Parameters that only training is by; not those that users set once and for all, as early stopping.
_OF_TRAINING = (
    "unfreeze_schedule",
    "lr",
    "lr_decay",
    "schedule",
    "cut_frac",
    "lr_ratio",
    "dropout_mult",
    "r_drop",
    "frozen_dropout",
    "label_smoothing",
)

# Of fewer texts than this a network learns less than chance makes it forget.
_FEW_TEXTS = 500

# So many for every class, where there are many.
_FEW_TEXTS_A_CLASS = 40


def fine_tuning_epochs(n_texts: int | None, knows_meaning: bool) -> int:
    """Epochs that a pretrained language model is worth fine-tuning for (stage 2).

    Parameters
    ----------
    n_texts : int or None
        None: of a stream, many.
    knows_meaning : bool
        Whether it has layers that have learned what texts mean.
    """
    if n_texts is not None and n_texts < _FEW_TEXTS:
        return 0
    return EPOCHS_BELOW_SENTENCES if knows_meaning else FINE_TUNING_EPOCHS


def are_few(n_labelled: int, n_classes: int) -> bool:
    """Whether the solution of a regression is better than what training makes of so few labels.

    Parameters
    ----------
    n_labelled, n_classes : int
    """
    return n_labelled < max(_FEW_TEXTS, _FEW_TEXTS_A_CLASS * n_classes)


def warn_of_idle_parameters(estimator: Any, n_epochs: int) -> None:
    """Say that what was set for a training has no effect, if the estimator chose not to train.

    Parameters
    ----------
    estimator : ULMFiTClassifier or ULMFiTLanguageModel
    n_epochs : int
        What it chose, if it did.

    Warns
    -----
    UserWarning
    """
    if n_epochs or estimator.max_epochs != "auto":
        return
    own = signature(type(estimator)).parameters
    idle = [n for n in _OF_TRAINING if n in own and getattr(estimator, n) != own[n].default]
    if estimator.callbacks is not None and len(estimator.callbacks):
        idle.append("callbacks")
    if idle:
        warn(
            f"{', '.join(idle)} will have no effect: there is no training, which for these texts "
            'max_epochs="auto" takes for the best. Set max_epochs to a number to train.'
        )


def planned_training(
    classifier: Any, labelled: np.ndarray, n_classes: int, going_on: bool
) -> dict[str, Any]:
    """What a classifier's parameters ask for, given so many labels.

    Parameters
    ----------
    classifier : estimator
    labelled : ndarray of bool
        Which of the texts have a label.
    n_classes : int
    going_on : bool
        Whether there is a trained classifier already, whose parts stay what they are.

    Returns
    -------
    dict
        "head_start", "max_epochs" and "linear_share", instead of "auto" (the last may be "auto"
        still: held-out texts decide); "deadline", of the time budget, or None; "reads_only",
        whether "auto" epochs of a pretrained language model are none; "validation_fraction", of the
        texts, which are set aside, or None.
    """
    deadline = deadline_of(classifier.time_budget)
    n_labelled = int(labelled.sum())
    begins, n_epochs = classifier.head_start, classifier.max_epochs
    share = classifier.linear_share
    given_by_steps = not isinstance(classifier.unfreeze_schedule, str)
    chooses = n_epochs == "auto" and not given_by_steps
    alone = share in ("auto", 1)  # (another one asks for a training, as sizes of a head do)
    few = chooses and alone and are_few(n_labelled, n_classes)
    if going_on:  # with the parts that there are: a linear model of few labels is solved for anew
        anew = few and begins != "random" and classifier.trained_.is_linear
        begins, share = ("solved", "auto") if anew else ("random", 0.0)
    if begins == "auto":
        begins = "solved" if few and classifier.head_sizes == "auto" else "random"
    n_epochs = 0 if begins == "solved" and alone and n_epochs == "auto" else classifier._n_epochs
    if chooses and n_labelled >= MANY_TEXTS:
        n_epochs = min(n_epochs, EPOCHS_OF_MANY)
    if share == "auto" and not (chooses or begins == "solved"):
        share = 0.0
    if not (n_epochs or given_by_steps):
        share = float(begins == "solved")
    if chooses:
        warn_of_idle_parameters(classifier, n_epochs)
        _log.info(
            "%d labelled texts of %d classes: the head begins %s, and is trained for %d epochs",
            *(n_labelled, n_classes, begins, n_epochs),
        )
    fraction = None
    if classifier.early_stopping or classifier.calibrate:
        fraction = classifier.validation_fraction
    return {
        "head_start": begins,
        "max_epochs": n_epochs,
        "linear_share": share if isinstance(share, str) else float(share),
        "deadline": deadline,
        # A solution alone gains nothing by a language model that has been trained on its texts.
        "reads_only": share == 1 and bool(labelled.all()),
        "validation_fraction": fraction,
    }
