"""Parameters, texts, labels and uses drawn at random: nothing crashes, is NaN, or changes.

A seed is a combination: what it drew is in the message of a failure.
"""

from __future__ import annotations

import copy
import pickle
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

import sk_ulmfit
from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, explain
from tests.helpers import banking

pytestmark = pytest.mark.one_version

TEXTS, _ = banking(3, 20)
ODD = [
    "",
    " ",
    "a",
    "?!?!",
    "\n\n",
    "no " * 40,
    "x" * 300,
    "ÀÉÎ straße İ",
    "日本語 の テキスト",
    "สวัสดี",
    "👍🏽 <br />",
    "\ud800",
]

SHARED = {
    "lr": [1e-9, 0.001, 0.02, 0.5, 1000.0],
    "lr_decay": [1.0, 2.6, 100.0],
    "schedule": ["slanted_triangular", "one_cycle", "cosine", "constant"],
    "cut_frac": [0.01, 0.1, 0.99],
    "lr_ratio": [1.0, 32.0, 1e9],
    "max_epochs": [0, 1, 1, 2, 3],
    "batch_size": [1, 2, 8, 1000],
    "bptt": [1, 5, 20, 500],
    "dropout_mult": [0.0, 0.5, 1.0, 1.9, 100.0],
    "weight_decay": [0.0, 0.01, 10.0],
    "validation_fraction": [0.01, 0.1, 0.5, 0.99],
    "early_stopping": [False, True],
    "patience": [1, 3],
    "callbacks": [None, []],
    "device": ["auto", "cpu"],
    "amp": [False, True],
    "warm_start": [False, True],
    "random_state": [0, 1, 2**32 - 1],
    "verbose": [0],
}
LANGUAGE_MODEL = {
    **SHARED,
    "direction": ["forward", "backward", "both"],
    "tokenizer": ["word", "subword", str.split],
    "max_vocab": [10, 30, 60_000],
    "min_freq": [1, 2, 1000],
    "emb_size": [1, 6],
    "hidden_size": [1, 8],
    "n_layers": [1, 2, 3],
    "softmax_samples": ["auto", None, 1, 7, 10**9],
    "checkpoint_minutes": [0.0, 10.0],
    "n_jobs": [None, 1],
    "output": ["documents", "features"],
    "pooling": ["concat", "mean", "max", "last", "concat-layers"],
}
CLASSIFIER = {
    **SHARED,
    "unfreeze_schedule": ["gradual", "full", "last", "chain-thaw", (1, 1), (0, 2), (1,), [1, 0, 1]],
    "r_drop": [0.0, 1.0, 1000.0],
    "frozen_dropout": [True, False],
    "max_length": [None, 1, 7],
    "head_sizes": ["auto", (), (1,), [5, 3]],
    "pooling": ["concat", "mean", "max", "last", "concat-layers"],
    "calibrate": [False, True],
    "class_weight": [None, "balanced"],
    "label_smoothing": [0.0, 0.1, 0.99],
}
# Small sizes unless others are drawn.
BASE_LM = {"pretrained": None, "emb_size": 6, "hidden_size": 8, "max_epochs": 1, "random_state": 0}
BASE_CLASSIFIER = {"max_epochs": 1, "random_state": 0}
WRONG = [
    None,
    "no such",
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    [],
    (),
    {},
    True,
    object(),
    b"x",
    10**400,
]


