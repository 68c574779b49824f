"""Words that are beyond the vocabulary, and mean something all the same."""

import pickle

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import sk_ulmfit
from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.explanation import explain
from sk_ulmfit.export import export
from sk_ulmfit.models.names import load_pretrained
from sk_ulmfit.text.rules import SPECIAL_TOKENS
from sk_ulmfit.text.tokenizers import tokenizer_from_dict
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(3, 20)

# In no text of banking77.
NEW = ["zorkmid", "quatloo", "kalganid"]


@pytest.fixture(scope="module")
def lm():
    """A language model for which two of the new words are like "card", the third like "kids"."""
    lm = language_model(max_epochs=1, output="features", pooling="sentences").fit(TEXTS)
    words = [word for word in lm.vocab_ if word not in SPECIAL_TOKENS]
    targets = np.random.default_rng(0).standard_normal((len(words), 12))
    of = dict(zip(words, targets, strict=True))
    lm.fit_sentences(
        [*words, *TEXTS], _targets_of(of), size=8, max_epochs=5, batch_size=16, lr=0.01
    )
    return lm.add_words([*words, *NEW], np.array([*targets, of["card"], of["card"], of["kids"]]))


def _targets_of(of):
    known = [[of[word] for word in text.lower().split() if word in of] for text in TEXTS]
    return np.array(
        [*of.values(), *(np.sum(some or [[0.0] * 12], axis=0) + 0.01 for some in known)]
    )


def meaning(lm, texts):
    """What texts mean, without their form."""
    return lm.transform(texts)[:, :8]


def test_they_mean_what_the_teacher_says(lm):
    card, zorkmid, quatloo, kalganid = meaning(lm, ["card", *NEW])
    assert zorkmid @ card > kalganid @ card
    np.testing.assert_allclose(zorkmid, quatloo, atol=1e-5)


def test_the_language_model_does_not_know_them(lm):
    assert lm.trained_.tokenizer.lexicon == tuple(NEW)
    assert not {*NEW} & {*lm.vocab_}
    unknown = lm.perplexity(["my nobodyknows is lost"])
    assert lm.perplexity(["my zorkmid is lost"]) == unknown
    documents = lm.trained_.tokenizer.documents(["my zorkmid", "my nobodyknows"])
    assert documents.document(0).tolist() == documents.document(1).tolist()
    assert len(documents.distinct()[0]) == 2, "they are no equal documents"


