"""A search on a Dask cluster of two worker processes."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from tests.helpers import banking, classifier, language_model

distributed = pytest.importorskip("distributed")


def test_search_runs_unchanged_on_a_dask_cluster():
    pipe = Pipeline([("lm", language_model(max_epochs=1)), ("clf", classifier(max_epochs=2))])
    grid = {"clf__unfreeze_schedule": ["gradual", "full"], "clf__lr_decay": [1.0, 2.6]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise")
    texts, y = banking(3, 20)
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        assert len(client.scheduler_info()["workers"]) == 2
        with joblib.parallel_config("dask"):
            search.fit(texts, y)
        ran = client.run(lambda: "sk_ulmfit" in __import__("sys").modules)
    assert all(ran.values()), "both workers had something to do"
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.predict(texts).shape == y.shape
