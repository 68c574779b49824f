"""ULMFiTLanguageModel on real texts."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sk_ulmfit import EncodedDocuments, ULMFiTClassifier, ULMFiTLanguageModel
from tests.helpers import banking, language_model


@pytest.fixture(scope="module")
def texts():
    return banking()[0]


@pytest.fixture(scope="module")
def fitted(texts):
    return language_model(max_epochs=4).fit(texts)


def test_loss_falls_and_perplexity_with_it(texts, fitted):
    losses = [epoch["train_loss"] for epoch in fitted.history_]
    assert len(losses) == fitted.n_epochs_ == 4
    assert all(np.diff(losses) < 0)
    untrained = language_model(max_epochs=0).fit(texts)
    assert fitted.perplexity(texts) < untrained.perplexity(texts) / 2
    assert untrained.perplexity(texts) == pytest.approx(len(untrained.vocab_), rel=0.2)


def test_perplexity_is_the_same_for_any_order_and_company(texts, fitted):
    n = [len(fitted.trained_.tokenizer.encode([text])[0]) for text in texts]
    alone = [np.log(fitted.perplexity([text])) for text in texts]
    assert np.log(fitted.perplexity(texts)) == pytest.approx(np.average(alone, weights=n), abs=1e-5)
    assert fitted.perplexity(texts[::-1]) == pytest.approx(fitted.perplexity(texts), rel=1e-6)
    assert fitted.score(texts) == pytest.approx(-np.log(fitted.perplexity(texts)))


def test_stage_two_starts_from_the_pretrained_model(texts, fitted):
    start = language_model(pretrained=FrozenEstimator(fitted), max_epochs=0).fit(texts)
    assert start.perplexity(texts) == fitted.perplexity(texts)
    tuned = language_model(pretrained=FrozenEstimator(fitted), max_epochs=2, hidden_size=999).fit(
        texts
    )
    assert tuned.trained_.hidden_size == fitted.trained_.hidden_size
    assert tuned.perplexity(texts) < fitted.perplexity(texts)


def test_layers_of_a_pretrained_model_learn_at_different_rates(texts, fitted):
    def last_rates(**params):
        lm = language_model(max_epochs=1, lr=0.004, schedule="constant", **params)
        return lm.fit(texts).history_[0]["lr"]

    assert last_rates(pretrained=FrozenEstimator(fitted)) == pytest.approx(
        [0.004 / 2.6**2, 0.004 / 2.6, 0.004]
    )
    assert last_rates() == [0.004] * 3, "a random start has nothing to go easy on"


def test_new_words_get_the_mean_and_known_ones_stay(texts, fitted):
    new_text = ["Zebra crossings puzzle zebra owners."] * 3
    grown = language_model(pretrained=FrozenEstimator(fitted), max_epochs=1, lr=1e-12).fit(new_text)
    before, after = fitted.trained_.weights["forward"], grown.trained_.weights["forward"]
    n = len(fitted.vocab_)
    assert grown.vocab_[:n] == fitted.vocab_ and "zebra" in grown.vocab_[n:]
    for name in ("encoder.embedding", "bias"):
        np.testing.assert_allclose(after[name][:n], before[name], atol=1e-7)
        np.testing.assert_allclose(
            after[name][n:], np.broadcast_to(before[name].mean(0), after[name][n:].shape), atol=1e-6
        )


def test_a_pretrained_estimator_says_what_it_is_for(texts, fitted):
    with pytest.raises(ValueError, match="not fitted"):
        language_model(pretrained=language_model()).fit(texts)
    frozen = language_model(pretrained=FrozenEstimator(fitted), max_epochs=0)
    for lm in (frozen, clone(frozen)):
        assert lm.fit(texts).trained_.fingerprint == fitted.trained_.fingerprint
    with pytest.raises(
        ValueError, match=r"FrozenEstimator\(pretrained\).*save\(\).*pretrained=None"
    ):
        language_model(pretrained=fitted).fit(texts)
    assert not hasattr(clone(fitted), "trained_")


@pytest.mark.parametrize("direction", ["backward", "both"])
def test_directions(texts, direction):
    lm = language_model(direction=direction).fit(texts)
    directions = ("backward",) if direction == "backward" else ("forward", "backward")
    assert lm.trained_.directions == directions
    assert {epoch["direction"] for epoch in lm.history_} == set(directions)
    assert lm.n_epochs_ == 2
    assert lm.perplexity(texts) < len(lm.vocab_) / 1.8


def test_backward_is_forward_on_reversed_texts(texts):
    words = [text.split() for text in ["one two three four", "five six seven"] * 20]
    ahead = [" ".join(w) for w in words]
    turned = [" ".join(w[::-1]) for w in words]
    lm = language_model(direction="backward", max_epochs=20, min_freq=1, dropout_mult=0).fit(ahead)
    assert lm.perplexity(ahead) < lm.perplexity(turned) / 2
    with pytest.raises(ValueError, match="backward only"):
        lm.generate("one")


def test_missing_direction_is_refused(texts, fitted):
    with pytest.raises(ValueError, match="no backward direction, only forward"):
        language_model(pretrained=FrozenEstimator(fitted), direction="both").fit(texts)


def test_documents_behave_like_an_array(texts, fitted):
    documents = fitted.transform(texts)
    assert isinstance(documents, EncodedDocuments)
    assert len(documents) == len(texts) and documents.shape == (len(texts), 3 * 24)
    rows = [5, 3, 8]
    for part in (documents[rows], documents[np.array(rows), ...]):
        expected = fitted.transform([texts[i] for i in rows]).tokens
        assert np.array_equal(part.tokens.ids, expected.ids)
    mask = np.arange(len(texts)) % 2 == 0
    assert (
        len(documents[mask]) == mask.sum() and len(documents[2:5]) == 3 and len(documents[1]) == 1
    )
    with pytest.raises(IndexError, match="by document alone"):
        documents[0, 1]


def test_features_for_any_other_estimator(texts, fitted):
    y = banking()[1]
    lm = language_model(pretrained=FrozenEstimator(fitted), max_epochs=0, output="features").fit(
        texts
    )
    features = lm.transform(texts)
    assert features.shape == (len(texts), 3 * 24) and features.dtype == np.float32
    assert len(lm.get_feature_names_out()) == features.shape[1]
    np.testing.assert_array_equal(np.asarray(fitted.transform(texts)), features)
    assert list(lm.set_output(transform="pandas").transform(texts).columns)[:1] == [
        "forward_last_0"
    ]
    pipe = make_pipeline(clone(lm), LogisticRegression())
    assert pipe.fit(texts, y).score(texts, y) > 0.5
    with pytest.raises(AttributeError):
        fitted.get_feature_names_out()


def test_equal_seeds_give_equal_weights_and_leave_global_state_alone(texts):
    torch.manual_seed(1), np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = language_model().fit(texts).trained_
    torch.manual_seed(2)
    second = language_model().fit(texts).trained_
    other = language_model(random_state=1).fit(texts).trained_
    torch.manual_seed(1)
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_warm_start_and_partial_fit_go_on(texts):
    lm = language_model(warm_start=True, max_epochs=1).fit(texts)
    first = lm.perplexity(texts)
    assert lm.fit(texts).perplexity(texts) < first
    stream = language_model()
    ppl = [stream.partial_fit(texts).perplexity(texts) for _ in range(3)]
    assert ppl[2] < ppl[1] < ppl[0]
    assert [epoch["epoch"] for epoch in stream.history_] == [1, 2, 3] and stream.n_epochs_ == 3
    assert all(len(set(epoch["lr"])) == 1 for epoch in stream.history_), "still from scratch"


def test_calls_that_go_on_draw_other_random_numbers_and_repeat(texts):
    def three_calls():
        lm = language_model().partial_fit(texts)
        first = lm.trained_
        second = lm.partial_fit(texts).trained_
        lm.trained_ = first
        return second.fingerprint, lm.partial_fit(texts).trained_.fingerprint

    second, third = three_calls()
    assert second != third, "the same step, from the same weights, with other dropout"
    assert three_calls() == (second, third)


def test_early_stopping_goes_back_to_the_best_epoch(texts):
    params = {"early_stopping": True, "lr": 0.03, "schedule": "constant", "dropout_mult": 0}
    lm = language_model(max_epochs=40, patience=2, **params).fit(texts)
    valid = [epoch["valid_loss"] for epoch in lm.history_]
    best = int(np.argmin(valid)) + 1
    assert len(valid) < 40 and len(valid) == best + 2
    stopped_there = language_model(max_epochs=best, patience=40, **params).fit(texts)
    assert lm.trained_.fingerprint == stopped_there.trained_.fingerprint


def test_generate(fitted):
    text = fitted.generate("How do I", max_tokens=8, random_state=0)
    assert text.lower().startswith("how do i")
    assert text == fitted.generate("How do I", max_tokens=8, random_state=0)
    assert fitted.generate("How", temperature=0, max_tokens=3) == fitted.generate(
        "How", temperature=0, max_tokens=3
    )
    for temperature in (-1, np.inf, np.nan, "hot"):
        with pytest.raises(ValueError, match="temperature"):
            fitted.generate("How", temperature=temperature)
    for max_tokens in (-1, 2.5):
        with pytest.raises(ValueError, match="max_tokens"):
            fitted.generate("How", max_tokens=max_tokens)


@pytest.mark.parametrize("corpus", [["word"], [""], ["", ""], ["a b c"], ["x " * 3000]])
def test_smallest_corpora(corpus):
    lm = language_model().fit(corpus)
    assert np.isfinite(lm.perplexity(corpus))
    assert np.isfinite(np.asarray(lm.transform(corpus))).all()


def test_bad_input_is_refused_in_words(texts):
    for wrong in ("one text", [1, 2], [b"x"], [None], []):
        with pytest.raises((TypeError, ValueError)):
            language_model().fit(wrong)
    with pytest.raises(NotFittedError):
        ULMFiTLanguageModel().transform(texts)
    with pytest.raises(ValueError, match="'no-such-model'"):
        ULMFiTLanguageModel("no-such-model").fit(texts)
    with pytest.raises(ValueError, match="lr_decay"):
        language_model(lr_decay=0.5).fit(texts)
    with pytest.raises(ValueError, match="max_vocab"):
        language_model(max_vocab=3).fit(texts)


def test_divergence_is_told_with_rate_and_epoch(texts):
    with pytest.raises(FloatingPointError, match=r"epoch 1 .* Lower lr"):
        language_model(lr=1e30, max_epochs=1, schedule="constant").fit(texts)


def test_a_training_that_fails_leaves_no_open_progress_bar(texts, capfd):
    lm = language_model(lr=1e30, max_epochs=1, schedule="constant", verbose=1)
    with pytest.raises(FloatingPointError) as caught:
        lm.fit(texts)
    shown = capfd.readouterr().err  # while `caught` still holds all frames, and with them the bar
    assert caught.value is not None and shown.endswith("\n")


def test_interrupt_keeps_what_was_learned_and_is_raised(texts):
    from skorch.callbacks import Callback

    class PressCtrlC(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                signal.raise_signal(signal.SIGINT)

    lm = language_model(callbacks=[PressCtrlC()], max_epochs=9)
    with pytest.raises(KeyboardInterrupt, match="fitted with what it had learned so far"):
        lm.fit(texts)
    assert len(lm.history_) == 2 and lm.perplexity(texts) < len(lm.vocab_) / 1.8


def test_features_of_every_layer_unless_told_otherwise(texts):
    lm = language_model(output="features", pooling="concat-layers", hidden_size=40, n_layers=3)
    features = lm.fit(texts).transform(texts)
    names = lm.get_feature_names_out()
    # embedding, two wide layers, the last one: three pools each
    assert features.shape == (len(texts), len(names)) == (len(texts), 3 * (24 + 40 + 40 + 24))
    assert len(set(names)) == len(names)
    assert [name.split("_")[1] for name in names[::128]] == ["max", "mean", "weighted"]
    mean = language_model(output="features", pooling="mean", hidden_size=40, n_layers=3)
    np.testing.assert_allclose(
        features[:, 232:256], mean.fit(texts).transform(texts), rtol=1e-5, atol=1e-6
    )
    assert not np.allclose(features[:, 128:256], features[:, 256:])
    assert ULMFiTClassifier().pooling == "concat-layers"
