"""Runs under an interpreter that has fastai: a job as JSON on stdin, what came out on stdout.

The recipe is that of fastai's course and documentation: the language model with all but the top
frozen for an epoch, then whole; the classifier with its head alone for an epoch, one more group
of layers for another, one more for a third, then whole. Its rates are those of the course, all else
fastai's defaults. fastai's tokenizer, spaCy's, splits the texts.
"""

import contextlib
import json
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
import torch

warnings.filterwarnings("ignore")
import fastai  # noqa: E402
from fastai.text.all import (  # noqa: E402
    AWD_LSTM,
    Callback,
    CancelValidException,
    CategoryBlock,
    ColReader,
    DataBlock,
    TextBlock,
    awd_lstm_clas_config,
    awd_lstm_lm_config,
    language_model_learner,
    set_seed,
    text_classifier_learner,
)

MOMENTUM = (0.8, 0.7, 0.8)
DROPOUT = 0.5  # the multiplier of fastai's tutorials


class NoValidation(Callback):
    """All texts are for training: there is nothing to validate on."""

    def before_validate(self):
        raise CancelValidException


def everything(items):
    """Train on all; fastai wants a validation set, which is never read."""
    return list(range(len(items))), list(range(min(len(items), 100)))


def do_job(job):
    """Train on the job's texts and predict; what the script prints."""
    torch.set_num_threads(job["threads"])
    set_seed(job["seed"], reproducible=True)
    folder, sizes = Path(job["folder"]), job["sizes"]
    lm_epochs, clf_epochs = job["epochs"]
    lm_batch, clf_batch = job["batch_sizes"]
    texts, labels = job["train"]
    frame = pd.DataFrame({"text": texts, "label": labels})
    start = time.perf_counter()

    block = TextBlock.from_df("text", is_lm=True)
    data = DataBlock(blocks=block, get_x=ColReader("text"), splitter=everything)
    loaders = data.dataloaders(frame, bs=lm_batch, path=folder, device=torch.device("cpu"))
    lm = language_model_learner(
        loaders,
        AWD_LSTM,
        config={**awd_lstm_lm_config, **sizes},
        drop_mult=DROPOUT,
        pretrained=False,
        pretrained_fnames=["start", "start"],
        path=folder,
        cbs=NoValidation,
    )
    with lm.no_bar(), lm.no_logging():
        lm.fit_one_cycle(1, 2e-2, moms=MOMENTUM)
        lm.unfreeze()
        lm.fit_one_cycle(lm_epochs - 1, 4e-3, moms=MOMENTUM)
    lm.save_encoder("encoder")
    tuned = time.perf_counter()

    block = TextBlock.from_df("text", vocab=loaders.vocab)
    data = DataBlock(
        blocks=(block, CategoryBlock),
        get_x=ColReader("text"),
        get_y=ColReader("label"),
        splitter=everything,
    )
    loaders = data.dataloaders(frame, bs=clf_batch, path=folder, device=torch.device("cpu"))
    clf = text_classifier_learner(
        loaders,
        AWD_LSTM,
        config={**awd_lstm_clas_config, **sizes},
        drop_mult=DROPOUT,
        pretrained=False,
        path=folder,
        cbs=NoValidation,
    )
    clf.load_encoder("encoder")
    steps = [(-1, 1, 2e-2), (-2, 1, 1e-2), (-3, 1, 5e-3), (0, clf_epochs - 3, 1e-3)]
    with clf.no_bar(), clf.no_logging():
        for frozen_to, epochs, lr in steps:
            clf.freeze_to(frozen_to)
            rates = lr if frozen_to == -1 else slice(lr / 2.6**4, lr)
            clf.fit_one_cycle(epochs, rates, moms=MOMENTUM)
        fitted = time.perf_counter()
        clf.remove_cb(NoValidation)  # predicting counts as validation
        test = loaders.test_dl(pd.DataFrame({"text": job["test"]}))
        probabilities, _ = clf.get_preds(dl=test)
    done = time.perf_counter()
    return {
        "predicted": [loaders.vocab[1][i] for i in probabilities.argmax(1).tolist()],
        "lm_seconds": round(tuned - start, 1),
        "fit_seconds": round(fitted - start, 1),
        "predict_per_second": round(len(job["test"]) / (done - fitted), 1),
        "versions": {"fastai": fastai.__version__, "torch": torch.__version__},
        "machine": {"threads": torch.get_num_threads()},
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        print(json.dumps(do_job(json.load(sys.stdin))))
