"""Saved models survive crashes, full disks and damage, or say what is wrong with them."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import pytest
import safetensors.torch
import skops.io
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback

import sk_ulmfit
from sk_ulmfit import ULMFiTLanguageModel, _estimator, files
from sk_ulmfit.models import directory
from sk_ulmfit.models.directory import read_model, write_model
from sk_ulmfit.persistence import TRUSTED_TYPES
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(3, 15)
FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture(scope="module")
def lm():
    return language_model(emb_size=8, hidden_size=8, n_layers=1, max_epochs=1).fit(TEXTS)


@pytest.fixture(scope="module")
def clf(lm):
    return classifier(max_epochs=1).fit(lm.transform(TEXTS), LABELS)


def fingerprint(estimator) -> str:
    """Equal for equal fitted models."""
    trained = estimator.trained_
    if hasattr(trained, "fingerprint"):
        return trained.fingerprint
    return repr([trained.language_model.fingerprint, sorted(trained.weights["forward"].items())])


@pytest.mark.parametrize("kind", ["lm", "clf"])
def test_no_flipped_bit_goes_unnoticed(kind, request, tmp_path):
    model = request.getfixturevalue(kind)
    model.save(tmp_path / "model")
    random = np.random.default_rng(0)
    for file in sorted((tmp_path / "model").iterdir()):
        content = file.read_bytes()
        for place in random.integers(len(content), size=150):
            flipped = bytearray(content)
            flipped[place] ^= 1 << random.integers(8)
            file.write_bytes(flipped)
            try:
                loaded = sk_ulmfit.load(tmp_path / "model")
            except ValueError as error:
                assert str(tmp_path / "model") in str(error)
            else:  # a space turned into another kind of space, say
                assert fingerprint(loaded) == fingerprint(model)
                assert json.loads(flipped) == json.loads(content)
        file.write_bytes(content)
    assert fingerprint(sk_ulmfit.load(tmp_path / "model")) == fingerprint(model)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_truncated_file_is_named(lm, share, tmp_path):
    lm.save(tmp_path / "model")
    for file in sorted((tmp_path / "model").iterdir()):
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=rf"{file.name}.* is damaged"):
            sk_ulmfit.load(tmp_path / "model")
        file.write_bytes(content)


def test_a_pickle_under_our_name_is_not_run(lm, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    lm.save(tmp_path / "model")
    for file in sorted((tmp_path / "model").iterdir()):
        content = file.read_bytes()
        file.write_bytes(pickle.dumps(Payload()))
        with pytest.raises(ValueError, match="is damaged"):
            sk_ulmfit.load(tmp_path / "model")
        file.write_bytes(content)
    assert not (tmp_path / "executed").exists()


def test_weights_of_other_sizes_are_refused(lm, clf, tmp_path):
    for model, path in ((lm, tmp_path / "lm"), (clf, tmp_path / "clf")):
        model.save(path)
        description, arrays = read_model(path)
        description.pop("weights_sha256")
        name = next(name for name in arrays if name.endswith("weight_hh"))
        write_model(path, description, {**arrays, name: arrays[name][:-1]})
        with pytest.raises(ValueError, match=r"weights do not fit .*weight_hh has shape"):
            sk_ulmfit.load(path)


def rewritten(path, place, value):
    """Change a description as somebody would who knows how its checksum is made."""
    file = path / directory.DESCRIPTION_FILE
    description = json.loads(file.read_text())
    description.pop("sha256")
    *steps, name = place.split("/")
    within = description
    for step in steps or ["classifier"]:
        within = within[step] if step else within
    within[name] = value
    description["sha256"] = directory.checksum(description)
    file.write_text(json.dumps(description))
    return path


LM = "classifier/language_model"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (f"{LM}/n_layers", 2**70),
        (f"{LM}/n_layers", True),
        (f"{LM}/n_layers", 10**9),
        (f"{LM}/emb_size", -1),
        (f"{LM}/emb_size", 2**31),
        (f"{LM}/hidden_size", "8"),
        (f"{LM}/hidden_size", 2**40),
        (f"{LM}/tokenizer", None),
        (f"{LM}/directions", ["forward", "forward"]),
        (f"{LM}/directions", ["sideways"]),
        (f"{LM}/directions", []),
        ("head_sizes", [-1]),
        ("head_sizes", [2**31]),
        ("head_sizes", [10**12, 10**12]),
        ("head_sizes", [1] * 10**5),
        ("head_sizes", None),
        ("pooling", "sideways"),
        ("multilabel", "yes"),
        ("temperature", 0),
        ("temperature", "hot"),
        ("temperature", True),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", 10**400),
        ("temperature", 1e-320),
        ("classes", ["a", "a", "b"]),
        ("classes", ["b", "a", "c"]),
        ("classes", [["a", "b", "c"]]),
        ("classes", [["a"], ["b"], ["c"]]),
        ("classes", ["a", 1, None]),
        ("classes", [1, 2, 3]),
        ("classes", []),
        ("classes", "abc"),
        ("classes_dtype", "i8"),
        ("classes_dtype", "O"),
        ("classes_dtype", "S5"),
        ("classes_dtype", "(100000000,)U5"),
        ("classes_dtype", "U5,U5"),
        ("classes_dtype", "m8[s]"),
        ("classes_dtype", "M8[D]"),
        ("classes_dtype", None),
        ("/weights_sha256", None),
        ("/weights_sha256", {"../weights-0123456789abcdef.safetensors": "0"}),
        ("/class", None),
        ("/class", "Pipeline"),
        ("/class", ["ULMFiTClassifier"]),
        ("/params", {"no_such": 1}),
        ("/params", None),
        ("/params", {"lr": "fast"}),
        ("/params", {"lr": -1.0}),
        ("/params", {"bptt": -70}),
        ("/params", {"bptt": 0}),
        ("/params", {"bptt": 1.5}),
        ("/params", {"max_length": -5}),
        ("/params", {"batch_size": 0}),
        ("/params", {"pooling": "sideways"}),
        ("/params", {"callbacks": 3}),
        ("/params", {"device": {"cpu": 1}}),
        ("/params", {"device": "no such"}),
        ("/recipes", {"language_model": {"params": {"device": "no such"}}}),
        ("/params", {"random_state": -1}),
        ("/params", {"head_sizes": [0]}),
        ("/params", {"unfreeze_schedule": [-1]}),
        ("/pairs", {"class_weight": [[[], 1]]}),
        ("/pairs", {"class_weight": [1]}),
        ("/recipes", {"language_model": {"params": {"lr": "fast"}}}),
        ("/recipes", {"language_model": {}}),
        ("/going_on", {"_n_continued": -1}),
        ("/going_on", {"_first_split_seed": 2**70}),
        ("/going_on", {"_n_continued": "1"}),
        ("/history", 3),
        ("/history", [{"epoch": None}, {"epoch": 1}]),
        ("/format", "other"),
        ("/format_version", "1"),
        ("/format_version", 1.0),
        ("/format_version", 99.0),
        ("/format_version", True),
        ("/format_version", 0),
        ("/format_version", None),
    ],
    ids=lambda value: f"{value!s:.40}",
)
def test_a_description_that_cannot_be_right_is_refused(clf, place, value, tmp_path):
    """Also where its checksum is right: a file may come from anyone."""
    clf.save(tmp_path / "model")
    with pytest.raises(ValueError) as caught:
        sk_ulmfit.load(rewritten(tmp_path / "model", place, value))
    assert str(tmp_path / "model") in str(caught.value)


@pytest.mark.parametrize("width", [9, 10**8, 2 * 10**8])
def test_a_width_of_labels_that_is_written_nowhere_takes_no_memory(clf, width, tmp_path):
    clf.save(tmp_path / "model")
    loaded = sk_ulmfit.load(rewritten(tmp_path / "model", "classes_dtype", f"<U{width}"))
    assert loaded.classes_.tolist() == clf.classes_.tolist()
    assert loaded.classes_.nbytes < 1000


@pytest.mark.parametrize("kind", ["lm", "clf"])
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.astype(np.int32),
        lambda array: array.astype(bool),
        lambda array: array.astype(np.float64) * 1e300,
        lambda array: np.full_like(array, np.nan),
        lambda array: np.full_like(array, -np.inf),
        lambda array: array[None],
    ],
    ids=["int", "bool", "too large", "nan", "inf", "shape"],
)
def test_weights_that_are_no_finite_numbers_are_refused(kind, change, request, tmp_path):
    request.getfixturevalue(kind).save(tmp_path / "model")
    description, arrays = read_model(tmp_path / "model")
    description.pop("weights_sha256")
    for name, array in arrays.items():
        if array.dtype.kind == "i":  # how many batches there were
            continue
        with np.errstate(all="ignore"):
            changed = {**arrays, name: change(array)}
        with monkeypatched_finite():
            write_model(tmp_path / "model", description, changed)
        with pytest.raises(ValueError, match=rf"{tmp_path / 'model'} does not hold"):
            sk_ulmfit.load(tmp_path / "model")


@contextmanager
def monkeypatched_finite():
    """Save what `save` refuses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory.np, "isfinite", lambda array: np.ones(1, bool))
        yield


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.complex64])
def test_types_of_weights_that_numpy_lacks_are_named(dtype, lm, tmp_path):
    lm.save(tmp_path / "model")
    (file,) = (tmp_path / "model").glob("weights-*")
    weights = safetensors.torch.load(file.read_bytes())
    if dtype not in safetensors.torch._SIZE:
        pytest.skip("the first versions of safetensors knew fewer types")
    content = safetensors.torch.save({name: t.to(dtype) for name, t in weights.items()})
    digest = directory.sha256(content)
    name = f"weights-{digest[:16]}.safetensors"
    (tmp_path / "model" / name).write_bytes(content)
    rewritten(tmp_path / "model", "/weights_sha256", {name: digest})
    with pytest.raises(ValueError, match=r"model"):
        sk_ulmfit.load(tmp_path / "model")


