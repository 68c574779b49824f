"""From a fitted classifier and texts to explanations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._compat import Interval, validate_parameter_constraints
from ..classifier import ULMFiTClassifier
from ..documents import EncodedDocuments
from ..language_model import ULMFiTLanguageModel
from ..progress_bar import Bar
from ..text.tokenizers import Tokenizer
from ..text.validation import check_texts
from ..training.devices import resolve_device
from .integrated_gradients import integrate
from .path import Reader, TextPath
from .result import Explanation

_CONSTRAINTS = {
    "n_steps": [Interval(Integral, 1, None, closed="left"), None],
    "tolerance": [Interval(Real, 0, None, closed="left")],
}


def explain(
    clf: ULMFiTClassifier | Pipeline,
    texts: Iterable[str],
    *,
    target: Any = None,
    n_steps: int | None = None,
    tolerance: float = 0.05,
) -> list[Explanation]:
    """Tell which words of texts speak for a class, and which against it.

    Every token gets its share of the class's logit by integrated gradients [1]_: the gradients of
    the logit, added up along the straight path from a text whose words are dropped to the text.
    The shares add up to the difference between the logits of the two.

    Parameters
    ----------
    clf : ULMFiTClassifier or Pipeline
        Fitted. Of a pipeline, the `ULMFiTLanguageModel` and the classifier after it.
    texts : iterable of str
        The texts, not encoded.
    target : label or sequence of labels, default=None
        The class to explain, or one for each text. None, here or for a text: the class that is
        predicted; in a multilabel problem, where classes are the numbers of the columns, the one
        that is most probable.
    n_steps : int or None, default=None
        At how many points of the path gradients are taken. The time that it takes grows with it.
        None: 27, 81, and so on up to 2187, until `tolerance` is kept.
    tolerance : float, default=0.05
        With ``n_steps=None``, how far the sum of the shares may be from what it should be, in
        nats, and how much any of them may change by the last tripling of the points. (0.05 nats
        are a percent of probability at most.) Half of it takes about twice the time.

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
    A point costs about as much as a step of training on the text alone. With ``verbose`` above 0,
    the classifier shows a progress bar.

    What is explained is the log-odds of the class, ``log(p / (1 - p))`` of the very probability
    that `predict_proba` gives: of two directions, their mean. For a multilabel classifier of one
    direction that is the logit of its network; for two classes the difference of the two logits,
    so that what speaks for one speaks as much against the other.

    A text without its words is as long as the text, and has zeros for embeddings: training shows
    such words to the network, as its dropout drops whole words from the embedding. (The embedding
    of ``xxpad`` is never trained, and that of ``xxunk`` means a rare word.) ``xxbos``, with which
    every text begins, stays, so its share is zero. So do the weights of tokens in the mean that
    rare words dominate (``pooling="concat-layers"``).

    References
    ----------
    .. [1] M. Sundararajan, A. Taly and Q. Yan, "Axiomatic Attribution for Deep Networks",
       ICML 2017.

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
    given = {"n_steps": n_steps, "tolerance": tolerance}
    validate_parameter_constraints(_CONSTRAINTS, given, "explain")
    clf, language_model = _estimators(clf)
    if isinstance(texts, EncodedDocuments):
        raise TypeError(
            "explain needs the texts as they were written, got EncodedDocuments: pass the texts "
            "themselves, and the classifier encodes them."
        )
    texts = check_texts(texts, name="texts")
    X = texts if language_model is None else language_model.transform(texts)
    tokens = clf._tokens(X)
    outputs = _outputs(clf, target, EncodedDocuments(tokens, clf.trained_.language_model))
    bar = Bar(texts, desc="explanations", unit="doc", disable=not clf.verbose)
    with torch.inference_mode(False):  # gradients are needed, whatever the caller is in
        readers = Reader.of_all_directions(clf.trained_, resolve_device(clf.device))
        return [
            _explanation(clf, readers, text, tokens.document(i), outputs[i], n_steps, tolerance)
            for i, text in enumerate(bar)
        ]


def _explanation(
    clf: ULMFiTClassifier,
    readers: list[Reader],
    text: str,
    ids: np.ndarray,
    output: int,
    n_steps: int | None,
    tolerance: float,
) -> Explanation:
    tokenizer = clf.trained_.language_model.tokenizer
    path = TextPath(readers, ids, output, clf.trained_.multilabel)
    logit, baseline_logit = path.value(1.0), path.value(0.0)
    found = integrate(path.slopes, logit - baseline_logit, n_steps, tolerance)
    return Explanation(
        text,
        tokenizer.tokens(ids),
        found.shares,
        _spans(tokenizer, text, len(ids)),
        clf.classes_.tolist()[output],
        logit=logit,
        baseline_logit=baseline_logit,
        gap=found.gap,
        n_steps=found.n_steps,
    )


def _estimators(given: Any) -> tuple[ULMFiTClassifier, ULMFiTLanguageModel | None]:
    """The classifier, and the language model before it in a pipeline."""
    steps = [given]
    if isinstance(given, Pipeline):
        steps = [step for _, step in given.steps if step not in (None, "passthrough")]
    *before, clf = steps
    if not isinstance(clf, ULMFiTClassifier):
        raise TypeError(
            "explain needs a fitted ULMFiTClassifier, or a pipeline that ends with one (of a "
            f"search, its best_estimator_), got {type(given).__name__}"
            + (f" that ends with {type(clf).__name__}." if clf is not given else ".")
        )
    check_is_fitted(clf)
    if not before:
        return clf, None
    *earlier, language_model = before
    if isinstance(language_model, FrozenEstimator):
        language_model = language_model.estimator
    if earlier or not isinstance(language_model, ULMFiTLanguageModel):
        names = ", ".join(type(step).__name__ for step in earlier or before)
        raise TypeError(
            f"explain would not know the texts again after the steps before ({names}): pass the "
            "ULMFiTLanguageModel and the ULMFiTClassifier alone, pipe[-2:] (or the classifier, "
            "pipe[-1]), and the texts that the steps before make."
        )
    return clf, language_model


def _outputs(clf: ULMFiTClassifier, target: Any, documents: EncodedDocuments) -> list[int]:
    """Numbers of the classes to explain, one a text."""
    n = len(documents)
    labels = list(target) if _is_sequence(target) else [target] * n
    if len(labels) != n:
        raise ValueError(
            f"target has {len(labels)} labels for {n} texts: it takes one for every text, or one "
            "for all."
        )
    if any(label is None for label in labels):
        predicted = clf.predict_proba(documents).argmax(axis=1).tolist()
    else:
        predicted = [0] * n
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


def _spans(tokenizer: Tokenizer, text: str, n_tokens: int) -> list[Any]:
    spans = tokenizer.spans(text)
    if len(spans) < n_tokens:  # a function that does not give the same again
        return [None] * n_tokens
    return spans[:n_tokens]
