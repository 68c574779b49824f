"""What figures read off an estimator."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sklearn.utils.validation import check_is_fitted


def history_by_direction(estimator: Any) -> dict[str, list[dict[str, Any]]]:
    """The epochs of every direction of a fitted estimator.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is not one of this package.
    ValueError
        If it was not trained, but is a pretrained model as it is.
    """
    check_is_ours(estimator)
    check_is_fitted(estimator)
    if not estimator.history_:
        raise ValueError(
            f"This {type(estimator).__name__} has no history: it was not trained "
            f"(max_epochs={estimator.max_epochs})."
        )
    directions: dict[str, list[dict[str, Any]]] = {}
    for epoch in estimator.history_:
        directions.setdefault(epoch["direction"], []).append(epoch)
    return directions


def check_is_ours(estimator: Any) -> None:
    """Refuse other estimators than a classifier or language model of this package."""
    # By what they have: nothing here imports the estimators.
    if not all(hasattr(estimator, name) for name in ("lr_decay", "cut_frac", "fit")):
        raise TypeError(
            "estimator must be a ULMFiTClassifier or a ULMFiTLanguageModel, got "
            f"{type(estimator).__name__}. Of a Pipeline hand over the step."
        )


def is_classifier(estimator: Any) -> bool:
    """Tell a classifier from a language model."""
    return hasattr(estimator, "unfreeze_schedule")


def group_names(estimator: Any, n_groups: int) -> tuple[str, ...]:
    """Names of the layer groups, lowest first."""
    if is_classifier(estimator):
        layers = [f"layer {n}" for n in range(1, n_groups - 1)]
        return ("embedding", *layers, "head")
    # The embedding is the softmax too.
    return (*(f"layer {n}" for n in range(1, n_groups)), "embedding and softmax")


def groups_in_words(names: Sequence[str], groups: Collection[int]) -> str:
    """Name layer groups: "layer 1, layer 2"."""
    if len(names) == len(groups) > 1:
        return "all layers"
    return ", ".join(names[group] for group in sorted(groups))