@pytest.mark.parametrize("depth", [100, 900, 990, 5000])
def test_descriptions_that_are_nested_deeply_are_named(depth, lm, tmp_path):
    lm.save(tmp_path / "model")
    file = tmp_path / "model" / directory.DESCRIPTION_FILE
    nested = "[" * depth + "]" * depth
    file.write_text(file.read_text().rstrip("}\n") + f', "history": {nested}}}')
    with pytest.raises(ValueError, match=r"model\.json is damaged"):
        sk_ulmfit.load(tmp_path / "model")


def test_the_checkpoint_dir_of_a_file_is_not_taken_over(lm, tmp_path):
    lm.save(tmp_path / "model")
    written = {"params": {"checkpoint_dir": str(tmp_path / "elsewhere"), "max_epochs": 1}}
    loaded = sk_ulmfit.load(rewritten(tmp_path / "model", "/params", written["params"]))
    assert loaded.checkpoint_dir is None
    loaded.fit(TEXTS[:5])
    assert not (tmp_path / "elsewhere").exists()


PARAMS = {
    "class_weight": [{0: 1.0, 1: 30.0}, {np.int64(0): np.float64(2.0), 1: 1}, "balanced", None],
    "device": [torch.device("cpu"), "cpu"],
    "language_model": [
        Path("models") / "mine",
        "models/mine",
        None,
        ULMFiTLanguageModel(None, lr=0.5, tokenizer="subword"),
        ULMFiTLanguageModel(Path("models") / "mine", device=torch.device("cpu")),
    ],
    "head_sizes": [(7, 5), [7], np.array([7]), "auto"],
    "unfreeze_schedule": [(1, 2, 1), "full"],
    "random_state": [np.int64(3), 3, None],
    "lr": [np.float32(0.5), 1],
    "amp": [np.True_, False],
    "max_length": [None, np.int32(9)],
}


