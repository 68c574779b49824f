"""From a fitted classifier and texts to explanations: read them with words left out.

Every reading is a real text, the tokens of some words taken out of it. Three kinds of readings say
what a word adds to the logit of a class, each where the others are weak:

- *Alone*: the word without any other, beside the empty text. Two tokens a word; says what it means,
  not what it does here.
- *In its window*: some ten words around it, with and without it. Says what it does among its
  neighbours ("not good"), as cheap in a long text as in a short one. A short text is one window.
- *In the text*: the whole text without a random third of its words. Says what counts here, but of
  many words at a time.

A linear account of the third kind, d = sum of the attributions of the words left out, is fitted by
ridge regression (as LIME does, Ribeiro et al. 2016) whose prior mean is a mixture of the first two:
with some dozen readings for hundreds of words, the first two tell which of the words it was.

The account is not made to end at the reading of the empty text, as Shapley values do: what a
classifier says there is arbitrary, and the difference, spread over all words, is what most of the
attributions would consist of (on SST-2 its sums were six times as far from real readings).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._compat import Interval, validate_parameter_constraints
from ..classifier import ULMFiTClassifier
from ..documents import EncodedDocuments
from ..language_model import ULMFiTLanguageModel
from ..models.classifier import TrainedClassifier
from ..progress_bar import Bar
from ..text.token_lists import TokenLists
from ..text.validation import check_texts
from ..training.devices import resolve_device
from .result import Explanation, words_of_tokens

# Words of a window; a text of no more than the second is one window.
_WINDOW, _ONE_WINDOW = 10, 30
# How many of a text's words a reading of the whole text is without.
_LEFT_OUT = 1 / 3
# Such readings: as many as have so many tokens together, within limits.
_TOKENS, _FEWEST, _MOST = 8_000, 12, 40
# A text of so few words is read without every subset of them instead.
_ALL_SUBSETS = 5
# Above this number, runs of words are left out together, so that what is kept of a text is bounded.
_MOST_PARTS = 4096
# How far attributions may be from the prior mean beside the noise of readings; the value that
# predicts each reading best from the others is taken.
_RIDGES = (1.0, 10.0, 100.0)
_RIDGE_OF_MEAN = 0.01

_CONSTRAINTS = {
    "tolerance": [Interval(Real, 0, None, closed="left")],
    "n_readings": [Interval(Integral, 4, None, closed="left"), None],
    "random_state": [Interval(Integral, 0, None, closed="left")],
}


def explain(
    clf: Any,
    texts: Iterable[str],
    *,
    target: Any = None,
    tolerance: float = 0.5,
    n_readings: int | None = None,
    random_state: int = 0,
) -> list[Explanation]:
    """Tell which words of texts speak for a class, and which against it.

    The classifier reads every text again with words left out: the whole text without a random
    third of its words, some dozen times, and each word alone and among its neighbours. A word's
    attribution is by how much the log-odds of the class fall when it is left out, as a ridge
    regression (as in LIME [1]_) makes it of these readings.

    Parameters
    ----------
    clf : ULMFiTClassifier, Pipeline, FrozenEstimator or search
        Fitted. Of a pipeline, the `ULMFiTLanguageModel` and the classifier after it; of a
        `GridSearchCV` or another search, what it has refitted.
    texts : iterable of str
        The texts, not encoded.
    target : label or sequence of labels, default=None
        The class to explain, or one for each text. None, here or for a text: the class that is
        predicted; in a multilabel problem, where classes are the numbers of the columns, the one
        that is most probable.
    tolerance : float, default=0.5
        Which share of what the classifier says, when words are left out, attributions may leave
        unexplained. An explanation that misses it is marked, wherever it is shown
        (`Explanation.within_tolerance`).
    n_readings : int or None, default=None
        How often the whole text is read without a third of its words, at least 4 times. None: 12
        (long texts) to 40 times. Texts of up to five words are read without all subsets of them.
    random_state : int, default=0
        Which words are left out together. Explanations of a text are equal if it is, whatever
        other texts are explained beside it.

    Returns
    -------
    list of Explanation
        One for every text.

    Raises
    ------
    TypeError
        If `clf` or `texts` is something else.
    ValueError
        If a target is no class of the classifier, or a parameter is not valid.
    sklearn.exceptions.NotFittedError
        If `clf` is not fitted.

    See Also
    --------
    sk_ulmfit.explanation.Explanation : What comes back.

    Notes
    -----
    What is explained is the log-odds of the class, ``log(p / (1 - p))`` of the very probability
    that `predict_proba` gives: what several words add to a probability is no sum (near 1 none of
    them seems to count), to log-odds it nearly is. For two classes, what speaks for one speaks as
    much against the other. Where there is one class alone, its logit is explained.

    Attributions and `Explanation.baseline_logit` add up to the logit, by definition of the latter.
    What can go wrong is something else: that words act together (irony, two words that say the
    same), so that what two of them do is not the sum of what each does. How far sums are from real
    readings is measured for every text, each reading predicted from the others.

    A text of 20 words takes about as long as 20 predictions of it, a longer one as 30. Words are
    left out with their punctuation and all their tokens. Words behind `max_length` have 0.

    References
    ----------
    .. [1] M. T. Ribeiro, S. Singh and C. Guestrin, "Why Should I Trust You?: Explaining the
       Predictions of Any Classifier", KDD 2016.

    Examples
    --------
    >>> from sk_ulmfit import ULMFiTClassifier, explain
    >>> texts = ["Where is my card?", "The app does not start."] * 10
    >>> clf = ULMFiTClassifier(random_state=0).fit(texts, ["card", "app"] * 10)
    >>> [found] = explain(clf, ["The app crashed."])
    >>> found.target
    'app'
    >>> max(found.words(), key=lambda word: word.attribution).text
    'app'
    """
    given = {"tolerance": tolerance, "n_readings": n_readings, "random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, "explain")
    clf, language_model = _estimators(clf)
    if isinstance(texts, EncodedDocuments):
        raise TypeError(
            "explain needs the texts as they were written, got EncodedDocuments: pass the texts "
            "themselves, and the classifier encodes them."
        )
    texts = check_texts(texts, name="texts")
    trained, how = clf.trained_, (resolve_device(clf.device), clf.bptt)
    encoder = trained.language_model if language_model is None else language_model.trained_
    tokenizer = encoder.tokenizer
    tokens = tokenizer.documents(texts)
    probabilities = clf.predict_proba(EncodedDocuments(tokens, encoder))
    outputs = _outputs(clf, target, probabilities)
    found = []
    bar = Bar(texts, desc="explanations", unit="doc", disable=not clf.verbose)
    for i, text in enumerate(bar):
        ids, output = tokens.document(i), outputs[i]
        spans = tokenizer.spans(text)
        if len(spans) != len(ids):  # a function that does not give the same again
            spans = [None] * len(ids)
        words = words_of_tokens(text, spans)[: clf.max_length]
        parts = words // (1 + max(words[-1], 0) // _MOST_PARTS)
        reader = _Reader(trained, tokens.take([i]), parts, output, how)
        account = _account(reader, n_readings, random_state)
        shares = np.zeros(len(ids))
        shares[1 : len(parts)] = (account.parts / np.bincount(parts[1:]))[parts[1:]]
        found.append(
            Explanation(
                text,
                tokenizer.tokens(ids),
                shares,
                spans,
                trained.classes.tolist()[output],
                probability=float(probabilities[i, output]),
                logit=account.logit,
                baseline_logit=account.logit - float(shares.sum()),
                error=account.error,
                unexplained=account.unexplained,
                tolerance=tolerance,
                n_readings=account.n_readings,
            )
        )
    return found


class _Account(NamedTuple):
    """What the readings of a text come to."""

    logit: float
    parts: np.ndarray  # (n_parts,): what each adds
    error: float
    unexplained: float
    n_readings: int


class _Reader:
    """A classifier, a text in parts to be left out, and the class whose log-odds are asked for.

    Parameters
    ----------
    model : TrainedClassifier
    text : TokenLists
        One; tokens without a part, behind those that have one, are not read.
    parts : ndarray of int
        Number of the part, a word as a rule, that each token belongs to; -1 first, for ``xxbos``.
    output : int
        Number of the class.
    how : tuple of torch.device and int
        Where it reads, and how many tokens at once.
    """

    def __init__(
        self,
        model: TrainedClassifier,
        text: TokenLists,
        parts: np.ndarray,
        output: int,
        how: tuple[torch.device, int],
    ):
        self.model = model
        self.text = text
        self.places = np.arange(len(parts))
        self.parts = parts
        self.output = output
        self.how = how
        self.n_parts = int(parts[-1]) + 1
        self.ends = np.searchsorted(parts, np.arange(self.n_parts + 1))

    def without(self, left_out: np.ndarray) -> np.ndarray:
        """Tokens that are not of parts where `left_out`, of shape (n_parts,), is true."""
        return self.places[np.r_[True, ~left_out[self.parts[1:]]]]

    def window(self, start: int, stop: int, left_out: int | None = None) -> np.ndarray:
        """Tokens of the parts from `start` to `stop`, which may lack one of them."""
        a, d = self.ends[[start, stop]]
        b, c = (d, d) if left_out is None else self.ends[[left_out, left_out + 1]]
        return np.r_[0, a:b, c:d]

    def log_odds(self, documents: Sequence[np.ndarray]) -> np.ndarray:
        """Log-odds of the class, shape (n_documents,); its logit where it is the only one.

        Documents are given by the places of their tokens in the text.
        """
        model, own = self.model, self.output
        question = (self.text.picked(documents), *self.how)
        if model.multilabel:
            return model.log_odds(*question)[:, own]
        if len(model.classes) == 1:
            logits = np.stack(model.logits(*question))[..., own]
            return np.asarray(logits.mean(axis=0), dtype=np.float64)
        logs = model.log_probabilities(*question)
        return logs[:, own] - logsumexp(np.delete(logs, own, axis=1), axis=1)


def _account(reader: _Reader, n_readings: int | None, random_state: int) -> _Account:
    """Read a text with parts left out, and tell what each of them adds to the logit."""
    n = reader.n_parts
    if n <= _ALL_SUBSETS:
        left_out = np.array(list(product([False, True], repeat=n)), dtype=bool)
        logit, *others = reader.log_odds([reader.without(row) for row in left_out])
        falls = logit - np.array([logit, *others])
        parts = np.linalg.lstsq(left_out.astype(float), falls, rcond=None)[0]
        missed = falls - left_out @ parts
        return _Account(float(logit), parts, *_quality(missed, falls), len(others))
    windows = _windows(n)
    left_out = _left_out(n, len(reader.places), n_readings, random_state)
    documents = [
        reader.places,
        reader.places[:1],
        *(reader.without(row) for row in left_out),
        *(reader.window(i, i + 1) for i in range(n)),
        *(reader.window(*window) for window in windows),
        *(reader.window(*window, i) for window in windows for i in range(*window)),
    ]
    ends = np.cumsum([2, len(left_out), n, len(windows)])
    (logit, empty), readings, alone, whole, lacking = np.split(reader.log_odds(documents), ends)
    falls = logit - readings
    in_windows = np.repeat(whole, [stop - start for start, stop in windows]) - lacking
    parts, missed = _ridge(left_out.astype(float), falls, np.stack([alone - empty, in_windows]))
    return _Account(float(logit), parts, *_quality(missed, falls), len(left_out))


def _windows(n: int) -> list[tuple[int, int]]:
    n_windows = 1 if n <= _ONE_WINDOW else round(n / _WINDOW)
    return list(pairwise(np.linspace(0, n, n_windows + 1).round().astype(int).tolist()))


def _left_out(n: int, n_tokens: int, n_readings: int | None, random_state: int) -> np.ndarray:
    """Which parts readings of the whole text are without, shape (n_readings, n)."""
    if n_readings is None:
        n_readings = min(max(int(_TOKENS / (1 - _LEFT_OUT) / n_tokens), _FEWEST), _MOST)
    random = np.random.default_rng(random_state)
    return np.array([random.permutation(n) < round(n * _LEFT_OUT) for _ in range(n_readings)])


def _ridge(
    left_out: np.ndarray, falls: np.ndarray, means: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit ``falls = left_out @ attributions``, attributions near a mixture of `means`.

    Parameters
    ----------
    left_out : ndarray of shape (n_readings, n_parts)
    falls : ndarray of shape (n_readings,)
        Of the logit.
    means : ndarray of shape (n_means, n_parts)

    Returns
    -------
    attributions : ndarray of shape (n_parts,)
    missed : ndarray of shape (n_readings,)
        What a fit to all other readings misses of each.
    """
    means = means / np.maximum(np.sqrt((means**2).mean(axis=1, keepdims=True)), 1e-12)
    along = left_out @ means.T

    def fit(ridge: float) -> tuple[np.ndarray, np.ndarray]:
        # As a Gaussian process over the readings: as many unknowns as readings, not as parts.
        covariance = along @ along.T / _RIDGE_OF_MEAN + left_out @ left_out.T / ridge
        inverse = np.linalg.inv(covariance + np.eye(len(falls)))
        weights = inverse @ falls
        attributions = along.T @ weights @ means / _RIDGE_OF_MEAN + left_out.T @ weights / ridge
        return attributions, weights / inverse.diagonal()

    return min(map(fit, _RIDGES), key=lambda fitted: float((fitted[1] ** 2).sum()))


