"""Devices: what choosing one does not change, and what is said of busy cores."""

from __future__ import annotations

import os
import warnings

import pytest
import torch

from sk_ulmfit.modules import TextClassifier
from sk_ulmfit.modules.awd_lstm import EncoderSizes
from sk_ulmfit.training import devices
from tests.helpers import language_model

CPU = torch.device("cpu")
needs_load = pytest.mark.skipif(not hasattr(os, "getloadavg"), reason="no load average here")


@pytest.fixture
def two_threads(monkeypatch):
    """As a process has them by itself, with nothing said yet."""
    monkeypatch.setattr(devices, "_busy_cores_were_told", False)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    monkeypatch.undo()
    torch.set_num_threads(before)


@pytest.mark.parametrize("device", ["auto", "cpu", CPU, "no such"])
def test_choosing_a_device_changes_no_threads(two_threads, device):
    if device == "no such":
        with pytest.raises(ValueError, match="device must be"):
            devices.resolve_device(device)
    else:
        devices.resolve_device(device)
    assert torch.get_num_threads() == 2


@needs_load
def test_busy_cores_are_told_once(two_threads, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (os.cpu_count() + 1.5, 0.0, 0.0))
    torch.set_num_threads(1)  # as told, not as used: what is told of is slow
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.warns(RuntimeWarning, match="2 threads.*OMP_WAIT_POLICY=PASSIVE") as told:
        language_model(max_epochs=1).fit(["how do I pay", "where is my card"])
        devices.warn_of_busy_cores(CPU)
    assert len([one for one in told if "threads" in str(one.message)]) == 1


@needs_load
@pytest.mark.parametrize("case", ["idle", "one thread", "patient", "bounded", "GPU"])
def test_nothing_is_told_where_nothing_waits(two_threads, monkeypatch, case):
    load = 0.5 if case == "idle" else os.cpu_count() + 9.0
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    if case == "one thread":
        torch.set_num_threads(1)
    if case in ("patient", "bounded"):
        name, value = {
            "patient": ("OMP_WAIT_POLICY", "PASSIVE"),
            "bounded": ("GOMP_SPINCOUNT", "1000"),
        }[case]
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        devices.warn_of_busy_cores(torch.device("cuda") if case == "GPU" else CPU)


@pytest.mark.parametrize(
    ("amp", "device", "computes", "hidden", "expected"),
    [
        ("auto", "cpu", True, 512, True),
        ("auto", "cpu", True, 64, False),
        ("auto", "cpu", False, 512, False),
        ("auto", "meta", True, 512, False),
        (True, "cpu", False, 64, True),
        (False, "cpu", True, 512, False),
    ],
)
def test_bfloat16_is_chosen_where_it_is_faster(
    monkeypatch, amp, device, computes, hidden, expected
):
    monkeypatch.setattr(devices, "has_bfloat16_instructions", lambda: computes)
    with torch.device("meta"):
        network = TextClassifier(EncoderSizes(100, 256, hidden, 2), 3)
    assert devices.wants_bfloat16(amp, torch.device(device), network) is expected