def plainly(value):
    """What is left of a parameter's value besides its type."""
    if hasattr(value, "get_params"):
        return {name: plainly(inner) for name, inner in value.get_params(deep=False).items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return list(value)
    return str(value) if isinstance(value, (Path, torch.device)) else value


@pytest.mark.parametrize("name", PARAMS)
def test_parameters_come_back(name, clf, tmp_path):
    for value in PARAMS[name]:
        saved = pickle.loads(pickle.dumps(clf)).set_params(**{name: value})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            saved.save(tmp_path / "model")
        loaded = sk_ulmfit.load(tmp_path / "model")
        assert plainly(getattr(loaded, name)) == plainly(value)
        others = {k: v for k, v in saved.get_params(deep=False).items() if k != name}
        assert {k: loaded.get_params(deep=False)[k] for k in others} == others


class Derived(ULMFiTLanguageModel):
    """A language model with a parameter of its own."""

    def __init__(self, pretrained="en-small", *, mine=1, max_epochs=15):
        super().__init__(pretrained, max_epochs=max_epochs)
        self.mine = mine


class DerivedTwice(Derived):
    pass


@pytest.mark.parametrize("kind", [Derived, DerivedTwice])
def test_a_class_that_no_file_brings_back_is_told_of(kind, lm, tmp_path):
    derived = kind()
    vars(derived).update({**vars(lm), "max_epochs": 0})
    with pytest.warns(UserWarning, match=rf"will be a ULMFiTLanguageModel, not a {kind.__name__}"):
        derived.save(tmp_path / "model")
    loaded = sk_ulmfit.load(tmp_path / "model")
    assert type(loaded) is ULMFiTLanguageModel and loaded.max_epochs == 0
    assert fingerprint(loaded) == fingerprint(lm)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("callbacks", [Callback()]),
        ("random_state", np.random.RandomState(0)),
        ("class_weight", {(0, 1): 1.0}),
        ("class_weight", {np.datetime64("2026-01-01"): 1.0}),
        ("language_model", ULMFiTLanguageModel(callbacks=[Callback()])),
        ("language_model", ULMFiTLanguageModel(tokenizer=str.split)),
        ("language_model", FrozenEstimator(ULMFiTLanguageModel())),
        ("language_model", Derived()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_kept_is_warned_of_by_name(name, value, clf, tmp_path):
    saved = pickle.loads(pickle.dumps(clf)).set_params(**{name: value})
    with pytest.warns(UserWarning, match=rf"{name}.* cannot be saved as JSON"):
        saved.save(tmp_path / "model")
    loaded = sk_ulmfit.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), clf.predict_proba(TEXTS))