def _quality(missed: np.ndarray, falls: np.ndarray) -> tuple[float, float]:
    """Return `error` and `unexplained` of an `Explanation`."""
    error, spread = float(np.sqrt((missed**2).mean())), float(falls.std())
    return error, (error / spread) ** 2 if spread > 0 else 0.0


def _estimators(given: Any) -> tuple[ULMFiTClassifier, ULMFiTLanguageModel | None]:
    """The classifier, and the language model before it in a pipeline."""
    fitted = _unwrapped(given)
    steps = [fitted]
    if isinstance(fitted, Pipeline):
        steps = [_unwrapped(step) for _, step in fitted.steps if step not in (None, "passthrough")]
    *before, clf = steps
    if not isinstance(clf, ULMFiTClassifier):
        ends = "" if clf is given else f" that ends with {type(clf).__name__}"
        raise TypeError(
            "explain needs a fitted ULMFiTClassifier, or a Pipeline, FrozenEstimator or search of "
            f"one, got {type(given).__name__}{ends}.{_way_out(clf)}"
        )
    check_is_fitted(clf)
    if not before:
        return clf, None
    *earlier, language_model = before
    if earlier or not isinstance(language_model, ULMFiTLanguageModel):
        names = ", ".join(type(step).__name__ for step in earlier or before)
        raise TypeError(
            f"explain would not know the texts again after the steps before ({names}): pass the "
            "ULMFiTLanguageModel and the ULMFiTClassifier alone, pipe[-2:] (or the classifier, "
            "pipe[-1]), and the texts that the steps before make."
        )
    check_is_fitted(language_model)
    return clf, language_model