def labels_of(kind: str, n: int, random: np.random.Generator):
    """Labels of a kind, for `n` texts."""
    classes = random.integers(0, 2, n)
    many = random.integers(0, max(2, n // 3), n)
    return {
        "words": np.array(["no", "yes"])[classes],
        "many": many,
        "list": [f"c{c}" for c in many],
        "bools": classes.astype(bool),
        "floats": classes.astype(float),
        "some missing": np.where(random.random(n) < 0.3, -1, classes),
        "some None": [None if random.random() < 0.3 else "ab"[c] for c in classes],
        "one class": np.zeros(n, dtype=int),
        "multilabel": random.integers(0, 2, (n, 3)),
        "two labels": random.integers(0, 2, (n, 2)),
    }[kind]


def draw(table: dict, base: dict, random: np.random.Generator) -> dict:
    """Some parameters at random, now and then one that is wrong."""
    names = random.choice(list(table), size=random.integers(0, 7), replace=False).tolist()
    drawn = {name: table[name][random.integers(len(table[name]))] for name in names}
    if random.random() < 0.1:
        drawn[str(random.choice(list(table)))] = WRONG[random.integers(len(WRONG))]
    return {**base, **drawn}


class Use:
    """A model of random parameters, and what is done with it.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int):
        self.random = np.random.default_rng([seed, 77])
        self.log: list[str] = []
        n = int(self.random.integers(1, 13))
        pool = [*TEXTS, *ODD] if self.random.random() < 0.5 else TEXTS
        self.texts = [pool[i] for i in self.random.integers(len(pool), size=n)]
        self.probe = [self.texts[0], *(ODD[i] for i in self.random.integers(len(ODD), size=3))]
        kinds = ["words", "many", "list", "bools", "floats", "some missing", "some None"]
        kinds += ["one class", "multilabel", "two labels"]
        self.kind = str(self.random.choice(kinds))
        self.y = labels_of(self.kind, n, self.random)
        self.lm_params = draw(LANGUAGE_MODEL, BASE_LM, self.random)
        self.clf_params = draw(CLASSIFIER, BASE_CLASSIFIER, self.random)
        self.form = str(self.random.choice(["one", "pipeline", "features", "language model"]))
        self.model = self.made()
        self.log.append(f"{self.form}, {self.kind}, {n} texts, {self.lm_params}, {self.clf_params}")

    def made(self):
        lm = ULMFiTLanguageModel(**self.lm_params)
        if self.form == "language model":
            return lm
        if self.form == "features":
            return make_pipeline(lm.set_params(output="features"), LogisticRegression())
        if self.form == "one":
            return ULMFiTClassifier(lm, **self.clf_params)
        return Pipeline([("lm", lm), ("clf", ULMFiTClassifier(**self.clf_params))])

    def tried(self, what: str, action):
        """Do something that may be refused in words; whether it was done, and what came out."""
        self.log.append(what)
        # (The steps of a Pipeline are fitted one by one: it has no earlier fit to keep.)
        is_whole = what != "fit" and not isinstance(self.model, Pipeline)
        before = self.answer() if is_whole else None
        try:
            return True, action()
        except (ValueError, TypeError, FloatingPointError) as error:
            place = traceback.extract_tb(error.__traceback__)[-1].filename
            told = any(f"/{package}/" in place for package in ("sk_ulmfit", "sklearn"))
            assert told and len(str(error)) > 15, f"not told by us: {error!r} in {place}"
            self.log.append(f"  refused: {str(error)[:90]}")
        if before is not None:
            self.same(before, self.answer(), "the fit before is whole")
        return False, None

    def answer(self, model=None):
        """What a fitted model says of the probes."""
        model = self.model if model is None else model
        if self.form == "language model":
            found = model.transform(self.probe)
            if model.output == "documents":
                found = found.features()
        else:
            found = np.asarray(model.predict_proba(self.probe))
            assert ((found >= 0) & (found <= 1)).all(), "no probabilities"
            if self.y_is_flat:
                np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
        assert len(found) == len(self.probe) and np.isfinite(found).all(), "NaN"
        return found

    @property
    def y_is_flat(self) -> bool:
        return self.kind not in ("multilabel", "two labels")

    def same(self, one, other, what: str) -> None:
        np.testing.assert_array_equal(one, other, err_msg=what)

    def fit(self, model=None):
        model = self.model if model is None else model
        before = repr(model.get_params())
        model.fit(self.texts, self.y)
        assert repr(model.get_params()) == before, "fit changed a parameter"

    def run(self) -> None:
        """Fit, then use in a few ways."""
        if self.form == "features" and self.kind in ("some None", "multilabel", "two labels"):
            return  # labels that scikit-learn's classifier does not take
        if not self.tried("fit", self.fit)[0]:
            return
        actions = [self.again, self.pickled, self.copied, self.saved, self.one_by_one]
        actions += [self.changed, self.gone_on, self.warm, self.asked, self.odd_input]
        for i in self.random.choice(len(actions), size=4, replace=False):
            actions[i]()
        self.answer()

    def fitted_anew(self):
        """The model of the beginning, fitted."""
        model = self.made()
        self.fit(model)
        return model

    def again(self) -> None:
        """A clone that is fitted on the same."""
        if len(self.log) > 2:
            return  # it may be trained on by now
        done, other = self.tried("clone and fit", lambda: clone(self.model).fit(self.texts, self.y))
        assert done
        self.same(self.answer(), self.answer(other), "clone")

    def pickled(self) -> None:
        self.log.append("pickle")
        self.same(self.answer(), self.answer(pickle.loads(pickle.dumps(self.model))), "pickle")

    def copied(self) -> None:
        self.log.append("deepcopy")
        self.same(self.answer(), self.answer(copy.deepcopy(self.model)), "deepcopy")

    def saved(self) -> None:
        if isinstance(self.model, Pipeline):
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            if self.tried("save", lambda: self.model.save(path))[0]:
                loaded = sk_ulmfit.load(path)
                self.same(self.answer(), self.answer(loaded), "save and load")
                assert type(loaded) is type(self.model)

    def one_by_one(self) -> None:
        self.log.append("one by one")
        together, probe = self.answer(), self.probe
        alone = []
        for text in probe:
            self.probe = [text]
            alone.append(self.answer()[0])
        self.probe = probe
        np.testing.assert_allclose(together, alone, atol=1e-4, rtol=1e-4, err_msg="one by one")

    def changed(self) -> None:
        """Other parameters, and a fit with them."""
        prefix, table = "", LANGUAGE_MODEL
        if self.form == "one":
            prefix, table = self.random.choice(["", "language_model__"]), LANGUAGE_MODEL
            table = CLASSIFIER if not prefix else LANGUAGE_MODEL
        elif self.form == "pipeline":
            prefix = self.random.choice(["lm__", "clf__"])
            table = CLASSIFIER if prefix == "clf__" else LANGUAGE_MODEL
        elif self.form == "features":
            prefix = "ulmfitlanguagemodel__"
        name = self.random.choice([name for name in table if name != "output"])
        value = table[name][self.random.integers(len(table[name]))]
        before = self.model.get_params()[f"{prefix}{name}"]
        what = f"set {prefix}{name}={value!r} and fit"

        def fit():
            try:
                self.fit(self.model.set_params(**{f"{prefix}{name}": value}))
            except Exception:
                self.model.set_params(**{f"{prefix}{name}": before})
                raise

        if not self.tried(what, fit)[0] and isinstance(self.model, Pipeline):
            self.model = self.fitted_anew()

    def gone_on(self) -> None:
        if isinstance(self.model, Pipeline):
            return
        rows = np.flatnonzero(self.random.random(len(self.texts)) < 0.7)
        texts = [self.texts[i] for i in rows]
        y = () if self.form == "language model" else ([self.y[i] for i in rows],)
        self.tried("partial_fit", lambda: self.model.partial_fit(texts, *y))

    def warm(self) -> None:
        if isinstance(self.model, Pipeline):
            return
        self.model.set_params(warm_start=True)
        self.tried("warm fit", self.fit)

    def odd_input(self) -> None:
        """What is no list of texts, or an odd one."""
        ask = self.model.transform if self.form == "language model" else self.model.predict
        odd = [[], "bare", [None], [b"x"], [["a"]], 3, {"a": 1}, np.array([["a"]]), ("a",), [1.5]]
        X = odd[self.random.integers(len(odd))]
        self.tried(f"predict {X!r}", lambda: ask(X))

    def asked(self) -> None:
        """The other questions."""
        if self.form == "language model":
            done, found = self.tried("perplexity", lambda: self.model.perplexity(self.texts))
            assert not done or found > 0
            self.tried("generate", lambda: self.model.generate("how", max_tokens=4, random_state=0))
        elif self.form != "features":
            self.tried("score", lambda: self.model.score(self.texts, self.y))
            done, found = self.tried(
                "explain", lambda: explain(self.model, self.texts[:1], n_readings=4, tolerance=0.9)
            )
            assert not done or np.isfinite(found[0].attributions).all()


def use(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*(invalid value|divide by zero|overflow)")
        one = Use(seed)
        try:
            one.run()
        except Exception as error:
            raise AssertionError(f"seed {seed}: " + "\n".join(one.log)) from error


@pytest.mark.parametrize("seed", range(30))
def test_a_random_use(seed):
    use(seed)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("hundred", range(20))
def test_a_hundred_random_uses(hundred):
    for seed in range(1000 + 100 * hundred, 1100 + 100 * hundred):
        use(seed)
