"""Processes started by torchrun that train one language model together."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from sk_ulmfit import ULMFiTLanguageModel, load
from sk_ulmfit.datasets import load_banking77

TEXTS = list(load_banking77(subset="train").data[:200])
PARAMS = {
    "pretrained": None,
    "emb_size": 16,
    "hidden_size": 32,
    "bptt": 20,
    "batch_size": 8,
    "max_epochs": 2,
    "random_state": 0,
}

PROGRAM = """
import os, sys
from pathlib import Path
from sk_ulmfit import ULMFiTLanguageModel
directory = Path(sys.argv[1])
lm = ULMFiTLanguageModel(**{"device": "cpu", **eval(sys.argv[2])})
if {fit}:
    lm.fit(directory / "texts.txt")
else:
    texts = (directory / "texts.txt").read_text(encoding="utf-8").split("\\n\\n")
    lm.partial_fit(texts[:100]).partial_fit(texts[100:])
lm.save(directory / ("model-" + os.environ["RANK"]))
"""


def torchrun(tmp_path, params, n_processes=2, fit=True):
    (tmp_path / "texts.txt").write_text("\n\n".join(TEXTS), encoding="utf-8")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("{fit}", str(fit)))
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(n_processes), str(program), str(tmp_path), repr(params)),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )


def assert_close(one, other):
    for direction, weights in one.trained_.weights.items():
        for name, array in weights.items():
            np.testing.assert_allclose(
                array, other.trained_.weights[direction][name], atol=1e-4, err_msg=name
            )
    losses = [
        [epoch["train_loss"] for epoch in model.history_ if "train_loss" in epoch]
        for model in (one, other)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize(
    "params", [{}, {"softmax_samples": 40, "early_stopping": True, "direction": "backward"}]
)
def test_two_processes_learn_what_one_does(params, tmp_path):
    params = {**PARAMS, **params}
    done = torchrun(tmp_path, {**params, "checkpoint_dir": str(tmp_path / "run")})
    assert done.returncode == 0, done.stderr
    alone = ULMFiTLanguageModel(**params, device="cpu").fit(tmp_path / "texts.txt")
    start = ULMFiTLanguageModel(**{**params, "lr": 1e-9}).fit(tmp_path / "texts.txt")
    together = [load(tmp_path / f"model-{rank}") for rank in (0, 1)]
    assert together[0].trained_.fingerprint == together[1].trained_.fingerprint
    assert_close(together[0], alone)
    with pytest.raises(AssertionError):
        assert_close(together[0], start)
    # What two have begun one can finish: the checkpoint knows nothing of how many there were.
    resumed = ULMFiTLanguageModel(**params, checkpoint_dir=str(tmp_path / "run"))
    assert resumed.fit(tmp_path / "texts.txt").trained_.fingerprint == (
        together[0].trained_.fingerprint
    )


def test_processes_agree_on_what_is_drawn_also_in_partial_fit_without_random_state(tmp_path):
    done = torchrun(tmp_path, {**PARAMS, "random_state": None}, fit=False)
    assert done.returncode == 0, done.stderr
    together = [load(tmp_path / f"model-{rank}") for rank in (0, 1)]
    assert together[0].trained_.fingerprint == together[1].trained_.fingerprint
    assert together[0].history_ == together[1].history_


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("n_processes", [1, 2])
def test_processes_that_share_a_gpu_learn_what_one_does(n_processes, tmp_path):
    done = torchrun(tmp_path, {**PARAMS, "device": "auto"}, n_processes)
    assert done.returncode == 0, done.stderr
    alone = ULMFiTLanguageModel(**PARAMS, device="cuda").fit(tmp_path / "texts.txt")
    together = load(tmp_path / "model-0").perplexity(TEXTS)
    assert together == pytest.approx(alone.perplexity(TEXTS), rel=1e-2)


def test_more_processes_than_parts_of_a_batch_are_refused(tmp_path):
    done = torchrun(tmp_path, {**PARAMS, "batch_size": 1})
    assert done.returncode != 0
    assert "2 processes cannot share a batch of 1 parts of text" in done.stderr
