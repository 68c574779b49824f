"""What passes from a language-model step to a classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .models import TrainedLanguageModel
from .modules import AWDLSTM, pooled_size
from .text.token_lists import TokenLists


class EncodedDocuments:
    """Tokenised documents together with the language model that they were encoded for.

    It behaves like a one-dimensional array of documents: it has a length, can be indexed (by
    position, slice, mask or array of positions) and split by cross-validation. If numpy asks for
    an array, the documents are run through the encoder and pooled.

    Parameters
    ----------
    tokens : TokenLists
        Ids of every document's tokens.
    language_model : TrainedLanguageModel
        Tokenizer, sizes and weights.
    pooling : {"concat", "mean", "max", "last", "concat-layers"}, default="concat"
        How an array of features is made of a document.

    See Also
    --------
    ULMFiTLanguageModel : Makes them.
    ULMFiTClassifier : Is trained on them.
    """

    ndim = 2

    def __init__(
        self,
        tokens: TokenLists,
        language_model: TrainedLanguageModel,
        pooling: str = "concat",
    ):
        self.tokens = tokens
        self.language_model = language_model
        self.pooling = pooling

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the array of features that numpy gets."""
        lm = self.language_model
        return len(self), len(lm.directions) * pooled_size(self.pooling, lm.sizes)

    def __getitem__(self, key: Any) -> EncodedDocuments:
        # scikit-learn indexes what has a shape by X[rows, ...].
        if isinstance(key, tuple):
            key, *rest = key
            if any(part is not Ellipsis for part in rest):
                raise IndexError("EncodedDocuments has one dimension.")
        rows = np.atleast_1d(np.arange(len(self))[key])
        return EncodedDocuments(self.tokens.take(rows), self.language_model, self.pooling)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        features = self.features()
        return features if dtype is None else features.astype(dtype, copy=False)

    def features(self, device: Any = "auto") -> np.ndarray:
        """Pool the encoder's outputs over every document (paper section 3.3).

        Parameters
        ----------
        device : str or torch.device, default="auto"

        Returns
        -------
        ndarray of shape (n_documents, n_features), float32
            For every direction of the language model ``[h_T, max, mean]``, or the one of them
            that `pooling` names.
        """
        from .training.devices import resolve_device

        device = resolve_device(device)
        return self.pooled(
            lambda direction: self.language_model.module(direction).encoder.to(device), device
        )

    def pooled(self, encoder_of: Callable[[str], AWDLSTM], device: torch.device) -> np.ndarray:
        """Pool the outputs of encoders that are there already.

        Parameters
        ----------
        encoder_of : callable
            Gives the encoder of a direction, on `device`.
        device : torch.device

        Returns
        -------
        ndarray of shape (n_documents, n_features), float32
        """
        from .models.inference import pooled_features

        parts = []
        for direction in self.language_model.directions:
            tokens = self.tokens.reversed() if direction == "backward" else self.tokens
            encoder = encoder_of(direction)
            weights = self.language_model.token_weights(direction)
            features = pooled_features(
                encoder, tokens, device, token_weights=weights, pooling=self.pooling, bptt=70
            )
            parts.append(features)
        return np.hstack(parts)

    def __repr__(self) -> str:
        return (
            f"<EncodedDocuments: {len(self)} documents, {len(self.tokens.ids)} tokens, "
            f"{' and '.join(self.language_model.directions)}>"
        )
