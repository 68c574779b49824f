"""Regression on blocks of features."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from sk_ulmfit.training import regression
from sk_ulmfit.training.regression import Regression, choose, solve


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=90)
    vectors = rng.normal(size=(90, 40)) / np.sqrt(40)
    vectors[np.arange(90), y] += 0.4
    words = csr_array(((rng.random((90, 25)) < 0.1) / 2.0).astype(np.float32))
    return vectors.astype(np.float32), words, y, rng.uniform(0.5, 1.5, size=90)


@pytest.mark.parametrize("most", [(700, 2000), (40, 2000), (40, 50)])
@pytest.mark.parametrize("multilabel", [False, True])
def test_solution_is_that_of_scikit_learn(monkeypatch, numbers, most, multilabel):
    for name, n in zip(("_MOST_COMPARED", "_MOST_BY_PRODUCTS"), most, strict=True):
        monkeypatch.setattr(regression, name, n)
    vectors, words, y, weights = numbers
    targets = np.eye(3)[y] if multilabel else y
    if multilabel:
        targets[:, 2] = targets[:, 0]
    blocks = {"form": vectors, "words": words}
    found = solve(blocks, targets, weights, 3, seed=0)
    roots = {name: share**0.5 for name, share in found.shares.items()}
    beside = np.hstack([vectors * roots["form"], words.toarray() * roots["words"]])
    # (its intercepts are not held back at all)
    reference = LogisticRegression(C=found.strength, tol=1e-6, max_iter=1000)
    if multilabel:
        p = np.column_stack(
            [reference.fit(beside, t, weights).predict_proba(beside)[:, 1] for t in targets.T]
        )
    else:
        p = reference.fit(beside, y, weights).predict_proba(beside)
    logits = found.intercept + sum(block @ found.coef[name].T for name, block in blocks.items())
    own = 1 / (1 + np.exp(-logits)) if multilabel else softmax(logits, axis=1)
    np.testing.assert_allclose(own, p, atol=0.01)


@pytest.mark.parametrize("multilabel", [False, True])
def test_what_tells_counts_more_than_what_does_not(numbers, multilabel):
    telling, _, y, weights = numbers
    targets = np.eye(3)[y] if multilabel else y
    noise = np.random.default_rng(1).normal(size=(90, 40)).astype(np.float32) / np.sqrt(40)
    found = solve({"tells": telling, "noise": noise}, targets, weights, 3, seed=0)
    assert found.shares["tells"] > 2 * found.shares["noise"]
    assert found.shares["tells"] * found.shares["noise"] == pytest.approx(1)


def test_loss_is_that_of_regressions_on_the_other_folds(numbers):
    vectors, words, y, weights = numbers
    blocks = {"form": vectors, "words": words}
    found = solve(blocks, y, weights, 3, seed=0)
    roots = {name: share**0.5 for name, share in found.shares.items()}
    beside = np.hstack([vectors * roots["form"], words.toarray() * roots["words"]])
    fold, losses = regression.balanced_folds(np.eye(3)[y], 5, 0), np.zeros(90)
    for i in range(5):
        rest, out = fold != i, fold == i
        reference = LogisticRegression(C=found.strength, tol=1e-6, max_iter=1000)
        p = reference.fit(beside[rest], y[rest], weights[rest]).predict_proba(beside[out])
        losses[out] = -np.log(p[np.arange(out.sum()), y[out]])
    assert found.loss == pytest.approx(np.average(losses, weights=weights), abs=0.01)


def test_no_better_shares_or_strength_are_a_step_away(numbers):
    vectors, words, y, weights = numbers
    products = [vectors.astype(float) @ vectors.T, (words @ words.T).toarray().astype(float)]
    task = Regression.of_targets(y, weights, 3)
    shares, strength, loss = choose(products, task, 0)

    def loss_at(shares, strength):
        summed = sum(s * p for s, p in zip(shares, products, strict=True))
        total = sum(
            regression._loss_left_out(summed, task, rest, out, strength)
            for rest, out in regression._splits(task, 5, 0)
        )
        return total / weights.sum()

    assert loss_at(shares, strength) == pytest.approx(loss)
    assert loss_at(shares, 4 * strength) > loss and loss_at(shares, strength / 4) > loss
    for factor in (0.25, 4.0):  # (more unequal ones have to be better by more than chance)
        assert loss_at(shares * np.array([factor, 1.0]), strength) > loss - 0.03


def test_blocks_of_equal_rows_and_blocks_without_features():
    same = np.ones((30, 4), np.float32)
    none = csr_array((30, 0), dtype=np.float32)
    found = solve({"same": same, "none": none}, np.arange(30) % 2, np.ones(30), 2, seed=0)
    assert found.shares == {"same": 1.0} and np.isfinite(found.coef["same"]).all()


@pytest.mark.parametrize("n", [1, 2, 12])
def test_texts_whose_class_no_other_has_judge_nothing(n):
    # Least alike to all others would be the best that a regression could find them.
    rng = np.random.default_rng(0)
    blocks = {name: rng.normal(size=(n, 8)).astype(np.float32) for name in ("form", "meaning")}
    found = solve(blocks, np.arange(n), np.ones(n), n, seed=0)
    assert found.shares == {"form": 1.0, "meaning": 1.0} and found.strength == 16.0
    assert np.isnan(found.loss)


def test_classes_of_one_text_leave_the_choice_to_others(numbers):
    vectors, _, y, _ = numbers
    targets = np.concatenate([y, np.arange(3, 23)])  # twenty classes more, of one text each
    rng = np.random.default_rng(0)
    more = rng.normal(size=(20, 40)).astype(np.float32) / np.sqrt(40)
    blocks = {"form": np.vstack([vectors, more])}
    found = solve(blocks, targets, np.ones(110), 23, seed=0)
    alone = solve({"form": vectors}, y, np.ones(90), 3, seed=0)
    assert alone.loss < found.loss < alone.loss + 0.5


@pytest.mark.parametrize("y", [[0], [0, 1], [0, 0, 0], [2, 0, 0, 0, 0, 0]])
def test_few_texts_and_classes_that_no_text_has(y):
    blocks = {name: np.eye(len(y), 8, dtype=np.float32) for name in ("form", "meaning")}
    found = solve(blocks, np.array(y), np.ones(len(y)), 4, seed=0)
    assert all(np.isfinite(coef).all() for coef in found.coef.values())
    assert np.isfinite(found.intercept).all() and found.intercept.argmax() in y
    absent = sorted(set(range(4)) - set(y))
    assert (found.intercept[absent] < found.intercept[y[-1]]).all()