def test_a_pickle_of_another_version_is_warned_of(lm, clf, monkeypatch):
    for model in (lm, clf, language_model()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert vars(pickle.loads(pickle.dumps(model))).keys() == vars(model).keys()
        monkeypatch.setattr(_estimator, "__version__", "0.0.1")
        data = pickle.dumps(model)
        monkeypatch.undo()
        with pytest.warns(UserWarning, match=r"pickled by sk_ulmfit 0\.0\.1"):
            pickle.loads(data)


def test_a_cache_sees_that_the_model_at_a_path_has_changed(lm, tmp_path):
    lm.save(tmp_path / "lm")
    named = language_model(pretrained=tmp_path / "lm", max_epochs=0)
    frozen = classifier(language_model=str(tmp_path / "lm"))
    before = [
        joblib.hash(named),
        joblib.hash(frozen),
        joblib.hash(classifier(language_model=named)),
    ]
    assert joblib.hash(clone(named)) == before[0]
    language_model(emb_size=8, hidden_size=8, n_layers=1, max_epochs=1, random_state=5).fit(
        TEXTS
    ).save(tmp_path / "lm")
    after = [joblib.hash(named), joblib.hash(frozen), joblib.hash(classifier(language_model=named))]
    assert not set(before) & set(after)
    again = pickle.loads(pickle.dumps(named))
    assert joblib.hash(again) == after[0] and vars(again).keys() == vars(named).keys()


def test_json_that_is_nested_too_deeply_is_refused(lm, tmp_path):
    lm.save(tmp_path / "model")
    (tmp_path / "model" / directory.DESCRIPTION_FILE).write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"model\.json is damaged"):
        sk_ulmfit.load(tmp_path / "model")


CALIBRATED = {"calibrate": True, "validation_fraction": 0.3}
MULTILABEL = np.c_[LABELS == "age", LABELS != "age"].astype(int)
DATES = np.array(["2026-01-01", "2026-01-02", "2026-01-03"], dtype="datetime64[D]")


