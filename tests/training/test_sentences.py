"""Learning what texts mean from a teacher's vectors."""

from __future__ import annotations

import gc
import pickle
import weakref

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from sk_ulmfit import ULMFiTLanguageModel, files, load
from sk_ulmfit.models.names import load_pretrained
from sk_ulmfit.text.token_lists import TokenLists
from sk_ulmfit.training.checkpoints import only_run
from sk_ulmfit.training.sentence_net import TaughtTexts, UnreadTexts
from sk_ulmfit.training.sentences import principal_directions, rows_on_disk, with_more_directions
from tests.helpers import Cut, CutAfter, language_model
from tests.test_interrupts import CtrlC

TOPICS = {
    "money": "bank card loan payment account cash",
    "food": "soup bread apple kitchen dinner cheese",
    "sport": "goal team ball match player league",
}


def taught(n: int = 300, n_dims: int = 12) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Texts about three topics, the vectors of a teacher that knows these, and the topics."""
    rng = np.random.default_rng(0)
    words = [topic.split() for topic in TOPICS.values()]
    y = rng.integers(3, size=n)
    texts = ["we saw the " + " and the ".join(rng.choice(words[i], 2, replace=False)) for i in y]
    texts += [word for topic in words for word in topic]
    y = np.r_[y, np.repeat(np.arange(3), 6)]
    centres = np.random.default_rng(1).standard_normal((3, n_dims))
    return texts, (centres[y] + 0.1 * rng.standard_normal((len(y), n_dims))).astype("f4"), y


@pytest.fixture(scope="module")
def start() -> ULMFiTLanguageModel:
    return language_model(max_epochs=1, direction="both", pooling="sentences").fit(taught()[0])


@pytest.fixture(scope="module", params=["pools", "layers"])
def learned(start, request):
    texts, targets, _ = taught()
    own = {"size": 8, "batch_size": 32, "max_epochs": 4}
    reads = request.param == "layers"
    return clone_of(start).fit_sentences(texts, targets, train_encoder=reads, **own)


def clone_of(lm: ULMFiTLanguageModel, **params) -> ULMFiTLanguageModel:
    return pickle.loads(pickle.dumps(lm)).set_params(output="features", **params)


def test_vectors_agree_with_the_teachers(learned):
    texts, targets, _ = taught()
    history = learned.sentence_history_
    assert {epoch["direction"] for epoch in history} == {"forward", "backward"}
    assert history[-1]["agreement"] > 0.9
    vectors = learned.transform(texts)[:, :8]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 3, atol=1e-5)
    cosines = targets @ targets.T / np.linalg.norm(targets, axis=1) ** 2
    assert np.corrcoef((vectors @ vectors.T).ravel(), cosines.ravel())[0, 1] > 0.9


def test_the_language_model_stays_as_it_is(start, learned):
    for direction, weights in start.trained_.weights.items():
        for name, array in weights.items():
            np.testing.assert_array_equal(array, learned.trained_.weights[direction][name])


def test_layers_learn_along_and_are_their_own(start):
    texts, targets, _ = taught()
    own = {"size": 8, "batch_size": 32, "max_epochs": 2, "train_encoder": True}
    trained = clone_of(start).fit_sentences(texts, targets, **own).trained_
    assert trained.reader is not trained and start.trained_.reader is start.trained_
    for direction, weights in trained.reader.weights.items():
        for name, array in weights.items():
            learns = name.startswith("encoder.layers.")
            same = np.array_equal(array, trained.weights[direction][name])
            assert same != learns, name
    # Fine-tuned, it reads texts for their meaning by the layers that learned it.
    tuned = clone_of(start)
    tuned.trained_ = trained
    tuned = tuned.partial_fit(texts[:50]).trained_
    layers = tuned.reader.weights["forward"]["encoder.layers.0.weight_hh"]
    np.testing.assert_array_equal(
        layers, trained.reader.weights["forward"]["encoder.layers.0.weight_hh"]
    )


def test_it_goes_on_from_what_was_learned_however_the_targets_are_turned(learned):
    texts, targets, _ = taught()
    reads = bool(learned.trained_.sentences.layers("forward"))
    turn, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((12, 12)))
    own = {"max_epochs": 1, "batch_size": 32, "train_encoder": reads, "size": 3}
    barely = clone_of(learned, warm_start=True).fit_sentences(texts, targets @ turn, lr=1e-9, **own)
    assert barely.trained_.sentences.size == 8
    earlier = {epoch["direction"]: epoch for epoch in learned.sentence_history_}
    for epoch in barely.sentence_history_:
        reached = earlier[epoch["direction"]]["agreement"]
        assert epoch["agreement"] > reached - 0.05
    for name, array in learned.trained_.sentences.arrays.items():
        np.testing.assert_allclose(barely.trained_.sentences.arrays[name], array, atol=1e-5)
    further = clone_of(learned, warm_start=True).fit_sentences(texts, targets @ turn, **own)
    assert further.sentence_history_[-1]["agreement"] > 0.9
    afresh = clone_of(learned).fit_sentences(texts, targets, lr=1e-9, **own)
    assert afresh.trained_.sentences.size == 3


def test_vectors_are_widened_and_what_they_were_stays(learned):
    texts, targets, _ = taught()
    reads = bool(learned.trained_.sentences.layers("forward"))
    own = {"max_epochs": 1, "batch_size": 32, "train_encoder": reads}
    same = clone_of(learned, warm_start=True).fit_sentences(texts, targets, lr=1e-9, **own)
    assert same.trained_.sentences.size == 8, "nobody asked for more"
    lm = clone_of(learned, warm_start=True).fit_sentences(texts, targets, lr=1e-9, size=11, **own)
    before, after = learned.trained_.sentences, lm.trained_.sentences
    assert after.size == 11
    for name, array in before.arrays.items():
        kept = after.arrays[name]
        if kept.shape != array.shape:
            begins = name.endswith(".map") == (np.abs(kept[..., 8:]).max() < 1e-5)
            assert begins, "pools say nothing of what is new, words what their texts do"
            kept = kept[..., :8]
        np.testing.assert_allclose(kept, array, atol=1e-5, err_msg=name)
    assert lm.transform(texts).shape[1] == learned.transform(texts).shape[1] + 3
    further = clone_of(lm).fit_sentences(texts, targets, size=256, **own).trained_.sentences
    assert further.size == 12, "targets are no longer"
    for name in ("words", "offset", "forward.map", "backward.map"):
        assert np.abs(further.arrays[name][..., 11:]).max() > 1e-3, name


@pytest.mark.parametrize("rank", [5, 12, 30, 64])
def test_what_is_new_in_wider_vectors_is_no_second_copy_of_what_was_there(rank):
    """Also where few texts, or a teacher of few dimensions, leave nothing for some of them."""
    rng = np.random.default_rng(0)
    targets = (rng.standard_normal((200, rank)) @ rng.standard_normal((rank, 64))).astype("f4")
    basis = principal_directions(targets, 12)
    for size in (13, 40, 64):
        wider = with_more_directions(basis, targets, size)
        np.testing.assert_array_equal(wider[:, :12], basis)
        np.testing.assert_allclose(wider.T @ wider, np.eye(size), atol=1e-5)
    np.testing.assert_allclose(targets @ wider @ wider.T, targets, atol=1e-3)
    best = principal_directions(targets, 40)
    wider = with_more_directions(basis, targets, 40)
    kept = [np.linalg.norm(targets @ some) for some in (best, wider)]
    assert kept[1] == pytest.approx(kept[0], rel=1e-4)


def test_a_model_that_was_asked_is_freed_with_its_last_user(learned):
    lm = clone_of(learned)
    lm.transform(["we saw the bank"])
    gc.collect()
    gc.disable()
    try:
        trained = weakref.ref(lm.trained_)
        del lm
        assert trained() is None
    finally:
        gc.enable()


def test_a_classifier_needs_few_labels_and_no_scaler(learned):
    texts, _, y = taught()
    features = learned.transform(texts)
    assert features.dtype == np.float32
    assert len(learned.get_feature_names_out()) == features.shape[1]
    linear = LogisticRegression().fit(features[:30], y[:30])
    assert linear.n_iter_ < 100
    assert linear.score(features[30:], y[30:]) > 0.9


def test_a_text_has_one_vector(learned):
    texts = taught()[0][:20]
    together = learned.transform(texts)
    alone = np.vstack([learned.transform([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    backward = learned.transform(texts[::-1])[::-1]
    np.testing.assert_allclose(together, backward, atol=1e-5)


@pytest.mark.parametrize("text", ["", " ", "xyzzy", "bank " * 500])
def test_any_text_has_a_vector(learned, text):
    assert np.isfinite(learned.transform([text])).all()


def test_kept_by_save_pickle_and_joblib(learned, tmp_path):
    texts = taught()[0][:5]
    expected = learned.transform(texts)
    learned.save(tmp_path / "model")
    joblib.dump(learned, tmp_path / "model.joblib")
    again = ULMFiTLanguageModel(str(tmp_path / "model"), direction="both", output="features")
    for other in (
        load(tmp_path / "model"),
        pickle.loads(pickle.dumps(learned)),
        joblib.load(tmp_path / "model.joblib", mmap_mode="r"),
        again.set_params(max_vocab=10).fit(texts),
    ):
        np.testing.assert_allclose(other.transform(texts), expected, atol=1e-6)
        assert other.trained_.fingerprint == learned.trained_.fingerprint


def test_a_direction_takes_its_part(learned):
    texts, targets, _ = taught()
    for direction in ("forward", "backward"):
        part = ULMFiTLanguageModel(
            FrozenEstimator(learned), direction=direction, output="features", max_vocab=10
        )
        vectors = part.fit(texts).transform(texts)[:, :8]
        cosines = targets @ targets.T / np.linalg.norm(targets, axis=1) ** 2
        assert np.corrcoef((vectors @ vectors.T).ravel(), cosines.ravel())[0, 1] > 0.9


def test_a_new_word_means_what_its_spelling_says(learned):
    start = learned.trained_
    texts = ["payments", "players", "payments", "players", "zqx", "zqx"]
    lm = ULMFiTLanguageModel(FrozenEstimator(learned), direction="both", output="features").fit(
        texts
    )
    vocab, words = lm.trained_.tokenizer.vocab, lm.trained_.sentences.arrays["words"]
    assert len(vocab) == len(start.tokenizer.vocab) + 3
    known = words[: len(start.tokenizer.vocab)]
    np.testing.assert_array_equal(known, start.sentences.arrays["words"])

    def cosine(one, other):
        a, b = (words[vocab.id(word)] - known.mean(axis=0) for word in (one, other))
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine("payments", "payment") > cosine("payments", "player")
    assert cosine("players", "player") > cosine("players", "payment")
    assert np.isfinite(words).all()


def test_fine_tuning_keeps_what_was_learned(learned):
    texts, targets, _ = taught()
    tuned = ULMFiTLanguageModel(
        FrozenEstimator(learned), direction="both", max_epochs=2, random_state=0
    )
    vectors = tuned.fit(texts).set_params(output="features").transform(texts)[:, :8]
    cosines = targets @ targets.T / np.linalg.norm(targets, axis=1) ** 2
    assert np.corrcoef((vectors @ vectors.T).ravel(), cosines.ravel())[0, 1] > 0.9


def test_features_of_a_pretrained_model_need_no_training(learned, start):
    lm = ULMFiTLanguageModel(FrozenEstimator(learned), direction="both", output="features").fit(
        taught()[0]
    )
    assert lm.n_epochs_ == 0
    with_pools = clone(lm).set_params(pretrained=FrozenEstimator(start)).fit(taught()[0])
    assert with_pools.n_epochs_ == 0
    features = with_pools.transform(taught()[0])
    norms = np.linalg.norm(features, axis=1)
    assert 1 < norms.mean() < 9  # two directions, each of about length 3
    assert len(with_pools.get_feature_names_out()) == features.shape[1]


@pytest.mark.parametrize("train_encoder", [False, True])
def test_cut_off_and_called_again_it_ends_the_same(start, tmp_path, train_encoder):
    texts, targets, _ = taught()
    np.save(tmp_path / "targets.npy", targets)
    mapped = np.load(tmp_path / "targets.npy", mmap_mode="r")
    own = {"size": 8, "batch_size": 64, "max_epochs": 3, "train_encoder": train_encoder}
    kept = {"checkpoint_dir": tmp_path / "run", "checkpoint_minutes": 0}
    for n_batches in (4, 9, 8):  # within the first epoch, the last, and the other direction's
        lm = clone_of(start, callbacks=[CutAfter(n_batches)], **kept)
        with pytest.raises(Cut):
            lm.fit_sentences(texts, mapped, **own)
    with pytest.raises(ValueError, match="with other size"):
        clone_of(start, **kept).fit_sentences(texts, targets, **{**own, "size": 7})
    with pytest.raises(ValueError, match="with other random_state"):
        clone_of(start, random_state=5, **kept).fit_sentences(texts, targets, **own)
    ended = clone_of(start, **kept).fit_sentences(texts, mapped, **own)
    whole = clone_of(start).fit_sentences(texts, targets, **own)
    assert ended.sentence_history_ == whole.sentence_history_
    assert ended.trained_.fingerprint == whole.trained_.fingerprint


@pytest.mark.skipif(files.fcntl is None, reason="no locks of directories here")
def test_a_second_run_in_a_directory_is_refused(start, tmp_path):
    texts, targets, _ = taught()
    with only_run(tmp_path / "run"), pytest.raises(RuntimeError, match="Another run"):
        clone_of(start, checkpoint_dir=tmp_path / "run").fit_sentences(texts, targets, size=8)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda t: t[:-1], "rows of targets"),
        (lambda t: t[:, 0], "matrix of floats"),
        (lambda t: t[:, :0], "matrix of floats"),
        (lambda t: t.astype(int), "matrix of floats"),
        (lambda t: np.where(np.arange(len(t))[:, None] == 7, np.nan, t), "not finite"),
    ],
)
def test_targets_that_cannot_be(start, spoil, match):
    texts, targets, _ = taught()
    lm = clone_of(start)
    before = lm.trained_
    with pytest.raises(ValueError, match=match):
        lm.fit_sentences(texts, spoil(targets))
    assert lm.trained_ is before


@pytest.mark.parametrize("name", ["size", "max_epochs", "lr", "batch_size", "n_valid"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), "auto", None])
def test_parameters_that_cannot_be(start, name, value):
    if (name, value) == ("size", None):
        pytest.skip("leaves it to us")
    texts, targets, _ = taught()
    with pytest.raises(ValueError, match=f"'{name}' parameter of fit_sentences"):
        clone_of(start).fit_sentences(texts, targets, **{name: value})


def test_layers_that_learn_along_are_asked_for_by_true_or_false(start):
    texts, targets, _ = taught()
    with pytest.raises(ValueError, match="'train_encoder' parameter of fit_sentences"):
        clone_of(start).fit_sentences(texts, targets, train_encoder="yes")


@pytest.mark.parametrize("name", ["size", "max_epochs", "batch_size", "n_valid"])
def test_numbers_of_things_are_whole(start, name):
    texts, targets, _ = taught()
    with pytest.raises(ValueError, match=f"'{name}' parameter of fit_sentences"):
        clone_of(start).fit_sentences(texts, targets, **{name: 2.5})


def test_there_has_to_be_a_language_model():
    texts, targets, _ = taught()
    with pytest.raises(ValueError, match="Call fit on texts first"):
        ULMFiTLanguageModel(None).fit_sentences(texts, targets)


def test_rows_on_disk_go_on_where_they_ended(tmp_path):
    asked = []

    def compute(first, last):
        asked.append(first)
        return np.arange(first, last)[:, None] * np.ones(3)

    rows_on_disk(tmp_path / "rows", 5, 3, compute)
    with (tmp_path / "rows").open("ab") as file:
        file.write(b"abc")  # half a row, as a full disk leaves it
    rows = rows_on_disk(tmp_path / "rows", 9, 3, compute)
    assert asked == [0, 5]
    np.testing.assert_array_equal(rows, np.arange(9)[:, None] * np.ones(3))


def test_principal_directions_keep_what_they_can():
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((50, 3)) @ rng.standard_normal((3, 10))
    basis = principal_directions(flat, 3)
    np.testing.assert_allclose(flat @ basis @ basis.T, flat, atol=1e-4)
    assert principal_directions(flat, 20).shape == (10, 10)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_features_of_a_model_without_a_teacher_are_scaled_however_it_is_trained(method):
    texts = taught()[0]
    lm = language_model(max_epochs=1, output="features", pooling="sentences")
    deviations = getattr(lm, method)(texts).transform(texts).std(axis=0)
    # Those that vary less than a share of what others do are not blown up.
    even = 3 / np.sqrt(len(deviations))
    np.testing.assert_allclose(np.median(deviations), even, rtol=1e-3)
    assert (deviations < 1.001 * even).all() and (deviations > 0.999 * even).mean() > 0.8
    scaled = lm.trained_.sentences
    assert lm.partial_fit(texts[:20]).trained_.sentences is scaled  # those of the first call stay


def test_a_later_fit_begins_without_their_history(learned):
    again = clone_of(learned)
    again.partial_fit(["we saw the bank"])
    assert again.sentence_history_ == learned.sentence_history_
    again.set_params(max_epochs=1).fit(["we saw the bank"] * 2)
    assert not hasattr(again, "sentence_history_")


def test_their_history_is_saved(learned, start, tmp_path):
    for n, lm in enumerate((learned, start)):
        lm.save(tmp_path / str(n))
        again = load(tmp_path / str(n))
        assert getattr(again, "sentence_history_", None) == getattr(lm, "sentence_history_", None)


def test_interrupted_before_the_second_direction_it_can_be_saved(learned, tmp_path):
    """What was learned of texts in a direction that there is no network of goes with that."""
    texts = taught()[0]
    own = {"pretrained": FrozenEstimator(learned), "max_epochs": 3, "callbacks": [CtrlC()]}
    lm = clone(learned).set_params(**own)
    with pytest.raises(KeyboardInterrupt, match="fitted with what it had learned so far"):
        lm.fit(texts)
    assert lm.trained_.directions == ("forward",)
    features = lm.transform(texts)
    lm.set_params(callbacks=None, pretrained=None).save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").transform(texts), features)


def test_a_unit_that_hardly_ever_moved_does_not_drown_out_the_others():
    sentences = load_pretrained("en-small").sentences
    pools = np.repeat(sentences.arrays["forward.mean"][np.newaxis], 2, axis=0)
    deviations = sentences.arrays["forward.scale"]
    assert deviations.min() < np.median(deviations) / 1000
    # As far as others move, which it may do in a model that has been fine-tuned.
    pools[1, deviations.argmin()] += np.median(deviations)
    still, moved = sentences.scaled("forward", pools)
    assert not still.any() and np.linalg.norm(moved) < 0.1


@pytest.mark.parametrize("kind", [UnreadTexts, TaughtTexts])
def test_batches_are_of_texts_that_are_alike(kind):
    rng, n = np.random.default_rng(0), 15_000
    topic = rng.integers(3, size=n)
    targets = np.eye(3, 8)[topic] + 0.1 * rng.normal(size=(n, 8))
    lengths = rng.integers(1, 30, size=n)
    tokens = TokenLists(
        np.zeros(lengths.sum(), np.int32), np.concatenate([[0], np.cumsum(lengths)])
    )
    texts = kind(tokens, targets.astype(np.float16), np.eye(8, dtype=np.float32), "forward")
    rows = np.arange(0, n, 2)
    batches = texts.in_batches(rows, 32, np.random.default_rng(1))
    assert np.array_equal(np.sort(np.concatenate(batches)), rows)
    alike = [np.bincount(topic[batch]).max() / len(batch) for batch in batches]
    assert np.mean(alike) > 0.9  # (of any texts: .4)
    # Topics take turns.
    first_topics = [topic[batch[0]] for batch in batches]
    assert np.diff(first_topics).astype(bool).sum() > 10
    held_out = texts.in_batches(rows, 32, None)
    assert np.array_equal(np.sort(np.concatenate(held_out)), rows)
