"""What the program around has set in torch changes nothing, and is left as it was."""

from __future__ import annotations

import contextlib
import pickle

import joblib
import numpy as np
import pytest
import torch

from sk_ulmfit import explain
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(2, 15)


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def fitted():
    lm = language_model(
        direction="both", emb_size=8, hidden_size=8, max_epochs=1, softmax_samples=20
    ).fit(TEXTS)
    clf = classifier(max_epochs=2, calibrate=True, frozen_dropout=False)
    return lm, clf.fit(lm.transform(TEXTS), LABELS)


def answers(lm, clf) -> list[str]:
    """Hashes of all that can be asked."""
    return [
        joblib.hash(answer)
        for answer in (
            lm.trained_.weights,
            clf.trained_.weights,
            clf.predict_proba(TEXTS),
            lm.perplexity(TEXTS),
            lm.transform(TEXTS).features(),
            lm.generate("How", max_tokens=4, random_state=0),
            explain(clf, TEXTS[:1])[0].attributions,
        )
    ]


@pytest.fixture(scope="module")
def models():
    return fitted()


@pytest.fixture(scope="module")
def expected(models):
    return answers(*models)


SETTINGS = {
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    # Stands for a GPU: what is made without saying where is of no use.
    "device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_a_fit_is_the_same(setting, expected):
    with setting():
        models = fitted()
        assert answers(*models) == expected
    assert answers(*models) == expected


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_an_answer_is_the_same(setting, models, expected):
    """The first one, that builds the networks; and what is built then serves for training."""
    copied = pickle.loads(pickle.dumps(models))
    with setting():
        assert answers(*copied) == expected
    assert answers(*copied) == expected
    lm, clf = copied
    lm.partial_fit(TEXTS)
    assert np.isfinite(clf.partial_fit(TEXTS, LABELS).predict_proba(TEXTS)).all()


@pytest.mark.parametrize("train_encoder", [False, True])
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_what_texts_mean_is_learned_the_same(setting, train_encoder, models):
    targets = np.random.default_rng(0).standard_normal((len(TEXTS), 5), dtype=np.float32)
    found = []
    for around in (contextlib.nullcontext, setting):
        (lm, _) = pickle.loads(pickle.dumps(models))
        lm.set_params(output="features", pooling="sentences")
        with around():
            lm.fit_sentences(TEXTS, targets, max_epochs=2, train_encoder=train_encoder)
            found.append(joblib.hash([lm.trained_, lm.transform(TEXTS)]))
    assert found[0] == found[1]


def test_global_random_numbers_are_left_alone():
    torch.manual_seed(3)
    np.random.seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    for seed in (0, None):
        lm = language_model(emb_size=8, hidden_size=8, max_epochs=1, random_state=seed).fit(TEXTS)
        clf = classifier(max_epochs=2, calibrate=True, random_state=seed)
        clf.fit(lm.transform(TEXTS), LABELS).partial_fit(TEXTS, LABELS)
        answers(lm, clf)
        lm.generate("How", max_tokens=4)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
