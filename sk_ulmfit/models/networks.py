"""Networks for models: built of numpy arrays, and kept for the next question."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch

# The state dict of one network.
Weights = dict[str, np.ndarray]


class Answering:
    """Base of frozen dataclasses that are asked by networks built of their `weights`.

    What is worked out on the way (networks, checksums) is kept beside the fields: it is no part of
    a pickle, a copy or a hash. As the fields never change, what is kept stays right.
    """

    weights: dict[str, Weights]

    # Builds the network of one direction, with copies of its weights.
    module: Callable[..., Any]

    def _network(self, direction: str, device: torch.device, **how: Any) -> Any:
        """Take the network of a direction, or build it if it is asked for the first time."""
        kept = vars(self).setdefault("_built", {})
        key = (direction, str(device), *how.items())
        if key not in kept:
            kept[key] = self.module(direction, **how).to(device).eval()
        return kept[key]

    def _networks(self, device: torch.device, **how: Any) -> dict[str, Any]:
        """Take the networks of all directions."""
        return {direction: self._network(direction, device, **how) for direction in self.weights}

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


def empty_module(factory: Any, *args: Any, **kwargs: Any) -> Any:
    """Build a module whose weights are not set yet.

    torch's constructors would draw them from the global random state, which is the user's. So is
    the default dtype, and the mode in which tensors can have no gradients. Buffers that are no part
    of the state are to be set by whoever builds it.
    """
    with torch.inference_mode(False):
        with torch.device("meta"):
            module = factory(*args, **kwargs).float()
        # (`to_empty` does the same, but imports a computer algebra system for it)
        state = {
            name: torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
            for name, tensor in module.state_dict().items()
        }
        module.load_state_dict(state, assign=True)
        return module


def load_arrays(module: torch.nn.Module, arrays: Weights) -> None:
    """Copy numpy arrays into a module's parameters and buffers."""
    tensors = {
        # torch warns of arrays that cannot be written to, as joblib maps them from files.
        name: torch.from_numpy(array if array.flags.writeable else array.copy())
        for name, array in arrays.items()
    }
    module.load_state_dict(tensors)


def to_arrays(module: torch.nn.Module) -> Weights:
    """Copy a module's parameters and buffers into numpy arrays."""
    return {
        name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()
    }


def joined(parts: Mapping[str, Mapping[str, np.ndarray]]) -> Weights:
    """Arrays of several parts by names that begin with their part's and a slash."""
    return {f"{part}/{name}": a for part, arrays in parts.items() for name, a in arrays.items()}


def parted(arrays: Weights) -> dict[str, Weights]:
    """Undo `joined`."""
    parts: dict[str, Weights] = {}
    for key, array in arrays.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = array
    return parts


def check_size(name: str, size: Any, largest: int) -> None:
    """Refuse what a file says of a size that no network of so many weights can have.

    Raises
    ------
    ValueError
    """
    if type(size) is not int or not 1 <= size <= largest:
        raise ValueError(f"{name} cannot be {size!r:.80}.")


def checked_weights(
    arrays: Weights, factory: Any, *args: Any, half_precision: Collection[str] = (), **kwargs: Any
) -> Weights:
    """Refuse weights of a file that do not fit a network, or are no finite numbers.

    Parameters
    ----------
    arrays : dict of str to ndarray
    factory, *args, **kwargs
        What builds the network.
    half_precision : collection of str, default=()
        Names of what stays in half precision, if it is.

    Returns
    -------
    dict of str to ndarray
        All else in single precision, whatever they are in on disk.

    Raises
    ------
    ValueError
    """
    with torch.device("meta"):  # of any size
        expected = factory(*args, **kwargs).state_dict()
    found = {name: array.shape for name, array in arrays.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"The weights do not fit the sizes: {name} has shape {found.get(name)}, it should "
                f"be {wanted.get(name)}."
            )
    checked = dict(arrays)
    for name, array in arrays.items():
        kind = "f" if expected[name].is_floating_point() else "i"
        if array.dtype.kind != kind:
            raise ValueError(f"{name} cannot be of the type {array.dtype}.")
        if kind == "f":
            if not (name in half_precision and array.dtype == np.float16):
                with np.errstate(over="ignore"):
                    checked[name] = array.astype(np.float32, copy=False)
            if not np.isfinite(checked[name]).all():
                raise ValueError(f"{name} holds values that are not finite.")
    return checked
