"""Searching, pickling and saving, as teams do with any scikit-learn Pipeline."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline

import sk_ulmfit
from tests.helpers import banking, classifier, language_model


@pytest.fixture(scope="module")
def data():
    return banking(3, 20)


def pipeline(**params) -> Pipeline:
    pipe = Pipeline([("lm", language_model(max_epochs=1)), ("clf", classifier(max_epochs=2))])
    return pipe.set_params(**params)


@pytest.fixture(scope="module")
def fitted(data):
    return pipeline(lm__max_epochs=3).fit(*data)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search(data, n_jobs):
    grid = {
        "lm__max_epochs": [1, 2],
        "clf__unfreeze_schedule": ["gradual", "full"],
        "clf__lr_decay": [1.0, 2.6],
    }
    search = GridSearchCV(pipeline(), grid, cv=2, n_jobs=n_jobs, error_score="raise").fit(*data)
    assert len(search.cv_results_["params"]) == 8
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.predict(data[0]).shape == (60,)


def test_search_over_unfreezing_with_documents_encoded_once(data):
    documents = language_model().fit(data[0]).transform(data[0])
    schedules = ["gradual", "full", "last", "chain-thaw", (1, 1)]
    search = GridSearchCV(
        classifier(max_epochs=2), {"unfreeze_schedule": schedules}, cv=2, error_score="raise"
    )
    assert np.isfinite(search.fit(documents, data[1]).cv_results_["mean_test_score"]).all()


def test_workers_get_the_results_of_one_process(data):
    scores = [cross_val_score(pipeline(), *data, cv=2, n_jobs=n).tolist() for n in (1, 2)]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("how", ["pickle", "joblib"])
def test_pickles(data, fitted, how, tmp_path):
    expected = fitted.predict_proba(data[0])
    if how == "pickle":
        loaded = pickle.loads(pickle.dumps(fitted))
    else:
        joblib.dump(fitted, tmp_path / "pipe.joblib")
        loaded = joblib.load(tmp_path / "pipe.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(data[0]), expected)
    assert loaded["lm"].perplexity(data[0]) == fitted["lm"].perplexity(data[0])
    for name in ("lm", "clf"):
        step = pickle.loads(pickle.dumps(fitted[name]))
        assert joblib.hash(step) == joblib.hash(fitted[name])


def test_pickles_hold_the_weights_and_little_else(fitted):
    clf = fitted["clf"]
    arrays = [
        *clf.trained_.weights["forward"].values(),
        *clf.language_model_.trained_.weights["forward"].values(),
    ]
    weights = sum(array.nbytes for array in arrays)
    vocabulary = len(pickle.dumps(clf.language_model_.trained_.tokenizer))
    assert len(pickle.dumps(clf)) < 1.1 * weights + vocabulary + 20_000
    assert len(pickle.dumps(fitted)) < 1.1 * weights + vocabulary + 40_000, "shared in a Pipeline"


def tmp_path_mode(tmp_path) -> int:
    """Rights of a directory that is made in the ordinary way."""
    (tmp_path / "ordinary").mkdir()
    mode = (tmp_path / "ordinary").stat().st_mode & 0o777
    (tmp_path / "ordinary").rmdir()
    return mode


def test_parameters_of_numpy_types_are_saved(data, tmp_path):
    clf = pipeline(clf__max_length=np.int64(3), clf__unfreeze_schedule=(np.int64(1), 1)).fit(*data)
    clf["clf"].save(tmp_path / "model")
    loaded = sk_ulmfit.load(tmp_path / "model")
    assert loaded.max_length == 3 and loaded.unfreeze_schedule == (1, 1)
    np.testing.assert_array_equal(loaded.predict_proba(data[0]), clf.predict_proba(data[0]))


@pytest.mark.parametrize("name", ["lm", "clf"])
def test_save_and_load(data, fitted, name, tmp_path):
    step = fitted[name]
    step.save(tmp_path / "model")
    loaded = sk_ulmfit.load(tmp_path / "model")
    assert type(loaded) is type(step) and loaded.get_params()["max_epochs"] == step.max_epochs
    assert loaded.history_ == step.history_
    if name == "lm":
        assert loaded.perplexity(data[0]) == step.perplexity(data[0])
        again = language_model(pretrained=tmp_path / "model", max_epochs=0).fit(data[0])
        assert again.trained_.fingerprint == step.trained_.fingerprint
    else:
        np.testing.assert_array_equal(
            loaded.predict_proba(data[0]), step.predict_proba(fitted["lm"].transform(data[0]))
        )
    assert (tmp_path / "model").stat().st_mode & 0o777 == tmp_path_mode(tmp_path)
    step.save(tmp_path / "model")  # replaces the one before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]


def test_saved_models_that_cannot_be_trusted_are_refused(data, fitted, tmp_path):
    path = tmp_path / "model"
    with pytest.raises(FileNotFoundError, match="not a saved model"):
        sk_ulmfit.load(path)
    fitted["lm"].save(path)
    with pytest.raises(FileExistsError):
        fitted["lm"].save(tmp_path)
    (weights,) = path.glob("weights-*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights-\w+\.safetensors is damaged"):
        sk_ulmfit.load(path)
    fitted["clf"].save(path)
    with pytest.raises(ValueError, match="holds a ULMFiTClassifier"):
        language_model(pretrained=path).fit(data[0])
    description = path / "model.json"
    description.write_text(
        description.read_text().replace('"format_version": 1', '"format_version": 9')
    )
    with pytest.raises(ValueError, match="Upgrade"):
        sk_ulmfit.load(path)
    description.write_text("{")
    with pytest.raises(ValueError, match=r"model\.json is damaged"):
        sk_ulmfit.load(path)
