"""What a language model learns of the meaning of texts, beside predicting them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from ._compat import Interval, validate_parameter_constraints
from ._random import random_numbers
from ._start import pretrained_model
from .models import TrainedLanguageModel
from .models.sentences import POOLING, SentenceVectors, scales
from .text.corpus import TextSource, source_of
from .text.files import texts_or_stream
from .text.validation import check_texts
from .training.checkpoints import claim_directory, run_directory
from .training.language_model import LanguageModelOptions
from .training.lexicon import with_words
from .training.sentences import check_targets, learn_sentences

_POSITIVE = Interval(Integral, 1, None, closed="left")

_CONSTRAINTS = {
    "size": [_POSITIVE, None],
    "max_epochs": [_POSITIVE],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "batch_size": [_POSITIVE],
    "n_valid": [_POSITIVE],
    "train_encoder": ["boolean"],
}

# Texts that the scales of features are taken from, if a model brings none.
_SCALED_BY = 1000


class LearnsMeaning:
    """What a language model's estimator learns from another model's vectors of texts and words."""

    trained_: TrainedLanguageModel
    warm_start: bool
    _set_fitted: Callable[..., Any]

    def fit_sentences(
        self,
        X: Iterable[str] | PathLike[str],
        targets: np.ndarray,
        *,
        size: int | None = None,
        max_epochs: int = 3,
        lr: float = 0.005,
        batch_size: int = 512,
        n_valid: int = 2000,
        train_encoder: bool = False,
    ) -> Self:
        """Learn what texts mean from a teacher: another model's vector of every text.

        The language model stays as it is: `pretrained`, or this one if it is fitted. What is
        learned beside it, vectors of its words and a map of its pools, is what features are made
        of, and goes wherever the language model goes. With `warm_start` it goes on from what has
        been learned of texts already, by the same teacher; without, that is forgotten, and so are
        the words that `add_words` has added.

        Parameters
        ----------
        X : iterable of str, path or list of paths
            Short texts, as `fit` takes them. Let the words of the vocabulary be among them.
        targets : ndarray of shape (n_texts, n_dims)
            The teacher's vectors, of which only the direction counts. May be a memory map.
        size : int or None, default=None
            Length of the vectors, of longer targets what says most of them. With `warm_start`,
            shorter vectors that are there already are widened to it, and longer ones stay as long;
            words that the texts lack say nothing of what is new. None: 256, or what is there.
        max_epochs : int, default=3
            Number of passes over the texts.
        lr : float, default=0.005
            Highest learning rate; it rises for a thirtieth of the steps, and falls to zero.
        batch_size : int, default=512
            Number of texts in a batch, all pairs of which are compared.
        n_valid : int, default=2000
            Texts held out, at most a tenth: `sentence_history_` has their mean cosine with the
            targets, ``"agreement"``.
        train_encoder : bool, default=False
            Read the texts by LSTM layers of their own, copies of the language model's that learn
            along (at a fifth of `lr`). Every pass then takes as long as one of training a language
            model, and vectors agree better: the more texts the better (below some 100,000 they
            learn these by heart). Of longer texts they learn by the first 128 tokens in their
            direction. Features and linear heads are made of the pools of these layers then.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there are not as many targets as texts, they are not finite, or a parameter is not
            valid.

        Notes
        -----
        With `checkpoint_dir`, a call that was killed at any point goes on when it is made again,
        and ends with the same weights.
        """
        given: dict[str, Any] = {
            "size": size,
            "max_epochs": max_epochs,
            "lr": lr,
            "batch_size": batch_size,
            "n_valid": n_valid,
            "train_encoder": train_encoder,
        }
        validate_parameter_constraints(_CONSTRAINTS, given, "fit_sentences")
        fitted = hasattr(self, "trained_")
        start = self.trained_ if fitted else pretrained_model(self)
        if start is None:
            raise NotFittedError(
                "Call fit on texts first, or set pretrained: there is no language model yet that "
                "could learn what sentences mean."
            )
        goes_on = self.warm_start and start.sentences is not None and start.sentences.size > 0
        if size is None:
            given["size"] = start.sentences.size if goes_on and start.sentences else 256
        if not goes_on:
            start = start.without_sentences()
        sentences, history = sentence_stage(
            self, start, texts_or_stream(X), targets, goes_on=goes_on, **given
        )
        if not fitted:
            self._set_fitted(start, [], False)
        self.trained_ = replace(start, sentences=sentences)
        self.sentence_history_ = history
        return self

    def add_words(self, words: Sequence[str], targets: np.ndarray) -> Self:
        """Learn what words mean that the vocabulary lacks, from the teacher's vector of each.

        For the language model they stay unknown, and it becomes no larger or slower. But they are
        told apart where texts get their meaning: in features and in the linear part of a
        classifier, in texts that it is fitted on and in those that it meets later.

        Parameters
        ----------
        words : sequence of str
            In lower case, as the tokenizer cuts texts; those of the vocabulary among them, which
            show how the teacher's vectors are to be taken. Words that the tokenizer cuts up are
            left out, and those that are known stay what they are.
        targets : ndarray of shape (n_words, n_dims)
            What the teacher of `fit_sentences` says of each word alone.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If a word is no str.
        ValueError
            If there are not as many targets as words, they are not finite, `fit_sentences` was not
            called, or too few of the words are in the vocabulary.
        """
        check_is_fitted(self)
        words = check_texts(words, name="words")
        targets = check_targets(targets)
        if len(targets) != len(words):
            raise ValueError(f"There are {len(words)} words, but {len(targets)} rows of targets.")
        self.trained_ = with_words(self.trained_, words, targets)
        return self


def sentence_stage(
    estimator: Any,
    start: TrainedLanguageModel,
    texts: Iterable[str],
    targets: np.ndarray,
    *,
    size: int,
    n_valid: int,
    train_encoder: bool,
    goes_on: bool,
    **changes: Any,
) -> tuple[SentenceVectors, list[dict[str, Any]]]:
    """Learn from a teacher's vectors what texts mean.

    Parameters
    ----------
    estimator : ULMFiTLanguageModel
        Its parameters say where it is computed, and where a long training is kept.
    start : TrainedLanguageModel
    texts : list of str, or iterable of them
        Checked.
    targets : ndarray of shape (n_texts, n_dims)
    size, n_valid, train_encoder
        As `fit_sentences` takes them.
    goes_on : bool
        Whether from what `start` has learned of texts.
    **changes
        Parameters of the training that are not the estimator's own.

    Returns
    -------
    SentenceVectors, list of dict
        And the history.
    """
    targets = check_targets(targets)
    if len(targets) < 2:
        raise ValueError("At least two texts are needed to learn what texts mean.")
    with run_directory(estimator.checkpoint_dir, needed=True) as parent:
        assert parent is not None
        directory = parent / "sentences"
        source = source_of(
            texts,
            directory,
            n_jobs=estimator.n_jobs,
            verbose=bool(estimator.verbose),
            lexicon=True,
        )
        seeds: Sequence[int] = [random_numbers(estimator.random_state).randint(1 << 31)]
        if estimator.checkpoint_dir is not None:
            seeded = isinstance(estimator.random_state, Integral)
            description = {
                **changes,
                "size": size,
                "n_valid": n_valid,
                "train_encoder": train_encoder,
                "random_state": estimator.random_state if seeded else None,
                "goes_on": goes_on,
                "start": start.fingerprint,
                "targets": targets[:100].sum(axis=1, dtype=np.float64).tolist(),
                **source.describe(start.tokenizer),
            }
            seeds = claim_directory(directory, description, seeds)
            changes["checkpoint_dir"] = directory
        tokens = source.encode(start.tokenizer)
        if len(targets) != len(tokens):
            raise ValueError(f"There are {len(tokens)} texts, but {len(targets)} rows of targets.")
        options = LanguageModelOptions.of(
            estimator,
            **changes,
            seed=int(seeds[0]),
            schedule="slanted_triangular",
            cut_frac=0.03,
            lr_ratio=1000.0,
        )
        return learn_sentences(
            start,
            tokens,
            targets,
            options,
            size=size,
            n_valid=max(1, min(n_valid, len(tokens) // 10)),
            train_encoder=train_encoder,
            goes_on=goes_on,
            directory=directory,
        )


def with_scales(
    trained: TrainedLanguageModel, source: TextSource, device: torch.device
) -> TrainedLanguageModel:
    """Take the scales of features from texts, if a model brings none.

    Parameters
    ----------
    trained : TrainedLanguageModel
    source : TextSource
        The first of its texts count.
    device : torch.device

    Returns
    -------
    TrainedLanguageModel
    """
    if trained.sentences:
        return trained
    documents = source.encode(trained.tokenizer)
    some = documents.take(range(min(len(documents), _SCALED_BY)))
    arrays: dict[str, np.ndarray] = {}
    for direction in trained.directions:
        alone = trained.with_directions((direction,))
        arrays |= scales(direction, alone.pooled(some, POOLING, device))
    return replace(trained, sentences=SentenceVectors(arrays))
