"""What a language model learns of the meaning of texts, beside predicting them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from sklearn.exceptions import NotFittedError

from ._compat import Interval, validate_parameter_constraints
from ._estimator import random_numbers
from .models import TrainedLanguageModel
from .models.sentences import POOLING, SentenceVectors, scales
from .text.corpus import TextSource
from .text.files import texts_or_stream
from .training.checkpoints import claim_directory
from .training.devices import resolve_device
from .training.language_model import LanguageModelOptions
from .training.sentences import check_targets, learn_sentences

# Texts that the scales of features are taken from, if a model brings none.
_SCALED_BY = 1000

_POSITIVE = Interval(Integral, 1, None, closed="left")

_CONSTRAINTS = {
    "size": [_POSITIVE],
    "max_epochs": [_POSITIVE],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "batch_size": [_POSITIVE],
    "n_valid": [_POSITIVE],
}


class SentenceLearning:
    """The part of `ULMFiTLanguageModel` that has to do with what texts mean."""

    pretrained: Any
    checkpoint_dir: Any
    random_state: Any
    device: Any
    max_epochs: Any
    output: str
    pooling: str
    trained_: TrainedLanguageModel

    _source: Callable[[Any, Any], TextSource]
    _pretrained: Callable[[], TrainedLanguageModel]
    _set_fitted: Callable[..., Any]

    def fit_sentences(
        self,
        X: Iterable[str] | PathLike[str],
        targets: np.ndarray,
        *,
        size: int = 256,
        max_epochs: int = 3,
        lr: float = 0.005,
        batch_size: int = 512,
        n_valid: int = 2000,
    ) -> Self:
        """Learn what texts mean from a teacher: another model's vector of every text.

        The language model stays as it is: `pretrained`, or this one if it is fitted. What is
        learned beside it, vectors of its words and a map of its pools, is what features are made
        of, and goes wherever the language model goes.

        Parameters
        ----------
        X : iterable of str, path or list of paths
            Short texts, as `fit` takes them. Let the words of the vocabulary be among them.
        targets : ndarray of shape (n_texts, n_dims)
            The teacher's vectors, of which only the direction counts. May be a memory map.
        size : int, default=256
            Length of the vectors, of longer targets what says most of them.
        max_epochs : int, default=3
            Number of passes over the texts.
        lr : float, default=0.005
            Highest learning rate; it rises for a thirtieth of the steps, and falls to zero.
        batch_size : int, default=512
            Number of texts in a batch, all pairs of which are compared.
        n_valid : int, default=2000
            Texts held out, at most a tenth: `sentence_history_` has their mean cosine with the
            targets, ``"agreement"``.

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
        own: dict[str, Any] = {"max_epochs": max_epochs, "lr": lr, "batch_size": batch_size}
        given = {**own, "size": size, "n_valid": n_valid}
        validate_parameter_constraints(_CONSTRAINTS, given, "fit_sentences")
        start = self.trained_ if hasattr(self, "trained_") else self._untrained()
        with TemporaryDirectory(prefix="sk_ulmfit-", ignore_cleanup_errors=True) as temporary:
            directory = Path(self.checkpoint_dir or temporary, "sentences")
            source = self._source(texts_or_stream(X), directory)
            targets = check_targets(targets)
            seeds: Sequence[int] = [random_numbers(self.random_state).randint(1 << 31)]
            if self.checkpoint_dir is not None:
                seeded = isinstance(self.random_state, Integral)
                description = {
                    **given,
                    "random_state": self.random_state if seeded else None,
                    "start": replace(start, sentences=None).fingerprint,
                    "targets": targets[:100].sum(axis=1, dtype=np.float64).tolist(),
                    **source.describe(start.tokenizer),
                }
                seeds = claim_directory(directory, description, seeds)
                own["checkpoint_dir"] = directory
            tokens = source.encode(start.tokenizer)
            if len(targets) != len(tokens):
                raise ValueError(
                    f"There are {len(tokens)} texts, but {len(targets)} rows of targets."
                )
            options = LanguageModelOptions.of(
                self,
                **own,
                seed=int(seeds[0]),
                schedule="slanted_triangular",
                cut_frac=0.03,
                lr_ratio=1000.0,
            )
            sentences, history = learn_sentences(
                start,
                tokens,
                targets,
                options,
                size=size,
                n_valid=max(1, min(n_valid, len(tokens) // 10)),
                directory=directory,
            )
        if not hasattr(self, "trained_"):
            self._set_fitted(start, [], False)
        self.trained_ = replace(start, sentences=sentences)
        self.sentence_history_ = history
        return self

    def _untrained(self) -> TrainedLanguageModel:
        if self.pretrained is None:
            raise NotFittedError(
                "Call fit on texts first, or set pretrained: there is no language model yet that "
                "could learn what sentences mean."
            )
        return self._pretrained()

    def _reads_new_words(self, start: TrainedLanguageModel) -> bool:
        """Whether words that `start` has never been trained on are told apart all the same.

        A classifier counts them; features know of them what their spelling says.
        """
        if self.output == "documents":
            return self.max_epochs == "auto"  # (0 is a model as it is)
        return bool(start.sentences and start.sentences.size)

    def _scale_pools(self, source: TextSource) -> None:
        """Take the scales of the features from the texts, if the model brings none."""
        trained = self.trained_
        if (self.output, self.pooling) != ("features", "sentences") or trained.sentences:
            return
        documents = source.encode(trained.tokenizer)
        some = documents.take(range(min(len(documents), _SCALED_BY)))
        device = resolve_device(self.device)
        arrays: dict[str, np.ndarray] = {}
        for direction in trained.directions:
            alone = trained.with_directions((direction,))
            arrays |= scales(direction, alone.pooled(some, POOLING, device))
        self.trained_ = replace(trained, sentences=SentenceVectors(arrays))
