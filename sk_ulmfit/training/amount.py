"""How much training an amount of data is worth: what "auto" stands for.

Chosen on held-out training texts of several sets. Each is a function of numbers of texts alone, so
that equal input gives equal training.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

_log = logging.getLogger("sk_ulmfit")

# Epochs of a training that is worth it: of the language model, and of the classifier.
FINE_TUNING_EPOCHS = 15
CLASSIFIER_EPOCHS = 25

# Of fewer texts than this a network learns less than chance makes it forget.
_FEW_TEXTS = 500

# So many for every class, where there are many.
_FEW_TEXTS_A_CLASS = 40


def fine_tuning_epochs(n_texts: int) -> int:
    """Epochs that a pretrained language model is worth fine-tuning for (stage 2).

    Parameters
    ----------
    n_texts : int
    """
    return 0 if n_texts < _FEW_TEXTS else FINE_TUNING_EPOCHS


def classifier_epochs(n_labelled: int, n_classes: int) -> int:
    """Epochs that a classifier is worth training for (stage 3).

    Parameters
    ----------
    n_labelled, n_classes : int

    Returns
    -------
    int
        0: the solution of a regression on what the language model says is better.
    """
    few = n_labelled < max(_FEW_TEXTS, _FEW_TEXTS_A_CLASS * n_classes)
    return 0 if few else CLASSIFIER_EPOCHS


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
        Whether there is a trained head already.

    Returns
    -------
    dict
        "solves", whether the head is solved for; "max_epochs", of the training after that;
        "reads_only", whether "auto" epochs of a pretrained language model are none;
        "validation_fraction", of the texts, which are set aside, or None.
    """
    solves = classifier.head_start == "solved" and not going_on
    n_epochs = classifier._n_epochs
    n_labelled = int(labelled.sum())
    chooses = classifier.max_epochs == "auto" and isinstance(classifier.unfreeze_schedule, str)
    if chooses and not going_on:
        if (classifier.head_start, classifier.head_sizes) == ("auto", "auto"):
            solves = classifier_epochs(n_labelled, n_classes) == 0
        n_epochs = 0 if solves else n_epochs
        _log.info(
            "%d labelled texts of %d classes: the head begins %s, and is trained for %d epochs",
            *(n_labelled, n_classes, "solved" if solves else "random", n_epochs),
        )
    trains = n_epochs > 0 or not isinstance(classifier.unfreeze_schedule, str)
    sets_aside = classifier.early_stopping or classifier.calibrate or (solves and trains)
    return {
        "solves": solves,
        "max_epochs": n_epochs,
        # A solution alone gains nothing by a language model that has been trained on its texts.
        "reads_only": solves and not trains and bool(labelled.all()),
        "validation_fraction": classifier.validation_fraction if sets_aside else None,
    }
