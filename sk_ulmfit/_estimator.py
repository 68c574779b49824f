"""What the two estimators share: parameters of training, seeds, pickling, saving."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from .models.directory import plain, write_model
from .schedules import SCHEDULES

DIRECTIONS = {
    "forward": ("forward",),
    "backward": ("backward",),
    "both": ("forward", "backward"),
}


# Attributes that fits which go on draw their random numbers by.
_GOING_ON = ("_n_continued", "_first_split_seed")


class ULMFiTEstimator(BaseEstimator):
    """Base of `ULMFiTLanguageModel` and `ULMFiTClassifier`."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_decay": [Interval(Real, 1, None, closed="left")],
        "schedule": [StrOptions(set(SCHEDULES))],
        "cut_frac": [Interval(Real, 0, 1, closed="neither")],
        "lr_ratio": [Interval(Real, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "bptt": [Interval(Integral, 1, None, closed="left")],
        "dropout_mult": [Interval(Real, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "early_stopping": ["boolean"],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "callbacks": ["array-like", None],
        "device": "no_validation",  # type: ignore[dict-item]
        "amp": ["boolean"],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # The parameter that may hold a trained model: it is used, not trained, so clones keep it.
    _trained_parameter: ClassVar[str]

    # Fitted attributes that are made again when they are needed: never pickled, never hashed.
    _cached: ClassVar[tuple[str, ...]] = ()

    def _seeds(self, going_on: bool) -> Iterator[int]:
        """Seeds for one fit, others for each fit that goes on from the one before."""
        self._n_continued = getattr(self, "_n_continued", 0) + 1 if going_on else 0
        seed = self.random_state
        if going_on and isinstance(seed, Integral):
            random = np.random.RandomState([int(seed), self._n_continued])
        else:
            random = random_numbers(seed)
        return iter(lambda: int(random.randint(np.iinfo(np.int32).max)), None)

    def _split_seed(self, drawn: int, going_on: bool) -> int:
        """The seed of what is held out: a fit that goes on holds out what the first one did.

        Judged by other texts, it would be judged by what it was trained on.
        """
        if not going_on or not hasattr(self, "_first_split_seed"):
            self._first_split_seed = drawn
        return self._first_split_seed

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "trained_")

    def _options(self, seed: int, **overrides: Any) -> Any:
        from .training.devices import resolve_device
        from .training.net import TrainingOptions

        options = {
            "lr": self.lr,
            "lr_decay": self.lr_decay,
            "schedule": self.schedule,
            "cut_frac": self.cut_frac,
            "lr_ratio": self.lr_ratio,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "bptt": self.bptt,
            "weight_decay": self.weight_decay,
            "patience": self.patience if self.early_stopping else None,
            "device": resolve_device(self.device),
            "amp": bool(self.amp),
            "seed": seed,
            "verbose": int(self.verbose),
            "callbacks": () if self.callbacks is None else tuple(self.callbacks),
        }
        return TrainingOptions(**{**options, **overrides})

    def __sklearn_clone__(self) -> Any:
        cloned = super().__sklearn_clone__()
        trained = getattr(self, self._trained_parameter)
        if hasattr(trained, "trained_"):
            # clone() un-fits estimators in parameters: a search would start from random weights.
            # A copy shares the weights, but not the parameters, which a search may set.
            setattr(cloned, self._trained_parameter, copy.copy(trained))
        return cloned

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in self._cached}

    def save(self, path: Any) -> None:
        """Save the fitted estimator as a directory of safetensors and JSON.

        Parameters
        ----------
        path : str or path
            The directory; an earlier model there is replaced. `sk_ulmfit.load` reads it.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        FileExistsError
            If `path` is something else than a saved model.

        Notes
        -----
        Parameters that JSON cannot hold (callbacks, estimators) are not saved: the loaded
        estimator has their defaults, and predicts the same.
        """
        description, arrays = self._to_saved()
        params = self.get_params(deep=False)
        description = {
            "class": type(self).__name__,
            "params": {name: value for name, value in params.items() if _is_jsonable(value)},
            "going_on": {name: vars(self)[name] for name in _GOING_ON if name in vars(self)},
            **description,
        }
        write_model(path, description, arrays)

    def _to_saved(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        raise NotImplementedError

    @classmethod
    def _of_saved_params(cls, description: dict[str, Any]) -> Any:
        """An estimator that is not fitted yet, but would go on as the saved one."""
        params = {  # of whose tuples JSON has made lists
            name: tuple(value) if isinstance(value, list) else value
            for name, value in description["params"].items()
        }
        estimator = cls(**params)
        saved = description.get("going_on", {})  # older files lack it
        for name in _GOING_ON:
            if name in saved:
                setattr(estimator, name, int(saved[name]))
        return estimator


def random_numbers(random_state: Any) -> np.random.RandomState:
    """Turn a `random_state` into a generator.

    None draws its seed from the system: numpy's global state stays as it was.
    """
    return np.random.RandomState() if random_state is None else check_random_state(random_state)


def _is_jsonable(value: Any) -> bool:
    try:
        restored = json.loads(json.dumps(value, default=plain))
    except (TypeError, ValueError):
        return False
    return bool(restored == (list(value) if isinstance(value, tuple) else value))


def continued(before: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the history of a fit that went on behind that of the fits before."""
    n_before = max((epoch["epoch"] for epoch in before), default=0)
    return before + [{**epoch, "epoch": epoch["epoch"] + n_before} for epoch in epochs]
