"""What the two estimators share: parameters of training, seeds, what was given, saving."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from ._compat import Interval, StrOptions
from ._parameters import describe_parameters
from ._random import random_numbers
from ._version import __version__
from ._warnings import warn
from .models.directory import digest_of_model, write_model
from .schedules import MOST_EPOCHS, SCHEDULES
from .training.devices import named_device
from .training.net import check_callbacks

DIRECTIONS = {
    "forward": ("forward",),
    "backward": ("backward",),
    "both": ("forward", "backward"),
}


# Attributes that fits which go on draw their random numbers by.
_GOING_ON = ("_n_continued", "_first_split_seed")

# What a pickle holds besides: the version that wrote it, and what a path named.
_VERSION, _START = "_sk_ulmfit_version", "_model_at_path"


# What an interrupt says that came before there was anything new to keep.
NOTHING_NEW = (
    "Interrupted before an epoch was done: the estimator is fitted as it was before, by the "
    "earlier fit."
)


class Seeds(NamedTuple):
    """Seeds of one fit, those that it needs."""

    start: int = 0  # of the language model that comes first, or of its random weights
    split: int = 0
    training: int = 0
    head: int = 0


class ULMFiTEstimator(BaseEstimator):
    """Base of `ULMFiTLanguageModel` and `ULMFiTClassifier`."""

    # The parameter that may name a model to begin with.
    _start_parameter: ClassVar[str]

    # Epochs of a training that is worth it.
    _auto_epochs: ClassVar[int]

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_decay": [Interval(Real, 1, None, closed="left")],
        "schedule": [StrOptions(set(SCHEDULES))],
        "cut_frac": [Interval(Real, 0, 1, closed="neither")],
        "lr_ratio": [Interval(Real, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 0, MOST_EPOCHS, closed="both"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "bptt": [Interval(Integral, 1, None, closed="left")],
        "dropout_mult": [Interval(Real, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "early_stopping": ["boolean"],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "callbacks": ["array-like", None],
        "device": [str, torch.device],
        "amp": ["boolean", StrOptions({"auto"})],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "time_budget": [Interval(Real, 0, None, closed="neither"), None],
        "verbose": ["verbose"],
    }

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.device != "auto":
            named_device(self.device)
        check_callbacks(self.callbacks)

    @property
    def _n_epochs(self) -> int:
        """Number of epochs of `fit`."""
        return self._auto_epochs if self.max_epochs == "auto" else int(self.max_epochs)

    def _seeds(self, going_on: bool, *names: str) -> Seeds:
        """Draw seeds for one fit, others for each fit that goes on from the one before.

        What is held out is drawn once: judged by other texts, a fit that goes on would be judged by
        what it was trained on.
        """
        seed = self.random_state
        if going_on and isinstance(seed, Integral):
            random = np.random.RandomState([int(seed), self._n_fits(going_on)])
        else:
            random = random_numbers(seed)
        drawn = {name: int(random.randint(np.iinfo(np.int32).max)) for name in names}
        if going_on and hasattr(self, "_first_split_seed"):
            drawn["split"] = self._first_split_seed
        return Seeds(**drawn)

    def _n_fits(self, going_on: bool) -> int:
        return getattr(self, "_n_continued", 0) + 1 if going_on else 0

    def _count_fit(self, going_on: bool, seeds: Seeds) -> None:
        """Remember that a fit is done: one that fails leaves the next one's seeds as they were."""
        self._n_continued = self._n_fits(going_on)
        self._first_split_seed = seeds.split

    def _keeps_earlier(self, history: list[dict[str, Any]], going_on: bool) -> bool:
        """Whether an interrupted fit leaves the one before: it has not got through an epoch."""
        return not going_on and not history and hasattr(self, "trained_")

    def set_params(self, **params: Any) -> Any:
        """Set parameters.

        Parameters
        ----------
        **params
            By name; ``outer__inner`` is one of an estimator that is a parameter.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        for name in params:
            outer, nested, inner = name.partition("__")
            holder = params.get(outer, getattr(self, outer, None))
            if (
                nested
                and outer in self.get_params(deep=False)
                and not hasattr(holder, "set_params")
            ):
                raise ValueError(
                    f"{outer}={holder!r} has no parameter {inner!r}: for {name} give an estimator, "
                    f"{outer}=ULMFiTLanguageModel(), or use a Pipeline of the two."
                )
        return super().set_params(**params)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "trained_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

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

        ValueError
            If `path` is an address such as ``s3://...``.

        Warns
        -----
        UserWarning
            If a parameter cannot be kept (callbacks, a function, a fitted estimator). The loaded
            estimator has its default, and predicts the same. If the class is one derived from this
            one: the loaded estimator is of this class.

        Notes
        -----
        `checkpoint_dir` is not kept: it belongs to one machine and one training.
        """
        described, arrays = self._to_saved()
        parameters, lost = describe_parameters(self, ULMFiTEstimator)
        # Of a derived class load() makes the one that it knows.
        kind = next(cls for cls in type(self).__mro__ if ULMFiTEstimator in cls.__bases__)
        if kind is not type(self):
            for name in parameters["params"].keys() - kind().get_params(deep=False).keys():
                del parameters["params"][name]
            warn(
                f"A saved model holds no code: the loaded estimator will be a {kind.__name__}, not "
                f"a {type(self).__name__}. A pickle keeps the class."
            )
        if lost:
            warn(
                f"{', '.join(lost)} cannot be saved as JSON: the loaded estimator will have the "
                "default, and predict the same. A pickle keeps all parameters."
            )
        own = {
            "class": kind.__name__,
            "version": __version__,
            "going_on": {name: vars(self)[name] for name in _GOING_ON if name in vars(self)},
        }
        write_model(path, {**own, **parameters, **described}, arrays)

    def _to_saved(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        raise NotImplementedError

    def _go_on_as(self, saved: dict[str, Any]) -> None:
        """Go on as the estimator that was saved would: with the seeds that come next."""
        for name, value in saved.items():
            if name not in _GOING_ON or type(value) is not int or not 0 <= value < 2**32:
                raise ValueError(f"{name} cannot be {value!r:.80}.")
            setattr(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        state = {**super().__getstate__(), _VERSION: __version__}
        # So that a cache, which goes by this state, notices that a path names another model now.
        if (digest := digest_of_model(getattr(self, self._start_parameter))) is not None:
            state[_START] = digest
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = {name: value for name, value in state.items() if name != _START}
        version = state.pop(_VERSION, "of an unknown version")
        if version != __version__:
            warn(
                f"This {type(self).__name__} was pickled by sk_ulmfit {version}, and is read by "
                f"{__version__}: it may fail, or answer otherwise. What save() writes stays "
                "readable."
            )
        super().__setstate__(state)


def continued(before: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the history of a fit that went on behind that of the fits before."""
    n_before = max((epoch["epoch"] for epoch in before), default=0)
    return before + [{**epoch, "epoch": epoch["epoch"] + n_before} for epoch in epochs]


def refuse_fitted(given: Any, name: str, as_it_is: str, recipe: str) -> None:
    """Refuse a fitted estimator as a parameter: its clones, in a search say, would not be fitted.

    Parameters
    ----------
    given : object
    name : str
        Of the parameter.
    as_it_is : str
        What it means in a `FrozenEstimator`.
    recipe : str
        What to give instead of it to train a new one.

    Raises
    ------
    ValueError
    """
    if hasattr(given, "trained_") and not isinstance(given, FrozenEstimator):
        raise ValueError(
            f"{name} is a {type(given).__name__} that is fitted, and it is not said what for. "
            f"FrozenEstimator({name}), of sklearn.frozen, {as_it_is}; the directory that its "
            f"save() wrote holds weights to begin with; {recipe} trains a new one."
        )
