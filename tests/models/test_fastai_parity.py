"""fastai itself, side by side: its own files, read here, give its own logits.

Needs an interpreter that has fastai, which is named by the environment variable
SK_ULMFIT_FASTAI_PYTHON. It runs in a process of its own: fastai is no dependency of the tests.
"""

from __future__ import annotations

import os
import pickle
import subprocess

import numpy as np
import pytest
import torch

from sk_ulmfit.models.fastai import read_fastai
from sk_ulmfit.text.rules import SPECIAL_TOKENS

PYTHON = os.environ.get("SK_ULMFIT_FASTAI_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="SK_ULMFIT_FASTAI_PYTHON is not set")

TOKENS = [*SPECIAL_TOKENS, *(f"word{i}" for i in range(80)), "xxfake", "xxfake", "xxfake"]
TIME, BATCH = 40, 3

# Trains a few steps, so that nothing is at its start, and saves in all of fastai's own ways.
FASTAI = """
import sys
from pathlib import Path
import numpy as np
import torch
from fastai.text.all import *

directory, n_tokens, hidden_size, n_layers = Path(sys.argv[1]), *map(int, sys.argv[2:])
torch.manual_seed(0)
config = dict(awd_lstm_lm_config, emb_sz=16, n_hid=hidden_size, n_layers=n_layers)
model = get_language_model(AWD_LSTM, n_tokens, config=config)
batches = [
    (ids[:, :-1], ids[:, 1:]) for ids in torch.randint(0, n_tokens, (8, 4, 21)).unbind()
]
loss = CrossEntropyLossFlat()
dls = DataLoaders(batches, batches)
learn = LMLearner(dls, model, loss_func=loss, path=directory, model_dir=".", opt_func=Adam)
learn.create_opt()
learn.opt.set_hypers(lr=1e-2)
for x, y in batches:
    loss(model(x)[0], y).backward()
    learn.opt.step()
    learn.opt.zero_grad()
with torch.no_grad():
    for parameter in model.parameters():
        parameter.mul_(4)  # large enough for every weight to show in the logits
    model[1].decoder.bias.normal_()
learn.save("learner")
learn.save("model", with_opt=False)
learn.save_encoder("encoder")
torch.save(model.state_dict(), directory / "plain.pth")
torch.save(model.state_dict(), directory / "old.pth", _use_new_zipfile_serialization=False)
model.eval()
model.reset()
ids = torch.from_numpy(np.load(directory / "ids.npy"))
with torch.no_grad():
    np.save(directory / "logits.npy", model(ids)[0].numpy())
"""

SIZES = {"published layers": (24, 3), "two layers": (40, 2), "one layer": (16, 1)}
ORDERS = ["fastai's order", "another order"]


@pytest.fixture(scope="module", params=[(s, o) for s in SIZES for o in ORDERS], ids=" ".join)
def made_by_fastai(request, tmp_path_factory):
    """Directory of fastai's files, and tokens, ids and logits."""
    size, order = request.param
    rng = np.random.default_rng(0)
    tokens = list(TOKENS)
    if order == "another order":
        tokens = [TOKENS[i] for i in rng.permutation(len(TOKENS))]
    directory = tmp_path_factory.mktemp("fastai")
    real = np.flatnonzero(np.array(tokens) != "xxfake")
    ids = rng.choice(real, size=(BATCH, TIME))
    np.save(directory / "ids.npy", ids)
    (directory / "itos.pkl").write_bytes(pickle.dumps(tokens))
    arguments = [str(n) for n in (directory, len(tokens), *SIZES[size])]
    subprocess.run([PYTHON, "-c", FASTAI, *arguments], check=True, timeout=250)
    return directory, tokens, ids, np.load(directory / "logits.npy")


@pytest.mark.parametrize("file", ["model", "plain", "old", "encoder"])
def test_logits_are_fastais(file, made_by_fastai):
    directory, tokens, ids, expected = made_by_fastai
    trained = read_fastai(directory / f"{file}.pth")
    vocab = trained.tokenizer.vocab
    columns = [row for row, token in enumerate(tokens) if token != "xxfake"]
    assert list(vocab.tokens) == [tokens[row] for row in columns]
    module = trained.module("forward").eval()
    if file == "encoder":  # has no softmax bias
        plain = read_fastai(directory / "plain.pth")
        module.load_state_dict({**module.state_dict(), "bias": plain.module("forward").bias})
    ours = [[vocab.id(tokens[i]) for i in document] for document in ids]
    with torch.no_grad():
        logits = module.logits(module(torch.tensor(ours).T).hidden).transpose(0, 1).numpy()
    assert np.abs(logits - expected[:, :, columns]).max() < 1e-5
    assert np.ptp(expected) > 1  # logits that are nearly the same would agree by chance


def test_what_was_saved_with_the_optimizer_is_refused(made_by_fastai):
    with pytest.raises(ValueError, match="with_opt=False"):
        read_fastai(made_by_fastai[0] / "learner.pth")