def test_order_length_and_batch_are_the_same_as_of_other_words(lm):
    texts = ["my zorkmid is lost", "a quatloo", "", "kalganid kalganid zorkmid", *TEXTS[:5]]
    together = lm.transform(texts)
    alone = np.vstack([lm.transform([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    tokens = lm.trained_.tokenizer.documents(texts)
    backward = tokens.reversed()
    for i in range(len(texts)):
        assert backward.document(i).tolist() == tokens.document(i)[::-1].tolist()
    words = tokens.words
    assert backward.reversed().words.tolist() == words.tolist()
    assert tokens.take([3, 1]).head(2).words.tolist() == [
        *words[tokens.offsets[3] :][:2],
        *words[tokens.offsets[1] :][:2],
    ]


def test_a_classifier_meets_them_first_when_it_predicts(lm, tmp_path):
    """Saved, pickled, served and explained, too."""
    documents = ULMFiTLanguageModel.from_trained(lm.trained_).transform(TEXTS)
    clf = classifier(linear_share=1.0, pooling="concat-layers").fit(documents, LABELS)
    asked = ["my zorkmid is lost", "my kalganid is lost", "my nobodyknows is lost"]
    expected = clf.predict_proba(asked)
    assert abs(expected[0] - expected[1]).max() > 1e-4 < abs(expected[0] - expected[2]).max()
    clf.save(tmp_path / "saved")
    for again in (pickle.loads(pickle.dumps(clf)), sk_ulmfit.load(tmp_path / "saved")):
        np.testing.assert_array_equal(again.predict_proba(asked), expected)
    found = explain(clf, asked)
    parts = [{word.text: word.attribution for word in one.words()} for one in found]
    assert parts[0]["zorkmid"] != parts[2]["nobodyknows"]
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    export(clf, tmp_path / "exported")
    served = sk_ulmfit.serving.load(tmp_path / "exported")
    np.testing.assert_allclose(served.predict_proba(asked), expected, atol=1e-4)


def test_one_that_texts_have_enters_the_vocabulary_with_what_it_means(lm):
    tuned = ULMFiTLanguageModel(lm.trained_, max_epochs=0, min_freq=1, output="features")
    tuned.fit([*TEXTS, "zorkmid"])
    assert "zorkmid" in tuned.vocab_
    assert tuned.trained_.tokenizer.lexicon == tuple(NEW[1:])
    for before, after in zip(*(meaning(one, NEW) for one in (lm, tuned)), strict=True):
        assert before @ after > 0.95 * 9, "nothing but their place in the network's embedding"


def test_the_first_of_them_may_be_the_only_new_one(lm):
    """Vocabulary and lexicon are the same words then, with another border."""
    tuned = ULMFiTLanguageModel(lm.trained_, max_epochs=0, min_freq=1, output="features")
    tuned.fit(["my zorkmid"])
    assert tuned.vocab_ == (*lm.vocab_, "zorkmid")
    assert tuned.trained_.tokenizer.words == lm.trained_.tokenizer.words
    assert np.isfinite(tuned.transform([TEXTS[0], "my zorkmid"])).all()


@pytest.mark.parametrize("kind", [list, iter])
def test_sentences_are_learned_with_them(lm, kind):
    words = ["card", "kids"]
    again = ULMFiTLanguageModel.from_trained(lm.trained_, warm_start=True, output="features")
    texts = [f"the {word} of {i}" for word in [*NEW, *words] for i in range(40)]
    targets = np.repeat(np.eye(5, 12), 40, axis=0)
    again.fit_sentences(kind(texts), targets, max_epochs=20, batch_size=16, lr=0.05)
    zorkmid, quatloo = meaning(again, ["the zorkmid of 3", "the quatloo of 3"]) / 3.0
    assert zorkmid @ quatloo < 0.9, "they were the same before"


def test_what_cannot_be_learned_is_refused(lm):
    fresh = ULMFiTLanguageModel.from_trained(lm.trained_)
    words, targets = ["card", "zork"], np.ones((2, 12))
    with pytest.raises(ValueError, match="Only 1 of the 2 words"):
        fresh.add_words(words, targets)
    with pytest.raises(ValueError, match="Only 0 of the 1 words"):
        fresh.add_words(words[1:], targets[1:])
    with pytest.raises(ValueError, match="2 words, but 3 rows"):
        fresh.add_words(words, np.ones((3, 12)))
    with pytest.raises(ValueError, match="not finite"):
        fresh.add_words(words, targets * np.nan)
    with pytest.raises(TypeError):
        fresh.add_words([1, 2], targets)
    with pytest.raises(ValueError, match="call fit_sentences first"):
        language_model(max_epochs=0).fit(TEXTS).add_words(words, targets)
    with pytest.raises(NotFittedError):
        language_model().add_words(words, targets)
    assert fresh.trained_ is lm.trained_


def test_pieces_of_words_need_none():
    lm = language_model(tokenizer="subword", max_epochs=0, output="features").fit(TEXTS)
    words = [*lm.vocab_, "zorkmid"]
    targets = np.random.default_rng(0).standard_normal((len(words), 12))
    lm.fit_sentences(words, targets, size=8, max_epochs=1).add_words(words, targets)
    assert lm.trained_.tokenizer.lexicon == ()


def test_a_function_as_tokenizer_goes_on_with_them(tmp_path):
    given = {"tokenizer": str.split, "min_freq": 1}
    lm = language_model(max_epochs=0, output="features", **given).fit(TEXTS)
    words = [*lm.vocab_, "zorkmid"]
    targets = np.random.default_rng(0).standard_normal((len(words), 12))
    lm.fit_sentences(words, targets, size=8, max_epochs=1).add_words(words, targets)
    for _ in range(2):  # the second time it is all there
        tuned = ULMFiTLanguageModel(
            lm.trained_, max_epochs=1, random_state=0, checkpoint_dir=tmp_path, **given
        ).fit(iter([*TEXTS, "a quatloo"]))
        assert tuned.trained_.tokenizer.lexicon == ("zorkmid",)
        assert len(tuned.trained_.sentences.arrays["words"]) == len(words) + 1


def test_a_file_whose_words_cannot_be_read_is_refused(lm):
    description = lm.trained_.tokenizer.to_dict()
    for wrong in (["a\ud800"], ["x", "x"], [1], "xyz", None):
        with pytest.raises(ValueError):
            tokenizer_from_dict({**description, "lexicon": wrong})


def test_what_is_no_word_of_the_tokenizer_is_left_out(lm):
    words = [*(word for word in lm.vocab_ if word.isalpha()), "two words", "Upper", "zork", "zork"]
    targets = np.random.default_rng(0).standard_normal((len(words), 12))
    more = ULMFiTLanguageModel.from_trained(lm.trained_).add_words(words, targets)
    assert more.trained_.tokenizer.lexicon == (*NEW, "zork")


def test_the_shipped_model_knows_words_that_an_encyclopaedia_hardly_has():
    start = load_pretrained("en-small")
    lm = ULMFiTLanguageModel.from_trained(start, output="features")
    texts = ["It was hilarious.", "Very funny.", "My wordpress plugin is broken.", "Blog software."]
    assert not {"hilarious", "wordpress", "plugin"} & {*lm.vocab_}
    vectors = lm.transform(texts)[:, : start.sentences.size]
    near = vectors @ vectors.T
    assert near[0, 1] > near[0, [2, 3]].max() and near[2, 3] > near[2, :2].max()
    clf = ULMFiTClassifier(linear_share=1.0, random_state=0).fit(TEXTS, LABELS)
    assert "hilarious" in clf.language_model_.trained_.tokenizer.lexicon
