"""What is said of odd texts before a model is trained on them."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

from sk_ulmfit import ULMFiTLanguageModel
from sk_ulmfit.models.names import load_pretrained
from sk_ulmfit.text.notices import warn_of_another_language, warn_of_long_texts
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking()

FOREIGN = {
    "German": "Wo ist meine Karte? Ich warte seit zwei Wochen, und niemand antwortet mir.",
    "French": "Où est ma carte ? J'attends depuis deux semaines et personne ne me répond.",
    "Thai": "บัตรของฉันอยู่ที่ไหน ฉันรอมาสองสัปดาห์แล้ว",
    "Cyrillic": "Где моя карта? Я жду уже две недели, и никто не отвечает.",
}


@pytest.fixture(scope="module")
def english():
    return load_pretrained("en-small", ("forward",)).tokenizer


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_language_that_the_model_does_not_know_is_told(kind, english):
    with pytest.warns(UserWarning, match="% of the words of the texts.*unknown") as told:
        warn_of_another_language([FOREIGN[kind]] * 2000, english)
    letters = re.findall(r"most letters are (\w+)", str(told[0].message))
    assert letters == ([kind] if kind in ("Thai", "Cyrillic") else [])


@pytest.mark.parametrize(
    "texts", [TEXTS, ["", " "], ["zqx"], ["@dave gonna be LIT!! 😀 #fun 4ever"]]
)
def test_english_of_all_kinds_is_known(texts, english):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_another_language(texts, english)


def test_fit_tells_it_where_it_was_called():
    lm = ULMFiTLanguageModel(output="features")
    with pytest.warns(UserWarning, match="another language") as told:
        lm.fit([FOREIGN["Thai"]] * 5)
    assert told[0].filename == __file__


def test_a_text_many_times_as_long_as_the_others_is_told():
    with pytest.warns(UserWarning, match=r"Text 3 has 5,000 tokens.*at most 20.*max_length=100 "):
        warn_of_long_texts(np.array([20, 19, 21, 5000]), None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_long_texts(np.array([20, 19, 21, 5000]), 400)
        warn_of_long_texts(np.array([20, 19, 21, 1900]), None)
        warn_of_long_texts(np.array([400, 500, 5000]), None)


def test_the_classifier_tells_it():
    documents = language_model(max_epochs=1).fit(TEXTS).transform([*TEXTS[:5], " ".join(TEXTS) * 3])
    with pytest.warns(UserWarning, match="Text 5 has") as told:
        classifier(max_epochs=1, unfreeze_schedule="last").fit(documents, LABELS[:6])
    assert told[0].filename == __file__
