"""The parameters of an estimator as JSON, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import torch

from .models.directory import plain

# It is of one machine and one training. That of a file, which may come from anyone, would be
# written to.
_LEFT_OUT = "checkpoint_dir"


def describe_parameters(estimator: Any, recipe: type) -> tuple[dict[str, Any], list[str]]:
    """Turn an estimator's parameters into what JSON can hold.

    Parameters
    ----------
    estimator : estimator
    recipe : type
        Estimators of this kind, if they are not fitted, are described as parameters too; but none
        of a class that somebody derived, which no file can bring back.

    Returns
    -------
    description : dict
        ``"params"``; dicts that have other keys than str as ``"pairs"``, estimators as
        ``"recipes"``.
    lost : list of str
        Names of parameters that cannot be kept.
    """
    description: dict[str, Any] = {"params": {}, "pairs": {}, "recipes": {}}
    lost = []
    for name, value in estimator.get_params(deep=False).items():
        if name == _LEFT_OUT:
            continue
        if isinstance(value, (os.PathLike, torch.device)):
            value = str(value)
        if recipe in type(value).__bases__ and not hasattr(value, "trained_"):
            inner, lost_inner = describe_parameters(value, recipe)
            description["recipes"][name] = inner
            lost += [f"{name}__{inner_name}" for inner_name in lost_inner]
        elif isinstance(value, dict) and comes_back(
            pairs := [list(item) for item in value.items()]
        ):
            description["pairs"][name] = pairs
        elif comes_back(value):
            description["params"][name] = value
        else:
            lost.append(name)
    return description, lost


def comes_back(value: Any) -> bool:
    """Tell whether JSON keeps a value, but for tuples, which become lists."""
    try:
        restored = json.loads(json.dumps(value, default=plain))
        return bool(restored == (list(value) if isinstance(value, tuple) else value))
    except (TypeError, ValueError):
        return False


def with_parameters(cls: type, description: Mapping[str, Any], recipe: type) -> Any:
    """Make an estimator with the parameters that `describe_parameters` described.

    Parameters
    ----------
    cls : type
    description : dict
    recipe : type
        Class of estimators that are parameters.

    Raises
    ------
    ValueError
        If one of them is not valid, or this version does not know it.
    """
    params = {  # of whose tuples JSON has made lists
        name: tuple(value) if isinstance(value, list) else value
        for name, value in description["params"].items()
    }
    params |= {name: dict(pairs) for name, pairs in description.get("pairs", {}).items()}
    for name, inner in description.get("recipes", {}).items():
        params[name] = with_parameters(recipe, inner, recipe)
    params.pop(_LEFT_OUT, None)
    estimator: Any = cls()
    if unknown := sorted(params.keys() - estimator.get_params(deep=False).keys()):
        raise ValueError(
            f"this version of sk_ulmfit has no parameters {', '.join(unknown)} of a {cls.__name__}."
        )
    estimator.set_params(**params)
    estimator._validate_params()
    return estimator