@pytest.mark.parametrize("how", ["save", "pickle", "joblib", "skops"])
@pytest.mark.parametrize(
    ("params", "y"),
    [
        (CALIBRATED, LABELS),
        ({}, MULTILABEL),
        (CALIBRATED, MULTILABEL),
        ({}, DATES[np.unique(LABELS, return_inverse=True)[1]]),
        ({}, LABELS == "age"),
        ({}, np.where(LABELS == "age", "\ud800", "\u202e")),
        ({}, np.where(LABELS == "age", np.uint64(2**64 - 1), np.uint64(0))),
    ],
    ids=["calibrated", "multilabel", "calibrated multilabel", "dates", "bool", "surrogates", "ids"],
)
def test_every_kind_of_classifier_comes_back_as_it_was(params, y, how, tmp_path):
    """Of two directions, and after `partial_fit`."""
    both = language_model(
        direction="both", emb_size=8, hidden_size=8, n_layers=1, max_epochs=1
    ).partial_fit(TEXTS)
    documents = both.transform(TEXTS)
    clf = classifier(max_epochs=1, **params).fit(documents, y)
    if not params:  # it forgets a temperature, which is of other weights
        clf.partial_fit(documents, y)
    for fitted in (both, clf):
        if how == "save":
            fitted.save(tmp_path / "model")
            loaded = sk_ulmfit.load(tmp_path / "model")
        elif how == "pickle":
            loaded = pickle.loads(pickle.dumps(fitted))
        elif how == "joblib":
            joblib.dump(fitted, tmp_path / "model.joblib")
            loaded = joblib.load(tmp_path / "model.joblib")
        else:
            loaded = skops.io.loads(skops.io.dumps(fitted), trusted=TRUSTED_TYPES)
        if fitted is both:
            assert loaded.perplexity(TEXTS) == both.perplexity(TEXTS)
            continue
        assert clf.trained_.temperature == loaded.trained_.temperature
        assert (clf.trained_.temperature != 1.0) == bool(params)
        assert loaded.classes_.dtype == clf.classes_.dtype
        np.testing.assert_array_equal(loaded.classes_, clf.classes_)
        np.testing.assert_array_equal(loaded.predict_proba(TEXTS), clf.predict_proba(TEXTS))
        loaded.set_params(calibrate=False).partial_fit(TEXTS, y)  # and goes on


