"""How much training an amount of data is worth: what "auto" stands for.

Chosen on held-out training texts of several sets. Each is a function of numbers of texts alone, so
that equal input gives equal training.
"""

from __future__ import annotations

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
