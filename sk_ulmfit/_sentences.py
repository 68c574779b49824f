"""What a language model learns of the meaning of texts, beside predicting them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

from ._compat import Interval
from ._random import random_numbers
from .models import TrainedLanguageModel
from .models.sentences import POOLING, SentenceVectors, scales
from .text.corpus import TextSource, source_of
from .training.checkpoints import claim_directory, run_directory
from .training.language_model import LanguageModelOptions
from .training.sentences import check_targets, learn_sentences

_POSITIVE = Interval(Integral, 1, None, closed="left")

# Of `fit_sentences`.
SENTENCE_CONSTRAINTS = {
    "size": [_POSITIVE, None],
    "max_epochs": [_POSITIVE],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "batch_size": [_POSITIVE],
    "n_valid": [_POSITIVE],
    "train_encoder": ["boolean"],
}

# Texts that the scales of features are taken from, if a model brings none.
_SCALED_BY = 1000


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