def test_pickles_hold_nothing_of_torch(lm, clf):
    """So they load where there is no GPU, whatever they were trained on."""
    for model in (lm, clf, lm.transform(TEXTS)):
        for used in (False, True):
            if used and hasattr(model, "fit"):
                (model.perplexity if model is lm else model.predict)(TEXTS)
            globals_ = [
                argument
                for operation, argument, _ in pickletools.genops(pickle.dumps(model, protocol=2))
                if operation.name == "GLOBAL"
            ]
            assert globals_ and not [name for name in globals_ if name.startswith("torch")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_model_that_asks_for_a_gpu_loads_without_one_and_says_what_to_set(lm, clf, tmp_path):
    for model in (lm, clf):
        asking = pickle.loads(pickle.dumps(model)).set_params(device="cuda")
        asking.save(tmp_path / "model")
        for loaded in (pickle.loads(pickle.dumps(asking)), sk_ulmfit.load(tmp_path / "model")):
            predict = loaded.perplexity if model is lm else loaded.predict
            with pytest.raises(ValueError, match=r"set_params\(device='auto'\)"):
                predict(TEXTS)
            loaded.set_params(device="auto")
            assert np.all(predict(TEXTS) == (lm.perplexity if model is lm else clf.predict)(TEXTS))


def test_values_that_are_not_finite_are_never_saved(lm, tmp_path):
    lm.save(tmp_path / "model")
    before = fingerprint(sk_ulmfit.load(tmp_path / "model"))
    description, arrays = read_model(tmp_path / "model")
    next(iter(arrays.values())).flat[3] = np.nan
    with pytest.raises(ValueError, match="not finite: the model is not saved"):
        write_model(tmp_path / "model", description, arrays)
    assert fingerprint(sk_ulmfit.load(tmp_path / "model")) == before


class Crash(BaseException):
    """Stands for the end of the process."""


def test_a_crash_at_any_step_leaves_the_earlier_model_or_the_new_one(
    lm, clf, tmp_path, monkeypatch
):
    """Every call that touches the disk is the last one once."""
    whole = {fingerprint(lm): 0, fingerprint(clf): 0}
    n_steps = 0
    for crash_at in range(1, 100):
        path = tmp_path / str(crash_at)
        lm.save(path)
        n_steps = 0

        def counted(function, crash_at=crash_at):
            def call(*args, **kwargs):
                nonlocal n_steps
                n_steps += 1
                if n_steps == crash_at:
                    raise Crash
                return function(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for name in ("replace", "fsync", "unlink"):
                patch.setattr(directory.os, name, counted(getattr(os, name)))
            try:
                clf.save(path)
            except Crash:
                crashed = True
            else:
                crashed = False
        whole[fingerprint(sk_ulmfit.load(path))] += 1
        lm.save(path)  # goes over what the crash left
        assert len(list(path.iterdir())) == 2
        if not crashed:
            break
    assert not crashed and crash_at >= 5 and min(whole.values()) >= 2


def test_a_first_save_that_crashed_can_be_repeated(lm, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:

        def crash(source, target, replace=os.replace):
            if target.name == "model.json":
                raise Crash
            replace(source, target)

        patch.setattr(directory.os, "replace", crash)
        with pytest.raises(Crash):
            lm.save(tmp_path / "model")
    assert list((tmp_path / "model").iterdir())
    with pytest.raises(FileNotFoundError, match="not a saved model"):
        sk_ulmfit.load(tmp_path / "model")
    lm.save(tmp_path / "model")
    assert fingerprint(sk_ulmfit.load(tmp_path / "model")) == fingerprint(lm)


@pytest.mark.parametrize("n_replaced", [0, 1])
@pytest.mark.parametrize("before", ["lm", "clf", None])
@pytest.mark.parametrize("inner", ["lm", "clf"])
@pytest.mark.parametrize("outer", ["lm", "clf"])
def test_a_save_in_the_middle_of_another(
    outer, inner, before, n_replaced, request, tmp_path, monkeypatch
):
    """Also where both write the same weights, or those that are there already."""
    path, replace = tmp_path / "model", os.replace
    if before:
        request.getfixturevalue(before).save(path)
    n_calls = 0

    def replace_after_the_other_save(*args):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 1 + n_replaced:
            request.getfixturevalue(inner).save(path)
        replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(directory.os, "replace", replace_after_the_other_save)
        request.getfixturevalue(outer).save(path)
    assert fingerprint(sk_ulmfit.load(path)) == fingerprint(request.getfixturevalue(outer))
    assert len(list(path.iterdir())) == 2


def test_savers_and_readers_beside_one_another(lm, clf, tmp_path):
    path = tmp_path / "model"
    lm.save(path)
    known, failures = {fingerprint(lm), fingerprint(clf)}, []

    def repeat(step, n):
        for _ in range(n):
            try:
                step()
            except Exception as error:
                failures.append(error)

    def load():
        assert fingerprint(sk_ulmfit.load(path)) in known

    steps = [(lambda: lm.save(path), 20), (lambda: clf.save(path), 20), (load, 20), (load, 20)]
    threads = [threading.Thread(target=repeat, args=step) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    load()
    clf.save(path)
    assert len(list(path.iterdir())) == 2, "the last who saves alone leaves nothing"


def test_a_model_that_is_replaced_while_it_is_read(lm, clf, tmp_path, monkeypatch):
    path, read_weights = tmp_path / "model", directory._read_weights
    lm.save(path)
    others = iter([clf, lm, clf])

    def read_after_a_save(*args):
        if (other := next(others, None)) is not None:
            other.save(path)
        return read_weights(*args)

    monkeypatch.setattr(directory, "_read_weights", read_after_a_save)
    assert fingerprint(sk_ulmfit.load(path)) == fingerprint(clf)


def test_without_locks_only_what_was_replaced_is_removed(lm, clf, tmp_path, monkeypatch):
    """As on systems and network drives that have none."""
    monkeypatch.setattr(files, "fcntl", None)
    path = tmp_path / "model"
    lm.save(path)
    (path / "weights-0123456789abcdef.safetensors").write_text("that of another who saves")
    clf.save(path)
    assert fingerprint(sk_ulmfit.load(path)) == fingerprint(clf)
    assert len(list(path.iterdir())) == 3


def test_incomplete_models_are_named(lm, tmp_path):
    lm.save(tmp_path / "model")
    next((tmp_path / "model").glob("weights-*")).unlink()
    with pytest.raises(ValueError, match=r"model is incomplete: there is no weights-"):
        sk_ulmfit.load(tmp_path / "model")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b"[" * 5000, b'{"learner": "a booster"}', b'{"format": "other"}', None],
    ids=["empty", "list", "binary", "deep", "booster", "other", "directory"],
)
def test_what_others_keep_in_a_model_json_is_not_overwritten(content, lm, tmp_path):
    file = tmp_path / "model.json"
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(FileExistsError, match="is not a saved model"):
        lm.save(tmp_path)
    assert list(tmp_path.iterdir()) == [file]
    assert file.is_dir() if content is None else file.read_bytes() == content


OTHERS = [".bashrc.new", ".model.json.new", ".weights-0123456789abcdef.safetensors.new", "weights"]


@pytest.mark.parametrize("name", OTHERS)
def test_a_directory_with_files_of_others_is_not_free(name, lm, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="Choose a path that is free"):
        lm.save(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_what_others_put_beside_a_model_stays(lm, clf, tmp_path):
    lm.save(tmp_path / "model")
    for name in OTHERS:
        (tmp_path / "model" / name).write_text("mine")
    (tmp_path / "model" / "weights-0123456789abcdef.safetensors").mkdir()
    clf.save(tmp_path / "model")
    assert fingerprint(sk_ulmfit.load(tmp_path / "model")) == fingerprint(clf)
    for name in OTHERS:
        assert (tmp_path / "model" / name).read_text() == "mine"


def test_links_that_were_planted_are_not_written_through(lm, clf, tmp_path):
    path, precious = tmp_path / "model", tmp_path / "precious"
    clf.save(path)
    names = {file.name for file in path.iterdir()} | set(OTHERS)
    lm.save(path)
    description = (path / "model.json").read_bytes()
    for name in names:
        precious.write_bytes(description)
        (path / name).unlink(missing_ok=True)
        (path / name).symlink_to(precious)
        clf.save(path)
        assert precious.read_bytes() == description
        assert not (path / "model.json").is_symlink()
        assert fingerprint(sk_ulmfit.load(path)) == fingerprint(clf)


@pytest.mark.parametrize(
    "address", ["s3://bucket/model", "gs://bucket", "file:///model", "https://a.b/c"]
)
@pytest.mark.parametrize("kind", [str, Path])
def test_addresses_are_no_paths(address, kind, lm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for use in (
        lm.save,
        sk_ulmfit.load,
        lambda path: language_model(pretrained=path).fit(TEXTS),
    ):
        with pytest.raises(ValueError, match="is an address, not a path on this machine"):
            use(kind(address))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, 3, ["model"], {}], ids=repr)
def test_what_is_no_path_is_named(path, lm):
    for use in (lm.save, sk_ulmfit.load):
        with pytest.raises(TypeError, match="Expected a path, a str or pathlib"):
            use(path)


def test_the_home_directory_is_meant_by_a_tilde(lm, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    lm.save("~/model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert fingerprint(sk_ulmfit.load("~/model")) == fingerprint(lm)
    tuned = language_model(pretrained="~/model", max_epochs=0).fit(TEXTS)
    assert fingerprint(tuned) == fingerprint(lm)


@pytest.mark.parametrize("path", ["~nobody-of-this-name/model", "~$model"])
def test_a_home_directory_that_is_not_there_is_named(path, lm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for use in (
        lm.save,
        sk_ulmfit.load,
        lambda path: lm.save(Path(path)),
        lambda path: language_model(pretrained=path).fit(TEXTS),
        lambda path: language_model(checkpoint_dir=path).fit(TEXTS),
        lambda path: language_model().fit(Path(path)),
    ):
        with pytest.raises(ValueError, match="begins with ~, and there is no such home directory"):
            use(path)
    lm.save(tmp_path / path)
    assert fingerprint(sk_ulmfit.load(tmp_path / path)) == fingerprint(lm)


SAVE_FOREVER = """
import sys, sk_ulmfit
models = [sk_ulmfit.load(path) for path in sys.argv[2:]]
print("ready", flush=True)
while True:
    for model in models:
        model.save(sys.argv[1])
"""


def test_kill_9_while_saving(lm, clf, tmp_path):
    for name, model in (("lm", lm), ("clf", clf), ("model", lm)):
        model.save(tmp_path / name)
    known = {fingerprint(lm), fingerprint(clf)}
    random = np.random.default_rng(0)
    arguments = [str(tmp_path / name) for name in ("model", "lm", "clf")]
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, *arguments], stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        for _ in range(5):
            time.sleep(random.uniform(0, 0.05))
            process.send_signal(signal.SIGSTOP)  # as good as dead, seen from the disk
            assert fingerprint(sk_ulmfit.load(tmp_path / "model")) in known
            process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        assert fingerprint(sk_ulmfit.load(tmp_path / "model")) in known


DISK_FULL = """
import resource, signal, sys, sk_ulmfit
model = sk_ulmfit.load(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # no file may grow beyond
model.save(sys.argv[2])
"""


def test_a_disk_that_is_full_leaves_the_earlier_model(lm, clf, tmp_path):
    clf.save(tmp_path / "clf")
    lm.save(tmp_path / "model")
    before = sorted(file.name for file in (tmp_path / "model").iterdir())
    command = [sys.executable, "-c", DISK_FULL, str(tmp_path / "clf"), str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "the model is not saved, and one that was saved there before is as it was" in done.stderr
    assert fingerprint(sk_ulmfit.load(tmp_path / "model")) == fingerprint(lm)
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == before


def test_a_place_that_cannot_be_written_to_is_named(lm, tmp_path):
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(OSError, match="the model is not saved") as caught:
        lm.save(tmp_path / "file" / "model")
    assert caught.value.filename == str(tmp_path / "file" / "model")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("mine")
    with pytest.raises(FileExistsError, match="Choose a path that is free"):
        lm.save(tmp_path / "other")
    with pytest.raises(FileExistsError, match="Choose a path that is free"):
        lm.save(tmp_path / "file")
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(PermissionError, match="the model is not saved"):
            lm.save(tmp_path / "closed" / "model")


def test_files_can_be_read_by_others(lm, tmp_path):
    lm.save(tmp_path / "model")
    (tmp_path / "file").touch()
    usual = (tmp_path / "file").stat().st_mode
    assert {file.stat().st_mode for file in (tmp_path / "model").iterdir()} == {usual}


@pytest.mark.parametrize("folder", sorted(FIXTURES.iterdir()), ids=lambda folder: folder.name)
@pytest.mark.parametrize("kind", ["word", "subword"])
def test_models_of_every_format_version_stay_loadable(folder, kind):
    expected = json.loads((folder / f"expected-{kind}.json").read_text())
    lm = sk_ulmfit.load(folder / f"language-model-{kind}")
    assert lm.perplexity(expected["texts"]) == pytest.approx(expected["perplexity"], rel=1e-5)
    clf = sk_ulmfit.load(folder / f"classifier-{kind}")
    assert clf.classes_.tolist() == expected["classes"]
    p = clf.predict_proba(expected["texts"])
    np.testing.assert_allclose(p, expected["predict_proba"], rtol=0, atol=1e-5)


def test_there_is_a_model_of_the_current_format_version():
    assert (FIXTURES / f"format-{directory.FORMAT_VERSION}").is_dir()


@pytest.mark.parametrize("kind", ["lm", "clf"])
def test_a_loaded_model_goes_on_as_a_pickled_one(kind, request, tmp_path):
    estimator = pickle.loads(pickle.dumps(request.getfixturevalue(kind)))
    X = TEXTS if kind == "lm" else request.getfixturevalue("lm").transform(TEXTS)
    y = None if kind == "lm" else LABELS
    estimator.partial_fit(X, y)
    estimator.save(tmp_path / "model")
    pickled = pickle.loads(pickle.dumps(estimator)).partial_fit(X, y)
    loaded = sk_ulmfit.load(tmp_path / "model").partial_fit(X, y)
    assert fingerprint(loaded) == fingerprint(pickled)


@pytest.mark.parametrize("one", [True, np.int64(1), np.uint8(1), np.bool_(True)], ids=repr)
def test_whole_numbers_of_other_types_come_back(one, tmp_path):
    texts, labels = banking(2, 3)
    sizes, more = {}, {"frozen_dropout": one}
    if one is True or not isinstance(one, np.bool_):
        sizes = {"emb_size": one, "n_layers": one}
        more = {"max_length": one, "head_sizes": (one,)}
    lm = language_model(hidden_size=4, max_epochs=1, **sizes)
    clf = classifier(language_model=lm, max_epochs=1, **more).fit(texts, labels)
    clf.save(tmp_path / "model")
    loaded = sk_ulmfit.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(texts), clf.predict_proba(texts))
