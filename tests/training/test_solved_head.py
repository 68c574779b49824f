"""Solving for a linear head, and beginning stage 3 there."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, explain, load
from sk_ulmfit.models import classifier as classifiers
from sk_ulmfit.models import inference
from sk_ulmfit.models import language_model as language_models
from sk_ulmfit.models.sentences import SentenceVectors
from sk_ulmfit.modules.classifier import Head
from sk_ulmfit.modules.dropout import MaskSource
from sk_ulmfit.training import regression, solved_head
from sk_ulmfit.training.classifier import classifier_stage
from tests.helpers import ROUNDING, banking, classifier, language_model


@pytest.fixture(scope="module")
def data():
    texts, y = banking()
    return texts[:70], y[:70], texts[70:], y[70:]


@pytest.fixture(scope="module")
def lm(data):
    return language_model(max_epochs=2, pooling="concat-layers").fit(data[0] + data[2])


@pytest.fixture(scope="module")
def documents(data, lm):
    return lm.transform(data[0]), lm.transform(data[2])


def solved(**params) -> ULMFiTClassifier:
    return classifier(**{"head_start": "solved", "max_epochs": 0, **params})


@pytest.fixture(scope="module")
def at_start(data, documents):
    return solved().fit(documents[0], data[1])


# The head of the network.


def test_head_begins_at_the_linear_model_in_training_too():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, size=(50, 8)).astype(np.float32)
    y = (x[:, 0] > 3).astype(int) + (x[:, 1] > 3)
    head = Head([8, 3], [0.0])
    head.keep_scale()
    scaled = (x - x.mean(0)) / np.sqrt((x.var(0) + head.blocks[0].norm.eps) * 8)
    model = LogisticRegression(C=10).fit(scaled, y)
    parts = (x.mean(0), x.var(0), model.coef_, model.intercept_)
    head.begin_at(*(torch.from_numpy(np.asarray(part)) for part in parts))
    for mode in (True, False):
        logits = head.train(mode)(torch.from_numpy(x), MaskSource()).detach().numpy()
        np.testing.assert_allclose(logits, model.decision_function(scaled), atol=1e-5)
    assert np.array_equal(head.blocks[0].norm.running_mean, x.mean(0)), "no batch changes it"


@pytest.mark.parametrize("n_features", [50, 3000])
def test_a_step_of_adam_moves_a_solved_head_a_little(n_features):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(100, n_features)).astype(np.float32))
    head = Head([n_features, 2], [0.0])
    head.keep_scale()
    parts = [np.zeros(n_features), np.ones(n_features), np.zeros((2, n_features)), np.zeros(2)]
    head.begin_at(*(torch.from_numpy(part) for part in parts))
    optimizer = torch.optim.Adam([head.blocks[0].weight], lr=0.01)
    torch.nn.functional.cross_entropy(head(x, MaskSource()), (x[:, 0] > 0).long()).backward()
    optimizer.step()
    # (coefficients of unscaled inputs: the sum of all inputs times the rate, 2 to 20)
    moved = head(x, MaskSource()).abs().max()
    assert 1e-4 < moved < 0.05


def test_before_the_first_step_predictions_are_those_of_the_regression(data, documents, at_start):
    found = solved(word_features=False, random_state=1).fit(documents[0], data[1])
    x, other = (documents[i].features("cpu") for i in (0, 1))
    scale = np.sqrt((x.var(0) + 1e-5) * x.shape[1])
    strength = found.trained_.solved["forward"]["strength"]
    model = LogisticRegression(C=strength, tol=1e-6, max_iter=1000)
    model.fit((x - x.mean(0)) / scale, data[1])
    expected = model.predict_proba((other - x.mean(0)) / scale)
    np.testing.assert_allclose(found.predict_proba(documents[1]), expected, atol=0.01)
    assert found.n_epochs_ == 0 and found.history_ == [] and not found.trained_.words
    encoder = documents[0].language_model.encoder_weights("forward")
    for name, array in encoder.items():
        assert np.array_equal(found.trained_.weights["forward"][name], array)
    assert at_start.trained_.words, "words help here"
    assert at_start.score(documents[1], data[3]) > 0.8


@pytest.fixture(scope="module")
def knowing(data):
    """A language model that has learned what texts mean from a teacher who tells the classes."""
    lm = language_model(max_epochs=1, direction="both").fit(data[0] + data[2])
    teacher = np.eye(3)[np.unique(data[1], return_inverse=True)[1]]
    teacher += np.random.default_rng(0).normal(scale=0.3, size=teacher.shape)
    return lm.fit_sentences(data[0], teacher, size=3, max_epochs=5)


@pytest.mark.parametrize("pooling", ["concat-layers", "mean"])
def test_head_begins_at_the_solution_of_all_blocks(monkeypatch, data, knowing, pooling):
    solutions = []

    def remembered(blocks, *args):
        solutions.append((blocks, regression.solve(blocks, *args)))
        return solutions[-1][1]

    monkeypatch.setattr(solved_head, "solve", remembered)
    documents = knowing.transform(data[0])
    clf = solved(pooling=pooling).fit(documents, data[1])
    trained = clf.trained_
    found = trained.logits(documents.tokens, torch.device("cpu"), 70)
    for (blocks, solution), logits in zip(solutions, found, strict=True):
        assert ("meaning" in blocks) == (pooling == "concat-layers")
        expected = solution.intercept + sum(
            block @ solution.coef[name].T for name, block in blocks.items()
        )
        np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert clf.score(knowing.transform(data[2]), data[3]) > 0.8
    other = pickle.loads(pickle.dumps(clf))
    assert np.array_equal(other.predict_proba(documents), clf.predict_proba(documents))


def test_meaning_is_where_words_and_pools_point(data, knowing):
    device = torch.device("cpu")
    tokens = knowing.transform(data[0]).tokens
    forward = knowing.trained_.with_directions(("forward",))
    sentences = forward.sentences
    expected = sentences.word_vectors(tokens)
    pools = forward.pooled(tokens, "concat-layers", device)
    expected += sentences.scaled("forward", pools) @ sentences.arrays["forward.map"]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = forward.pooled(tokens, "sentences", device)[:, :3] / 3
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_layers_of_their_own_say_what_texts_mean(data, knowing):
    texts, y = data[0], data[1]
    lm = pickle.loads(pickle.dumps(knowing))
    tokens = lm.transform(texts).tokens
    targets = lm.trained_.sentences.word_vectors(tokens)
    lm.fit_sentences(texts, targets, size=3, max_epochs=1, train_encoder=True)
    assert lm.trained_.reader is not lm.trained_
    clf = solved(linear_share=1.0).fit(lm.transform(texts), y)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(data[2]), clf.predict_proba(data[2]))
    alone = np.vstack([clf.predict_proba([text]) for text in data[2]])
    np.testing.assert_allclose(clf.predict_proba(data[2]), alone, atol=1e-5)


def test_a_linear_classifier_reads_a_text_once(data, knowing, monkeypatch):
    clf = solved(linear_share=1.0).fit(knowing.transform(data[0]), data[1])
    assert clf.trained_.n_meaning and clf.trained_.is_linear
    read = []
    its = inference.pooled_features

    def reading(*given, **how):
        read.append(given)
        return its(*given, **how)

    for module in (inference, language_models):
        monkeypatch.setattr(module, "pooled_features", reading)
    monkeypatch.setattr(classifiers, "predict_logits", None)
    clf.predict_proba(data[2])
    assert len(read) == len(knowing.trained_.directions)
    trained = solved(max_epochs=1, linear_share=0.0).fit(knowing.transform(data[0]), data[1])
    assert not trained.trained_.is_linear


def test_training_goes_on_from_a_head_that_is_told_the_meaning(tmp_path, data, knowing):
    documents = knowing.transform(data[0])
    params = {"pooling": "concat-layers", "max_epochs": 2, "linear_share": 0.0, "lr": 1e-3}
    clf = solved(**params).fit(documents, data[1])
    expected = clf.predict_proba(data[2])
    assert clf.trained_.n_meaning == 3 and clf.score(data[2], data[3]) > 0.8
    # Of texts whose words mean something else it says something else.
    shuffled = np.random.default_rng(0).permutation(knowing.trained_.sentences.arrays["words"])
    changed = SentenceVectors({**knowing.trained_.sentences.arrays, "words": shuffled})
    language_model = replace(knowing.trained_, sentences=changed)
    other = replace(clf.trained_, language_model=language_model)
    question = (knowing.transform(data[2]).tokens, torch.device("cpu"), 70)
    assert np.abs(np.exp(other.log_probabilities(*question)) - expected).max() > 0.1
    clf.save(tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").predict_proba(data[2]), expected)
    going_on = clf.partial_fit(documents, data[1]).predict_proba(data[2])
    assert clf.trained_.n_meaning == 3 and 0 < np.abs(going_on - expected).max() < 1


def test_a_network_beside_is_told_pools_alone(data, knowing):
    documents = knowing.transform(data[0])
    params = {"pooling": "concat-layers", "max_epochs": 1, "linear_share": 0.5}
    trained = classifier(**params).fit(documents, data[1]).trained_
    assert (trained.n_meaning, trained.beside.n_meaning) == (0, 3)


def test_without_word_features_words_speak_by_their_meaning_alone(tmp_path, data, knowing):
    documents = knowing.transform(data[0])
    clf = solved(pooling="concat-layers", word_features=False).fit(documents, data[1])
    assert not clf.trained_.words and clf.trained_.n_meaning == 3
    clf.save(tmp_path / "model")
    expected = clf.predict_proba(data[2])
    assert np.array_equal(load(tmp_path / "model").predict_proba(data[2]), expected)


# The estimator.


def test_random_start_is_what_it_was(data, documents):
    default = classifier(max_epochs=1).fit(documents[0], data[1])
    assert not default.trained_.solved and not default.trained_.words
    assert default.trained_.head_sizes == (50,)


def test_saved_pickled_and_alone_it_predicts_the_same(tmp_path, data, documents, at_start):
    expected = at_start.predict_proba(documents[1])
    at_start.save(tmp_path / "model")
    for other in (load(tmp_path / "model"), pickle.loads(pickle.dumps(at_start))):
        assert np.array_equal(other.predict_proba(documents[1]), expected)
        assert other.trained_.solved == at_start.trained_.solved
    texts = data[2]
    alone = np.vstack([at_start.predict_proba([text]) for text in texts[:5]])
    np.testing.assert_allclose(alone, expected[:5], atol=ROUNDING)
    np.testing.assert_allclose(at_start.predict_proba(texts), expected, atol=ROUNDING)


def test_damaged_words_are_refused(tmp_path, at_start):
    description, arrays = at_start.trained_.to_parts()
    arrays["words-forward/coef"] = arrays["words-forward/coef"][:, 1:]
    with pytest.raises(ValueError, match="words do not fit"):
        type(at_start.trained_).from_parts(description, arrays)


def test_equal_seeds_give_equal_results(data, documents):
    one, other = (solved(max_epochs=2, lr=1e-3).fit(documents[0], data[1]) for _ in range(2))
    assert np.array_equal(one.predict_proba(documents[1]), other.predict_proba(documents[1]))


@pytest.mark.filterwarnings("ignore:Training went astray")
def test_training_that_spoils_is_not_begun(caplog, data, documents, at_start):
    with caplog.at_level(logging.INFO, "sk_ulmfit"):
        spoiled = solved(max_epochs=2, lr=5.0, lr_decay=1.0, unfreeze_schedule="full")
        spoiled.fit(documents[0], data[1])
    assert spoiled.linear_share_ == 1 and spoiled.trained_.beside is None
    assert spoiled.n_epochs_ == 0 and "share of the linear model: 1" in caplog.text
    found, expected = (clf.predict_proba(documents[1]) for clf in (spoiled, at_start))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:Training went astray")
def test_texts_set_aside_say_that_a_training_spoiled(data, documents, at_start):
    spoiled = solved(max_epochs=2, lr=5.0, lr_decay=1.0, unfreeze_schedule="full")
    spoiled.fit(documents[0], data[1], X_val=documents[1], y_val=data[3])
    assert spoiled.linear_share_ == 1 and spoiled.n_epochs_ == 2
    found, expected = (clf.predict_proba(documents[1]) for clf in (spoiled, at_start))
    np.testing.assert_array_equal(found, expected)


def test_training_that_helps_is_kept(data, documents, monkeypatch):
    # A start that knows next to nothing, as that of a language model of another kind.
    monkeypatch.setattr(regression, "STRENGTHS", (1e-3,))
    trained = solved(max_epochs=10, word_features=False).fit(documents[0], data[1])
    assert trained.linear_share_ < 1
    start = solved(word_features=False, max_epochs=0).fit(documents[0], data[1])
    assert trained.score(documents[1], data[3]) > start.score(documents[1], data[3])


def test_halves_judge_by_texts_that_they_have_not_seen(monkeypatch, data, documents):
    stages = []

    def remembered(start, train, valid, options, seed):
        stages.append((train[0], options.max_epochs))
        return classifier_stage(start, train, valid, options, seed)

    monkeypatch.setattr(solved_head, "classifier_stage", remembered)
    monkeypatch.setattr(solved_head, "_EPOCHS_OF_A_HALF", 1)
    clf = solved(max_epochs=3, lr=1e-3).fit(documents[0], data[1])
    n = len(data[0])
    assert [(len(read), epochs) for read, epochs in stages[:2]] == [(n // 2, 1)] * 2
    assert len(stages) == 2 + (clf.linear_share_ < 1)
    halves = [{tuple(read.document(i)) for i in range(len(read))} for read, _ in stages[:2]]
    assert halves[0].isdisjoint(halves[1]) and len(halves[0] | halves[1]) == n


@pytest.mark.parametrize("n", [10, 70])
def test_of_very_few_and_of_many_texts_both_count_the_same(monkeypatch, data, documents, n):
    monkeypatch.setattr(solved_head, "_MANY_TO_HALVE", 60)
    clf = solved(max_epochs=1, lr=1e-3).fit(documents[0][:n], data[1][:n])
    assert (clf.linear_share_, clf.n_epochs_) == (0.5, 1)


def test_the_share_is_that_of_the_smallest_loss():
    targets, even = np.array([0, 1, 0, 1]), np.ones(4)
    right = 3.0 * np.eye(2)[targets]
    assert solved_head.choose_share([right], [-right], targets, even, False) == 0
    assert solved_head.choose_share([-right], [right], targets, even, False) == 1
    assert solved_head.choose_share([right], [right], targets, even, False) == 1, "the surer one"
    # Each right of its own texts, and not sure of the others.
    own, its = right * [[1], [1], [0], [0]], right * [[0], [0], [1], [1]]
    assert solved_head.choose_share([own], [its], targets, even, False) == 0.5
    assert solved_head.choose_share([own], [its], targets, np.array([9, 9, 1, 1]), False) < 0.5


# A network and the linear model beside it.


def averaged(**params) -> ULMFiTClassifier:
    params = {"linear_share": 0.5, "max_epochs": 2, **params}
    return classifier(**params)


@pytest.fixture(scope="module")
def both_models(data, documents):
    return averaged().fit(documents[0], data[1])


def test_log_probabilities_are_averaged(data, documents, both_models, at_start):
    trained = both_models.trained_
    assert trained.beside.solved and not trained.solved and trained.head_sizes == (50,)
    assert (both_models.linear_share_, both_models.n_epochs_) == (0.5, 2)
    network = replace(trained, beside=None, linear_share=0.0)
    question = (documents[1].tokens, torch.device("cpu"), 70)
    logs = [m.log_probabilities(*question) for m in (network, trained.beside)]
    expected = np.exp((logs[0] + logs[1]) / 2)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(both_models.predict_proba(documents[1]), expected, atol=1e-5)
    # No text was set aside: the linear model is the one that is fitted alone.
    alone = at_start.trained_.log_probabilities(*question)
    np.testing.assert_allclose(logs[1], alone, atol=1e-4)


def test_a_linear_model_alone_is_not_trained(documents, data, at_start):
    clf = averaged(linear_share=1).fit(documents[0], data[1])
    assert clf.n_epochs_ == 0 and clf.trained_.beside is None
    found, expected = (one.predict_proba(documents[1]) for one in (clf, at_start))
    np.testing.assert_array_equal(found, expected)


def test_average_is_saved_without_a_second_encoder(tmp_path, data, documents, both_models):
    expected = both_models.predict_proba(documents[1])
    both_models.save(tmp_path / "both")
    averaged(linear_share=0.0).fit(documents[0], data[1]).save(tmp_path / "network")
    for other in (load(tmp_path / "both"), pickle.loads(pickle.dumps(both_models))):
        assert np.array_equal(other.predict_proba(documents[1]), expected)
        assert other.linear_share_ == 0.5
    sizes = [
        sum(file.stat().st_size for file in (tmp_path / name).rglob("*") if file.is_file())
        for name in ("both", "network")
    ]
    encoder = sum(a.nbytes for a in documents[0].language_model.encoder_weights("forward").values())
    assert sizes[0] < sizes[1] + encoder / 2
    assert len(pickle.dumps(both_models)) < sizes[0] * 1.1, "one copy in a pickle too"


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_a_linear_model_is_saved_without_a_second_encoder(tmp_path, direction):
    texts, y = banking(per_class=8)
    lm = ULMFiTLanguageModel(direction=direction)
    clf = ULMFiTClassifier(lm, random_state=0).fit(texts, y)
    clf.save(tmp_path / "model")
    size = sum(file.stat().st_size for file in (tmp_path / "model").rglob("*") if file.is_file())
    assert size < 1.1 * len(pickle.dumps(clf))
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(texts), clf.predict_proba(texts))
    assert loaded.trained_.is_linear and loaded.linear_share_ == 1
    assert len(pickle.dumps(loaded)) < 1.1 * size, "nor is there one when it is read"


@pytest.mark.parametrize(
    "damage",
    [
        lambda described, arrays: described.update(linear_share=2.0),
        lambda described, arrays: described.update(linear_share="half"),
        lambda described, arrays: described["beside"].update(temperature=0.0),
        lambda described, arrays: described["beside"].update(head_sizes=[5]),
        lambda described, arrays: arrays.pop("beside/forward/head.blocks.0.bias"),
        lambda described, arrays: arrays.update({"beside/backward/x": np.ones(3, np.float32)}),
    ],
)
def test_damaged_averages_are_refused(both_models, damage):
    description, arrays = both_models.trained_.to_parts()
    description["beside"] = dict(description["beside"])
    damage(description, arrays)
    with pytest.raises((ValueError, TypeError, KeyError)):
        type(both_models.trained_).from_parts(description, arrays)


def test_average_is_calibrated_as_one(data, documents):
    clf = averaged(calibrate=True).fit(documents[0], data[1])
    plain = averaged(validation_fraction=0.1, early_stopping=True, patience=9)
    plain.fit(documents[0], data[1])
    logs = [one.predict_log_proba(documents[1]) for one in (clf, plain)]
    np.testing.assert_array_equal(*(log.argmax(axis=1) for log in logs))
    assert clf.trained_.temperature == clf.trained_.beside.temperature != 1


def test_average_goes_on(data, documents, both_models):
    going_on = pickle.loads(pickle.dumps(both_models)).partial_fit(documents[0], data[1])
    assert going_on.linear_share_ == 0.5 and going_on.n_epochs_ == 3
    before, after = (clf.trained_.beside.weights["forward"] for clf in (both_models, going_on))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_average_of_both_directions_and_of_labels(data):
    lm = language_model(direction="both", max_epochs=1).fit(data[0])
    documents = lm.transform(data[0])
    rows = np.stack([data[1] == c for c in np.unique(data[1])], axis=1).astype(int)
    clf = averaged(linear_share="auto", head_start="solved", max_epochs=1, lr=1e-3)
    clf.fit(documents, rows)
    assert (clf.predict(documents) == rows).mean() > 0.85
    clf.set_params(linear_share=0.3).fit(documents, data[1])
    assert clf.score(documents, data[1]) > 0.8
    # A file gives its arrays in any order.
    description, arrays = clf.trained_.to_parts()
    backward_first = dict(sorted(arrays.items(), key=lambda item: item[0].split("/")[-2]))
    mixed = type(clf.trained_).from_parts(description, backward_first)
    question = (documents.tokens, torch.device("cpu"), 70)
    for one, other in zip(clf.trained_.logits(*question), mixed.logits(*question), strict=True):
        assert np.array_equal(one, other)


def test_what_goes_on_keeps_head_and_words(data, documents, at_start):
    going_on = pickle.loads(pickle.dumps(at_start)).set_params(lr=1e-3)
    going_on.partial_fit(documents[0], data[1])
    going_on.set_params(warm_start=True, max_epochs=1).fit(documents[0], data[1])
    assert going_on.n_epochs_ == 2 and going_on.trained_.head_sizes == ()
    before, after = (clf.trained_.words["forward"] for clf in (at_start, going_on))
    assert before is after or np.array_equal(before.coef, after.coef)
    norm = "head.blocks.0.norm.running_mean"
    weights = [clf.trained_.weights["forward"] for clf in (at_start, going_on)]
    assert np.array_equal(weights[0][norm], weights[1][norm])
    coef = "head.blocks.0.weight"
    assert not np.array_equal(weights[0][coef], weights[1][coef])
    assert going_on.score(documents[1], data[3]) > 0.8


def test_partial_fit_begins_at_random(data, documents):
    first = solved().partial_fit(documents[0], data[1])
    assert first.trained_.head_sizes == (50,) and not first.trained_.solved
    first.set_params(warm_start=True, max_epochs=1).fit(documents[0], data[1])


def test_both_directions_and_pipeline(data):
    pipe = Pipeline([("lm", language_model(direction="both", max_epochs=1)), ("clf", solved())])
    pipe.set_params(clf__max_epochs=1, clf__lr=1e-3).fit(*data[:2])
    assert set(pipe[-1].trained_.solved) == {"forward", "backward"}
    assert pipe.score(*data[2:]) > 0.6


def test_frozen_language_model_weights_and_unlabelled_texts(data, lm):
    y = data[1].astype(object)
    y[:20] = None
    weights = np.ones(len(y))
    weights[20:30] = 0
    clf = solved(language_model=FrozenEstimator(lm), class_weight="balanced")
    weighted = clf.fit(data[0], y, weights).predict_proba(data[2])
    left_out = clf.fit(data[0][30:], y[30:]).predict_proba(data[2])
    np.testing.assert_allclose(weighted, left_out, atol=ROUNDING)


def test_class_weights_count(data, documents):
    plain = solved().fit(documents[0], data[1])
    heavy = solved(class_weight={"age": 50.0}).fit(documents[0], data[1])
    age = [clf.predict_proba(documents[1])[:, 1].mean() for clf in (plain, heavy)]
    assert age[1] > age[0]


def test_multilabel(data, documents):
    classes = np.unique(data[1])
    rows, other = (np.stack([y == c for c in classes], axis=1).astype(int) for y in data[1::2])
    clf = solved(max_epochs=1, lr=1e-3).fit(documents[0], rows)
    assert (clf.predict(documents[1]) == other).mean() > 0.85


def test_one_text_a_class_and_texts_without_words():
    clf = solved(language_model=language_model(min_freq=1), max_epochs=1, lr=1e-3)
    clf.fit(["one two", "three four", ""], ["a", "b", "c"])
    assert clf.predict_proba(["", "five", "one"]).shape == (3, 3)
    assert solved(language_model=language_model()).fit(["", ""], [0, 1]).predict([""]).shape == (1,)


def test_calibrated_and_stopped_early(data, documents):
    clf = solved(max_epochs=2, calibrate=True, early_stopping=True, lr=1e-3)
    clf.fit(documents[0], data[1])
    assert clf.trained_.temperature != 1


def test_hidden_layers_are_refused(data, documents):
    with pytest.raises(ValueError, match="head_sizes"):
        solved(head_sizes=(10,)).fit(documents[0], data[1])
    with pytest.raises(ValueError, match="head_start"):
        solved(head_start="solve").fit(documents[0], data[1])


def test_explanations_are_of_network_and_words(data, at_start):
    texts = data[2][:2]
    for found, p in zip(explain(at_start, texts), at_start.predict_proba(texts), strict=True):
        assert found.logit == pytest.approx(np.log(p.max() / (1 - p.max())), abs=1e-3)
