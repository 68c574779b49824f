"""fastai's side of `speed.py`, by its Learners and DataLoaders. Runs under its own interpreter."""

import time
import warnings

import numpy as np
import pandas as pd
import torch
from _peer_fastai import do_job
from _work import LONG, SHORT, documents, job, labels, stream, take_turns, text

warnings.filterwarnings("ignore")
from fastai.text.all import (  # noqa: E402
    AWD_LSTM,
    Callback,
    CancelValidException,
    CrossEntropyLossFlat,
    DataLoaders,
    LMDataLoader,
    LMLearner,
    Pad_Chunk,
    SortedDL,
    TensorCategory,
    TensorText,
    TextDataLoaders,
    TextLearner,
    awd_lstm_clas_config,
    awd_lstm_clas_split,
    awd_lstm_lm_config,
    awd_lstm_lm_split,
    get_language_model,
    get_text_classifier,
    text_classifier_learner,
)

CPU = torch.device("cpu")
SPECIAL = 9  # ids that stand for no word
HEAD_EPOCHS = 5


class NoValidation(Callback):
    """Only training is timed."""

    def before_validate(self):
        raise CancelValidException


class Clock(Callback):
    """Notes when each step of training ended."""

    def before_fit(self):
        self.times = []

    def after_batch(self):
        if self.training:
            self.times.append(time.perf_counter())


def sizes(config, of):
    """fastai's settings with the sizes of `config`."""
    own = {"emb_sz": config.emb_size, "n_hid": config.hidden_size, "n_layers": config.n_layers}
    return {**of, **own}


def language_learner(config, docs):
    """A learner on documents of ids."""
    items = [(torch.from_numpy(numbers + SPECIAL),) for numbers in docs]
    loader = {"bs": config.batch_size, "seq_len": config.bptt}
    data = DataLoaders(
        LMDataLoader(items, shuffle=True, **loader), LMDataLoader(items, **loader), device=CPU
    )
    model = get_language_model(
        AWD_LSTM, config.n_words + SPECIAL, config=sizes(config, awd_lstm_lm_config)
    )
    return LMLearner(data, model, loss_func=CrossEntropyLossFlat(), splitter=awd_lstm_lm_split)


def lm_train(config):
    """Tokens a second."""
    n_tokens = config.batch_size * config.bptt
    docs = np.array_split(stream(config, n_tokens * config.steps + config.batch_size), 50)
    learn = language_learner(config, docs)
    clock = Clock()

    def do_round():
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, 2e-3, cbs=[clock, NoValidation()])
        return (len(clock.times) - 1) * n_tokens, clock.times[-1] - clock.times[0]

    return do_round


def lm_eval(config):
    """Tokens a second of `validate`."""
    docs = documents(config, 150, LONG, seed=1)
    learn = language_learner(config, docs)

    def do_round():
        start = time.perf_counter()
        with learn.no_bar(), learn.no_logging():
            learn.validate()
        return sum(map(len, docs)), time.perf_counter() - start

    return do_round


def classifier(config, n, mean_length):
    """A learner on labelled documents of ids."""
    docs, y = documents(config, n, mean_length, seed=2), labels(config, n)
    items = [
        (TensorText(torch.from_numpy(numbers + SPECIAL)), TensorCategory(target))
        for numbers, target in zip(docs, y, strict=True)
    ]
    loader = {
        "bs": config.batch_size,
        "res": [len(numbers) for numbers in docs],
        "before_batch": Pad_Chunk(seq_len=config.bptt),
        "device": CPU,
    }
    data = DataLoaders(
        SortedDL(items, shuffle=True, **loader), SortedDL(items, **loader), device=CPU
    )
    model = get_text_classifier(
        AWD_LSTM,
        config.n_words + SPECIAL,
        config.n_classes,
        seq_len=config.bptt,
        config=sizes(config, awd_lstm_clas_config),
        drop_mult=0.5,
        max_len=config.bptt * 20,
    )
    return TextLearner(data, model, loss_func=CrossEntropyLossFlat(), splitter=awd_lstm_clas_split)


def clf_train(config):
    """Documents a second of training all layers."""
    learn = classifier(config, config.batch_size * config.steps, LONG)
    learn.unfreeze()
    clock = Clock()

    def do_round():
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, slice(1e-3 / 2.6**4, 1e-3), cbs=[clock, NoValidation()])
        return (len(clock.times) - 1) * config.batch_size, clock.times[-1] - clock.times[0]

    return do_round


def clf_head(config):
    """Documents a second of training the head alone, for five epochs."""
    n = config.batch_size * 5
    learn = classifier(config, n, LONG)
    learn.freeze()

    def do_round():
        start = time.perf_counter()
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(HEAD_EPOCHS, 1e-3, cbs=NoValidation())
        return HEAD_EPOCHS * n, time.perf_counter() - start

    return do_round


def predictor(mean_length):
    """Documents a second of `get_preds`."""

    def prepare(config):
        n = config.batch_size * 4
        learn = classifier(config, n, mean_length)

        def do_round():
            start = time.perf_counter()
            with learn.no_bar(), learn.no_logging():
                learn.get_preds()
            return n, time.perf_counter() - start

        return do_round

    return prepare


def predict_one(config):
    """Documents a second of `Learner.predict`."""
    words = np.array_split(stream(config, config.n_words), 40)
    texts = [text(numbers) for numbers in documents(config, 20, SHORT, seed=3)]
    frame = pd.DataFrame({"text": [text(part) for part in words], "label": labels(config, 40)})
    data = TextDataLoaders.from_df(
        frame, text_col="text", label_col="label", valid_pct=0.2, bs=8, device=CPU
    )
    learn = text_classifier_learner(
        data, AWD_LSTM, config=sizes(config, awd_lstm_clas_config), pretrained=False
    )

    def do_round():
        start = time.perf_counter()
        with learn.no_bar(), learn.no_logging():
            for one in texts:
                learn.predict(one)
        return len(texts), time.perf_counter() - start

    return do_round


def pipeline(config):
    """Texts a second from labelled texts to predictions, with fastai's recipe."""
    given = job()

    def do_round():
        start = time.perf_counter()
        do_job(given)
        return len(given["train"][0]) + len(given["test"]), time.perf_counter() - start

    return do_round


# fastai cannot mix precisions on a CPU.
ROWS = {
    "lm-train": lm_train,
    "lm-train-amp": lm_train,
    "lm-eval": lm_eval,
    "clf-train": clf_train,
    "clf-train-amp": clf_train,
    "clf-head": clf_head,
    "predict-short": predictor(SHORT),
    "predict-long": predictor(LONG),
    "predict-one": predict_one,
    "pipeline": pipeline,
}

if __name__ == "__main__":
    take_turns(ROWS)
