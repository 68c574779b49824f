"""Our side of `speed.py`: every row by public parameters and methods."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from _runs import PAPERS
from _work import LONG, SHORT, Config, documents, job, labels, stream, take_turns, text
from skorch.callbacks import Callback

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel

Round = Callable[[], tuple[float, float]]


class Clock(Callback):
    """Notes when each step of training ended; of all fits, as skorch is given copies."""

    times: list[float] = []  # noqa: RUF012

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.times.append(time.perf_counter())


def timed_fit(estimator, *data) -> tuple[int, float]:
    """Steps, and seconds for them; the first one warms up."""
    Clock.times.clear()
    estimator.set_params(callbacks=[Clock()]).fit(*data)
    return len(Clock.times) - 1, Clock.times[-1] - Clock.times[0]


def new_language_model(config: Config, **params) -> ULMFiTLanguageModel:
    """Untrained, of the sizes of `config`."""
    return ULMFiTLanguageModel(
        pretrained=None,
        tokenizer=str.split,
        min_freq=1,
        max_vocab=config.n_words + 20,
        emb_size=config.emb_size,
        hidden_size=config.hidden_size,
        n_layers=config.n_layers,
        batch_size=config.batch_size,
        bptt=config.bptt,
        softmax_samples=None,
        random_state=0,
        device="cpu",
        **params,
    )


def lm_train(config: Config, amp: bool = False) -> Round:
    """Tokens a second of training from a random start, whole softmax."""
    n_tokens = config.batch_size * config.bptt
    texts = [text(part) for part in np.array_split(stream(config, n_tokens * config.steps), 50)]
    lm = new_language_model(config, max_epochs=1, amp=amp)

    def do_round():
        steps, seconds = timed_fit(lm, texts)
        return steps * n_tokens, seconds

    return do_round


def lm_eval(config: Config) -> Round:
    """Tokens a second of `perplexity`."""
    texts = [text(numbers) for numbers in documents(config, 150, LONG, seed=1)]
    lm = new_language_model(config, max_epochs=0).fit([text(stream(config, config.n_words))])
    n_tokens = sum(len(part.split()) for part in texts)

    def do_round():
        start = time.perf_counter()
        lm.perplexity(texts)
        return n_tokens, time.perf_counter() - start

    return do_round


def encoded(config: Config, n: int, mean_length: int):
    """Documents as the classifier takes them."""
    lm = new_language_model(config, max_epochs=0).fit([text(stream(config, config.n_words))])
    return lm.transform([text(part) for part in documents(config, n, mean_length, seed=2)])


def new_classifier(config: Config, **params) -> ULMFiTClassifier:
    """Of fastai's shape and work: it pools the last layer alone, and reads a text once a step."""
    return ULMFiTClassifier(
        pooling="concat",
        r_drop=0.0,
        batch_size=config.batch_size,
        bptt=config.bptt,
        random_state=0,
        device="cpu",
        **params,
    )


def clf_train(config: Config, amp: bool = False) -> Round:
    """Documents a second of training all layers."""
    n = config.batch_size * config.steps
    docs, y = encoded(config, n, LONG), labels(config, n)
    clf = new_classifier(config, unfreeze_schedule="full", max_epochs=1, amp=amp)

    def do_round():
        steps, seconds = timed_fit(clf, docs, y)
        return steps * config.batch_size, seconds

    return do_round


HEAD_EPOCHS = 5


def clf_head(config: Config) -> Round:
    """Documents a second of training the head alone, for five epochs, encoded once."""
    n = config.batch_size * 5
    docs, y = encoded(config, n, LONG), labels(config, n)
    clf = new_classifier(
        config, unfreeze_schedule="last", frozen_dropout=False, max_epochs=HEAD_EPOCHS
    )

    def do_round():
        start = time.perf_counter()
        clf.fit(docs, y)
        return HEAD_EPOCHS * n, time.perf_counter() - start

    return do_round


def predictor(mean_length: int):
    """Documents a second of prediction."""

    def prepare(config: Config) -> Round:
        n = config.batch_size * 4
        docs = encoded(config, n, mean_length)
        clf = new_classifier(config, unfreeze_schedule="last", max_epochs=1)
        clf.fit(docs[:12], labels(config, 12))

        def do_round():
            start = time.perf_counter()
            clf.predict_proba(docs)
            return n, time.perf_counter() - start

        return do_round

    return prepare


def predict_one(config: Config) -> Round:
    """Documents a second, one text a call."""
    lm = new_language_model(config, max_epochs=0).fit([text(stream(config, config.n_words))])
    texts = [text(numbers) for numbers in documents(config, 20, SHORT, seed=3)]
    clf = new_classifier(config, unfreeze_schedule="last", max_epochs=1)
    clf.fit(lm.transform(texts[:12]), labels(config, 12))

    def do_round():
        start = time.perf_counter()
        for one in texts:
            clf.predict([one])
        return len(texts), time.perf_counter() - start

    return do_round


def pipeline(config: Config) -> Round:
    """Texts a second from labels to predictions; a text is read once a step, as by fastai."""
    given = job()
    epochs = PAPERS["max_epochs"]  # fastai's
    clf = ULMFiTClassifier(random_state=0, device="cpu", r_drop=0.0, max_epochs=epochs)

    def do_round():
        start = time.perf_counter()
        clf.fit(*given["train"]).predict(given["test"])
        return len(given["train"][0]) + len(given["test"]), time.perf_counter() - start

    return do_round


ROWS = {
    "lm-train": lm_train,
    "lm-train-amp": partial(lm_train, amp=True),
    "lm-eval": lm_eval,
    "clf-train": clf_train,
    "clf-train-amp": partial(clf_train, amp=True),
    "clf-head": clf_head,
    "predict-short": predictor(SHORT),
    "predict-long": predictor(LONG),
    "predict-one": predict_one,
    "pipeline": pipeline,
}

if __name__ == "__main__":
    take_turns(ROWS)
