"""Devices, mixed precision and seeds."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import torch

from .._compat import has_bfloat16_instructions, has_bfloat16_kernels
from .._warnings import warn
from .distributed import own_gpu

# Weights of an LSTM, from which on products in bfloat16 save more than conversions cost.
_WORTH_BFLOAT16 = 1_000_000


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn the parameter `device` into a torch device.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` takes the GPU if there is one that this process can use: one that was forked
        from a process that has used it cannot. Of several GPUs, each of the processes that
        torchrun started has its own. Apple's ``"mps"`` is taken only if it is named: nothing is
        tested there.

    Raises
    ------
    ValueError
        If torch does not know the name, or the machine lacks the device.
    """
    if str(device) == "auto":
        device = "cuda" if _gpu_is_usable() else "cpu"
    resolved = named_device(device)
    if resolved == torch.device("cuda") and (own := own_gpu()) is not None:
        resolved = torch.device("cuda", own)
    try:
        torch.empty(1, device=resolved)
        torch.Generator(device=resolved)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"device={device!r} was asked for, but torch cannot compute on it here ({error}). Use "
            "device='auto' (set_params(device='auto') if it is fitted) to take a GPU where there "
            "is one and the CPU elsewhere."
        ) from error
    return resolved


def named_device(device: str | torch.device) -> torch.device:
    """Device of a name, be there one or not.

    Raises
    ------
    ValueError
        If torch does not know the name.
    """
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda' or a torch device, got {device!r:.80}."
        ) from error


def _gpu_is_usable() -> bool:
    if not torch.cuda.is_available():
        return False
    try:
        torch.empty(1, device="cuda")
    except RuntimeError as error:
        return "forked" not in str(error)
    return True


_busy_cores_were_told = False


def warn_of_busy_cores(device: torch.device) -> None:
    """Say once what makes a training crawl: threads of OpenMP that wait for one without a core.

    Warns
    -----
    RuntimeWarning
        If torch computes with several threads on a CPU that has had a core's work too much to do
        for the last minute.
    """
    global _busy_cores_were_told
    n_threads, n_cores = torch.get_num_threads(), os.cpu_count() or 1
    patient = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    if device.type != "cpu" or n_threads == 1 or patient or _busy_cores_were_told:
        return
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > n_cores + 1:
        _busy_cores_were_told = True
        warn(
            f"torch computes with {n_threads} threads, and other work keeps the cores busy (a load "
            f"of {load:.1f} on {n_cores} cores): threads that wait for one another can make a "
            "training a hundred times slower. torch.set_num_threads(1) helps, or "
            "OMP_WAIT_POLICY=PASSIVE in the environment before Python starts.",
            RuntimeWarning,
        )


def wants_bfloat16(amp: bool | str, device: torch.device, network: torch.nn.Module) -> bool:
    """Tell what ``amp="auto"`` stands for.

    Parameters
    ----------
    amp : bool or "auto"
        "auto": on a CPU that computes in bfloat16, for LSTMs of some size. An epoch of en-small
        takes two thirds of the time there, at equal error; smaller ones gain nothing.
    device : torch.device
    network : torch.nn.Module
    """
    if isinstance(amp, bool):
        return amp
    layers = getattr(getattr(network, "encoder", None), "layers", None)
    n_weights = sum(weight.numel() for weight in layers.parameters()) if layers is not None else 0
    return device.type == "cpu" and n_weights >= _WORTH_BFLOAT16 and has_bfloat16_instructions()


def mixed_precision(device: torch.device, amp: bool) -> contextlib.AbstractContextManager[Any]:
    """Autocast to bfloat16 if `amp` and the device computes in it, else do nothing.

    bfloat16 has float32's range, so no loss scaling is needed.
    """
    if not (amp and _computes_in_bfloat16(device)):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _computes_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # Without oneDNN's kernels for it, the LSTM refuses bfloat16 on a CPU.
    return device.type == "cpu" and has_bfloat16_kernels()


def seeded_generator(seed: int, device: torch.device) -> torch.Generator:
    """Make a random generator of its own for one training."""
    return torch.Generator(device=device).manual_seed(int(seed))