def _unwrapped(given: Any) -> Any:
    """What a search has refitted, and what is frozen."""
    while True:
        if isinstance(given, FrozenEstimator):
            given = given.estimator
        elif hasattr(given, "best_estimator_"):
            given = given.best_estimator_
        elif hasattr(given, "refit"):  # a search
            check_is_fitted(given)
            raise TypeError(
                f"This {type(given).__name__} has kept no fitted estimator (refit=False): fit one "
                "with its best_params_, and explain that."
            )
        else:
            return given


def _way_out(clf: Any) -> str:
    if isinstance(clf, ULMFiTLanguageModel):
        return " A language model knows no classes: fit a ULMFiTClassifier on its documents."
    for name in ("calibrated_classifiers_", "estimators_"):
        if hasattr(clf, name):
            return f" It holds several: explain the ULMFiTClassifier in one of its {name}."
    if isinstance(clf, str | Sequence):
        return " The classifier comes first: explain(clf, texts)."
    return ""


def _outputs(clf: ULMFiTClassifier, target: Any, probabilities: np.ndarray) -> list[int]:
    """Numbers of the classes to explain, one a text."""
    n = len(probabilities)
    labels = list(target) if _is_sequence(target) else [target] * n
    if len(labels) != n:
        raise ValueError(
            f"target has {len(labels)} labels for {n} texts: it takes one for every text, or one "
            "for all."
        )
    predicted = probabilities.argmax(axis=1).tolist()
    return [
        own if label is None else _number_of(label, clf.classes_)
        for label, own in zip(labels, predicted, strict=True)
    ]


def _is_sequence(target: Any) -> bool:
    if isinstance(target, str | bytes):
        return False
    return isinstance(target, Sequence) or getattr(target, "ndim", 0) == 1  # Series, arrays


def _number_of(label: Any, classes: np.ndarray) -> int:
    known = classes.tolist()
    if isinstance(label, np.generic):
        label = label.item()
    if label not in known:
        shown = ", ".join(map(repr, known[:10])) + (", ..." if len(known) > 10 else "")
        raise ValueError(f"The target {label!r} is no class of the classifier: it knows {shown}.")
    return known.index(label)
