"""Exported models answer as the estimators, without torch and scikit-learn."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, serving
from sk_ulmfit.export import export
from sk_ulmfit.files import read_json, write_json
from sk_ulmfit.models.sentences import SentenceVectors
from tests.helpers import ROUNDING, banking, classifier, language_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

TEXTS, LABELS = banking(3, 20)
HOSTILE = [
    "",
    " \n\t ",
    "a",
    "\x00\x01 \ufeff \u200b",
    "a lone surrogate \ud800 here",
    "x" * 3000,
    "w " * 333,
    "Where IS my card?!?! " * 60,
    "الحمد لله 我的卡在哪里 😀👍🏽 e\u0301",
    "<br /> xxbos xxunk xxmaj &amp; 100,000.5",
]
ASKED = [*HOSTILE, *TEXTS, *(" ".join(TEXTS[:n]) for n in range(1, 30))]


def with_sentences(trained):
    """A language model that has learned something of texts, at random."""
    random = np.random.default_rng(0)
    shapes = SentenceVectors({"offset": np.zeros(4)}).expected(
        trained.directions, trained.sizes, len(trained.tokenizer.words)
    )
    learned = {
        name: random.uniform(0.1, 1.0, shape.shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    return replace(trained, sentences=SentenceVectors(learned))


def fitted_on_all(y=LABELS, **params):
    """A classifier of both directions that is told of pools, meaning and words."""
    lm = language_model(direction="both", max_epochs=0).fit(TEXTS)
    lm.trained_ = with_sentences(lm.trained_)
    return classifier(pooling="concat-layers", **params).fit(lm.transform(TEXTS), y)


@pytest.fixture(scope="module")
def clf():
    clf = fitted_on_all(head_start="solved", max_epochs=0)
    assert clf.trained_.words.keys() == {"forward", "backward"} and clf.trained_.n_meaning == 4
    clf.trained_ = replace(clf.trained_, temperature=1.7)
    return clf


@pytest.fixture(scope="module")
def folder(clf, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(clf, folder)
    return folder


@pytest.fixture(scope="module")
def served(folder):
    return serving.load(folder)


def exported(estimator, tmp_path, **params):
    export(estimator, tmp_path / "model", **params)
    return serving.load(tmp_path / "model")


def test_probabilities_and_classes_are_the_estimators(clf, served):
    expected = clf.predict_proba(ASKED)
    found = served.predict_proba(ASKED)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    predicted = served.predict(ASKED)
    assert (predicted == clf.predict(ASKED)).all() and predicted.dtype == clf.classes_.dtype
    assert (served.classes_ == clf.classes_).all()
    assert "forward and backward" in repr(served)


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_linear_model_beside_the_network_is_served_too(tmp_path, multilabel):
    y = [[label == name for name in sorted(set(LABELS))] for label in LABELS]
    y = np.array(y, dtype=int) if multilabel else LABELS
    clf = fitted_on_all(y, max_epochs=1, linear_share=0.4)
    clf.trained_ = replace(clf.trained_, temperature=1.7)
    served = exported(clf, tmp_path)
    found, expected = served.predict_proba(ASKED), clf.predict_proba(ASKED)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)
    alone = replace(clf.trained_, beside=None, linear_share=0.0)
    assert clf.trained_.beside.words.keys() == {"forward", "backward"} and not alone.words
    assert repr(served) == "<ServedClassifier: forward and backward>"


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_one_document_has_one_answer_in_any_batch(clf, tmp_path, precision):
    served = exported(clf, tmp_path, precision=precision)
    together = served.predict_proba(ASKED)
    for texts in (ASKED[::-1], ASKED[5:20] * 3):
        rows = [ASKED.index(text) for text in texts]
        np.testing.assert_allclose(
            served.predict_proba(texts), together[rows], rtol=0, atol=ROUNDING
        )
    alone = np.vstack([served.predict_proba([text]) for text in ASKED])
    np.testing.assert_allclose(alone, together, rtol=0, atol=ROUNDING)


def test_int8_is_near_and_small(clf, folder, tmp_path):
    served = exported(clf, tmp_path, precision="int8")
    difference = np.abs(served.predict_proba(ASKED) - clf.predict_proba(ASKED))
    assert 0 < difference.max() < 0.02
    sizes = [(path / "forward.onnx").stat().st_size for path in (tmp_path / "model", folder)]
    assert sizes[0] < 0.75 * sizes[1]


@pytest.mark.parametrize("pooling", ["concat", "mean", "max", "last", "concat-layers"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_every_pooling(clf, tmp_path, pooling, precision):
    lm = ULMFiTLanguageModel.from_trained(
        clf.language_model_.trained_, pooling=pooling, output="features"
    )
    vectors = exported(lm, tmp_path, precision=precision).transform(ASKED)
    expected = lm.transform(ASKED)
    assert vectors.dtype == np.float32 and vectors.shape == expected.shape
    tolerance = ROUNDING if precision == "float32" else 0.05
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("taught", [True, False])
def test_features_that_know_sentences(tmp_path, taught):
    lm = language_model(direction="both", max_epochs=0).fit(TEXTS)
    lm.set_params(pooling="sentences", output="features")
    if taught:
        lm.trained_ = with_sentences(lm.trained_)
    expected = lm.transform(ASKED)
    found = exported(lm, tmp_path).transform(ASKED)
    np.testing.assert_allclose(found, expected, rtol=0, atol=10 * ROUNDING)
    (tmp_path / "model").rename(tmp_path / "float32")
    in_int8 = exported(lm, tmp_path, precision="int8").transform(ASKED)
    assert 0 < np.linalg.norm(in_int8 - expected) < 0.1 * np.linalg.norm(expected)


def test_a_network_that_went_on_from_a_head_that_is_told_the_meaning(tmp_path):
    clf = fitted_on_all(head_start="solved", max_epochs=1, linear_share=0.0)
    assert clf.trained_.n_meaning == 4 and not clf.trained_.is_linear
    served = exported(clf, tmp_path)
    assert (tmp_path / "model" / "meaning-forward.onnx").is_file()
    expected = clf.predict_proba(ASKED)
    np.testing.assert_allclose(served.predict_proba(ASKED), expected, rtol=0, atol=ROUNDING)


def test_every_network_reads_a_text_once(tmp_path, monkeypatch):
    lm = language_model(direction="both", max_epochs=0).fit(TEXTS)
    lm.set_params(pooling="sentences", output="features")
    lm.trained_ = with_sentences(lm.trained_)
    served = exported(lm, tmp_path)
    read = []

    def reading(network, *given, its=serving.Network.read):
        read.append(network)
        return its(network, *given)

    monkeypatch.setattr(serving.Network, "read", reading)
    served.transform(["one text"])
    assert len(read) == len({*read}) == 2


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_several_labels_a_text_and_a_trained_head(tmp_path, precision):
    lm = language_model(max_epochs=0, tokenizer="subword", max_vocab=200)
    targets = np.stack([LABELS == "atm", np.char.str_len(TEXTS) > 50], axis=1).astype(int)
    clf = classifier(language_model=lm, max_epochs=2, max_length=12).fit(TEXTS, targets)
    served = exported(clf, tmp_path, precision=precision)
    assert served.multilabel_
    tolerance = ROUNDING if precision == "float32" else 0.02
    p = served.predict_proba(ASKED)
    np.testing.assert_allclose(p, clf.predict_proba(ASKED), rtol=0, atol=tolerance)
    found = served.predict(ASKED)
    assert found.dtype == np.int64 and (found == (p > 0.5)).all()


def test_classes_of_other_types(tmp_path):
    lm = language_model(max_epochs=0)
    days = np.array(["2024-01-01", "2025-06-01"], "datetime64[D]")
    for n, classes in enumerate((days, np.array([3, 7], np.int16), np.array([False, True]))):
        y = classes[np.arange(len(TEXTS)) % 2]
        clf = classifier(language_model=lm, max_epochs=0).fit(TEXTS, y)
        export(clf, tmp_path / str(n))
        served = serving.load(tmp_path / str(n))
        assert served.classes_.dtype == clf.classes_.dtype
        assert (served.predict(TEXTS) == clf.predict(TEXTS)).all()


@pytest.mark.parametrize(
    "X",
    [
        *("a text", b"bytes", None, 3, {"a": 1}, {"a"}, Path("file.txt")),
        *([], [None], ["a", float("nan")], [b"a"], [1]),
        *(np.zeros((2, 2)), np.array([["a"], ["b"]])),
    ],
    ids=str,
)
def test_what_is_no_text_is_refused_as_by_the_estimator(clf, served, X):
    with pytest.raises((TypeError, ValueError)) as expected:
        clf.predict_proba(X)
    with pytest.raises(type(expected.value), match=f"^{re.escape(str(expected.value))}$"):
        served.predict_proba(X)


def test_texts_come_in_any_collection(clf, served):
    expected = served.predict(TEXTS[:3])
    for X in (tuple(TEXTS[:3]), np.array(TEXTS[:3]), iter(TEXTS[:3])):
        assert (served.predict(X) == expected).all()


def test_threads_share_a_model(served):
    expected = served.predict_proba(ASKED)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: served.predict_proba(ASKED[:40]), range(16)):
            np.testing.assert_allclose(found, expected[:40], rtol=0, atol=1e-6)


def test_a_machine_that_serves_needs_no_torch(clf, folder, tmp_path):
    script = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(name)

BLOCKED = {"torch", "skorch", "sklearn", "scipy", "joblib", "safetensors", "tqdm", "onnx", "pandas"}
sys.meta_path.insert(0, Refuse())
from sk_ulmfit import serving
model = serving.load(sys.argv[1])
texts = json.loads(sys.stdin.read())
print(json.dumps(model.predict_proba(texts).tolist()))
try:
    model.predict([None])
except ValueError as error:
    assert "missing" in str(error), error
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        input=json.dumps(ASKED),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = np.array(json.loads(done.stdout))
    np.testing.assert_allclose(found, clf.predict_proba(ASKED), rtol=0, atol=ROUNDING)


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the folder, to be spoilt."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def rewrite(folder: Path, **changes) -> None:
    """Write a manifest that says something else, with all checksums right."""
    manifest = {**read_json(folder / serving.MANIFEST), **changes}
    write_json(folder / serving.MANIFEST, manifest)


def replace_file(folder: Path, name: str, content: bytes) -> None:
    import hashlib

    (folder / name).write_bytes(content)
    digests = read_json(folder / serving.MANIFEST)["sha256_of_files"]
    rewrite(folder, sha256_of_files={**digests, name: hashlib.sha256(content).hexdigest()})


FILES = ["forward.onnx", "backward.onnx", "tokenizer.json", "arrays.npz", serving.MANIFEST]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_folder_is_refused_by_name(copy, name, damage):
    file = copy / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    error = FileNotFoundError if (name, damage) == (FILES[-1], "gone") else ValueError
    with pytest.raises(error, match=re.escape(name)):
        serving.load(copy)


def test_files_are_those_of_the_folder(folder):
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)


def test_another_format_is_refused(copy):
    rewrite(copy, format_version=serving.FORMAT_VERSION + 1)
    with pytest.raises(ValueError, match=r"format version 4.*Upgrade sk_ulmfit"):
        serving.load(copy)
    rewrite(copy, format_version=serving.FORMAT_VERSION - 1)
    with pytest.raises(ValueError, match=r"older sk_ulmfit. Export the model again"):
        serving.load(copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "another"},
        {"format_version": "1"},
        {"sha256_of_files": ["forward.onnx"]},
        {"sha256_of_files": {"../escaped": "0" * 64}},
        {"directions": ["sideways"]},
        {"kind": "regressor"},
        {"temperature": "hot"},
        {"max_length": "long"},
    ],
    ids=str,
)
def test_a_manifest_that_cannot_be_is_refused(copy, changes):
    (copy.parent / "escaped").write_bytes(b"secret")
    rewrite(copy, **changes)
    with pytest.raises(ValueError, match="copy"):
        serving.load(copy)


def test_a_graph_of_a_newer_onnx_is_refused(copy):
    graph = onnx.load_from_string((copy / "forward.onnx").read_bytes())
    graph.opset_import[0].version = 999
    replace_file(copy, "forward.onnx", graph.SerializeToString())
    with pytest.raises(ValueError, match=r"onnxruntime \d.* cannot compute forward\.onnx"):
        serving.load(copy)


def test_nothing_outside_of_the_folder_is_read(copy, monkeypatch):
    graph = onnx.load_from_string((copy / "forward.onnx").read_bytes())
    largest = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    monkeypatch.chdir(copy.parent)
    Path("weights.bin").write_bytes(largest.raw_data)
    onnx.external_data_helper.set_external_data(largest, "weights.bin")
    largest.ClearField("raw_data")
    replace_file(copy, "forward.onnx", graph.SerializeToString())
    with pytest.raises(ValueError, match=r"forward\.onnx refers to files"):
        serving.load(copy)


def test_pickled_classes_are_not_read(copy):
    from io import BytesIO

    with np.load(copy / "arrays.npz") as stored:
        arrays = {**stored, "classes": np.array(["a", "b", "c"], object)}
    content = BytesIO()
    np.savez(content, **arrays)
    replace_file(copy, "arrays.npz", content.getvalue())
    with pytest.raises(ValueError, match="pickle"):
        serving.load(copy)


def test_where_nothing_is_exported(clf, tmp_path):
    with pytest.raises(FileNotFoundError, match="not an exported model"):
        serving.load(tmp_path)
    clf.save(tmp_path / "saved")
    with pytest.raises(FileNotFoundError, match=r"what save\(\) wrote is for sk_ulmfit\.load"):
        serving.load(tmp_path / "saved")
    with pytest.raises(ValueError, match="address"):
        serving.load("s3://bucket/model")


def test_what_cannot_be_exported(clf, folder, tmp_path):
    with pytest.raises(NotFittedError):
        export(ULMFiTClassifier(), tmp_path / "model")
    with pytest.raises(TypeError, match=r"pass the last step, pipe\[-1\]"):
        export(make_pipeline(clf), tmp_path / "model")
    with pytest.raises(ValueError, match="precision must be 'float32' or 'int8', got 'int4'"):
        export(clf, tmp_path / "model", precision="int4")
    with pytest.raises(FileExistsError, match="exists already"):
        export(clf, folder)
    own = language_model(tokenizer=str.split, max_epochs=0).fit(TEXTS)
    with pytest.raises(ValueError, match="is a function"):
        export(own, tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_an_export_is_whole_or_not_there(clf, tmp_path, monkeypatch):
    def fail(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sk_ulmfit.export.write_json", fail)
    with pytest.raises(OSError, match="No space left"):
        export(clf, tmp_path / "model")
    assert not any(tmp_path.iterdir())
