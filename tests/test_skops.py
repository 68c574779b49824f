"""Whole pipelines through skops: nothing runs on loading but what is on a short list."""

from __future__ import annotations

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline

from sk_ulmfit.persistence import TRUSTED_TYPES
from tests.helpers import banking, classifier, language_model

TEXTS, LABELS = banking(2, 20)

MAKE = {
    "pipeline": lambda lm: Pipeline([("lm", lm), ("clf", classifier(max_epochs=1))]),
    "one estimator": lambda lm: classifier(language_model=lm, max_epochs=1),
    "features": lambda lm: make_pipeline(
        lm.set_params(output="features", pooling="sentences"), LogisticRegression()
    ),
    "search": lambda lm: GridSearchCV(
        classifier(language_model=lm, max_epochs=1), {"lr": [0.01]}, cv=2
    ),
}


@pytest.mark.parametrize("tokenizer", ["word", "subword"])
@pytest.mark.parametrize("make", MAKE)
def test_pipelines_go_through_skops(make, tokenizer):
    lm = language_model(tokenizer=tokenizer, emb_size=8, hidden_size=8, max_epochs=1)
    fitted = MAKE[make](lm).fit(TEXTS, LABELS)
    data = skops.io.dumps(fitted)
    needed = set(skops.io.get_untrusted_types(data=data))
    # (a search has parts of scikit-learn that skops does not know)
    sklearns = (
        {name for name in needed if name.startswith("sklearn.")} if make == "search" else set()
    )
    assert needed - sklearns <= set(TRUSTED_TYPES)
    restored = skops.io.loads(data, trusted=[*TRUSTED_TYPES, *sklearns])
    np.testing.assert_array_equal(restored.predict_proba(TEXTS), fitted.predict_proba(TEXTS))


def test_what_is_not_on_the_list_is_refused():
    clf = classifier(language_model=language_model(max_epochs=0), max_epochs=1).fit(TEXTS, LABELS)
    with pytest.raises(TypeError, match="Untrusted"):
        skops.io.loads(skops.io.dumps(clf), trusted=[])
