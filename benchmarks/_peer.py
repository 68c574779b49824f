"""fastai's ULMFiT on the same texts, from the same pretrained weights.

fastai wants other versions of packages than we do, so it lives in a virtual environment of its own:
one with `pip install fastai==2.8.12` will do. `_peer_fastai.py` is what runs there.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _runs import PAPERS, PAPERS_LM, Labelled

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.models import TrainedLanguageModel
from sk_ulmfit.pretrained import load_pretrained

SCRIPT = Path(__file__).with_name("_peer_fastai.py")

# What fastai calls the weights of an LSTM layer.
LSTM_NAMES = {
    "weight_hh_l0_raw": "weight_hh",
    "module.weight_ih_l0": "weight_ih",
    "module.bias_ih_l0": "bias_ih",
    "module.bias_hh_l0": "bias_hh",
}


def measure_fastai(interpreter: str, train: Labelled, test: Labelled, seed: int) -> dict[str, Any]:
    """Train fastai for as many epochs, in batches of the size, that are our defaults.

    Returns
    -------
    dict
        JSON-able: the error in percent, times, versions.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = job_for_fastai(folder, train, test, seed)
        done = subprocess.run(
            [interpreter, str(SCRIPT)], input=json.dumps(job), text=True, stdout=subprocess.PIPE
        )
        if done.returncode:
            raise RuntimeError(f"{interpreter} {SCRIPT.name} failed: see its message above.")
        result = json.loads(done.stdout.splitlines()[-1])
    predicted = np.array(result.pop("predicted"))
    error = 100 * float(np.mean(predicted != np.array(test[1])))
    return {"n_train": len(train[0]), "n_test": len(test[0]), "error": round(error, 3), **result}


def job_for_fastai(folder: str, train: Labelled, test: Labelled, seed: int) -> dict[str, Any]:
    """What `_peer_fastai.py` is told; en-small goes into `folder`."""
    model = load_pretrained("en-small")
    lm, clf = ULMFiTLanguageModel(**PAPERS_LM), ULMFiTClassifier(**PAPERS)
    write_for_fastai(model, Path(folder))
    return {
        "folder": folder,
        "sizes": {
            "emb_sz": model.emb_size,
            "n_hid": model.hidden_size,
            "n_layers": model.n_layers,
        },
        "epochs": [lm.max_epochs, clf.max_epochs],
        "batch_sizes": [lm.batch_size, clf.batch_size],
        "threads": torch.get_num_threads(),
        "seed": seed,
        "train": train,
        "test": test[0],
    }


def write_for_fastai(model: TrainedLanguageModel, folder: Path) -> None:
    """Write the forward direction as ``models/start.pth`` and ``models/start.pkl``."""
    weights = model.weights["forward"]
    # The order counts: fastai takes them one by one, whatever they are called.
    names = dict.fromkeys(("0.encoder.weight", "0.encoder_dp.emb.weight"), "encoder.embedding")
    for layer in range(model.n_layers):
        for theirs, ours in LSTM_NAMES.items():
            names[f"0.rnns.{layer}.{theirs}"] = f"encoder.layers.{layer}.{ours}"
    names |= {"1.decoder.weight": "encoder.embedding", "1.decoder.bias": "bias"}
    state = {theirs: torch.from_numpy(weights[ours].copy()) for theirs, ours in names.items()}
    (folder / "models").mkdir()
    torch.save(state, folder / "models" / "start.pth")
    with (folder / "models" / "start.pkl").open("wb") as file:
        pickle.dump(list(model.tokenizer.vocab.tokens), file)
