"""What figures read off an estimator."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..schedules import layer_groups


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
    from .._estimator import ULMFiTEstimator  # with torch, which drawing does not need

    if not isinstance(estimator, ULMFiTEstimator):
        raise TypeError(
            "estimator must be a ULMFiTClassifier or a ULMFiTLanguageModel, got "
            f"{type(estimator).__name__}. Of a Pipeline hand over the step."
        )


def group_names(estimator: Any, n_layers: int | None = None) -> tuple[str, ...]:
    """Names of the layer groups, lowest first, of a fitted estimator or one of `n_layers`."""
    classifies = is_classifier(estimator)
    if n_layers is None:
        trained = estimator.trained_
        n_layers = (trained.language_model if classifies else trained).n_layers
    kind = "classifier" if classifies else "language model"
    return tuple(group.name for group in layer_groups(kind, n_layers))


def groups_in_words(names: Sequence[str], groups: Collection[int]) -> str:
    """Name layer groups: "layer 1, layer 2"."""
    if len(names) == len(groups) > 1:
        return "all layers"
    return ", ".join(names[group] for group in sorted(groups))
