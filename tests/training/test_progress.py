"""The progress bar of a training."""

from __future__ import annotations

import re

import pytest
from skorch.callbacks import Callback
from tqdm import tqdm

from sk_ulmfit.training.progress import ProgressBar
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking()


class LastLine(Callback):
    """What a terminal of 80 columns shows of the bar after an hour, at the end of an epoch."""

    def on_epoch_end(self, net, **kwargs):
        bar = next(cb.bar_ for _, cb in net.callbacks_ if isinstance(cb, ProgressBar))
        so_far = {"n": 400_000, "total": 1_000_000, "elapsed": 4000.0, "rate": 100.0, "ncols": 79}
        type(self).seen = tqdm.format_meter(**{**bar.format_dict, **so_far, "initial": 0})


@pytest.fixture(params=[{}, {"early_stopping": True, "patience": 20}], ids=["", "early-stopping"])
def options(request):
    # It is called after the bar: callbacks of users come last.
    return {"verbose": 1, "max_epochs": 10, "callbacks": [LastLine()], **request.param}


def test_80_columns_suffice_for_a_language_model(options):
    language_model(direction="backward", **options).fit(TEXTS)
    measured = "valid" if "early_stopping" in options else "perplexity"
    expected = r"backward LM, 40%, 1:06:40<1:40:00, 100tok/s, epoch=10/10, "
    assert re.match(expected + measured + r"=\d+\.\d", LastLine.seen), LastLine.seen


def test_80_columns_suffice_for_a_classifier(options):
    documents = language_model(direction="backward", max_epochs=1).fit(TEXTS).transform(TEXTS)
    classifier(**options).fit(documents, LABELS)
    measured = "valid" if "early_stopping" in options else "loss"
    expected = r"backward classifier, 40%, 1:06:40<1:40:00, 100doc/s, epoch=10/10, "
    assert re.match(expected + measured + r"=\d\.\d{3}", LastLine.seen), LastLine.seen
