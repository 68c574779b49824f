"""What passes from a language-model step to a classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from .models import TrainedLanguageModel
from .text.token_lists import TokenLists
from .text.validation import check_texts
from .training.devices import resolve_device


def texts_or_documents(X: Any, name: str = "X") -> list[str] | EncodedDocuments:
    """Check what a classifier is given: documents as they are, or texts in a list."""
    return X if isinstance(X, EncodedDocuments) else check_texts(X, name=name)


class EncodedDocuments:
    """Tokenised documents together with the language model that they were encoded for.

    It behaves like a one-dimensional array of documents: it has a length, can be indexed (by
    position, slice, mask or array of positions) and split by cross-validation. If numpy asks for
    an array, the documents are run through the encoder and pooled, which makes an array of two
    dimensions, whose ``shape`` and ``ndim`` they have. Every document is run once: its vector is
    kept, and known to the parts that indexing makes. A pickle holds no vectors.

    Parameters
    ----------
    tokens : TokenLists
        Ids of every document's tokens.
    language_model : TrainedLanguageModel
        Tokenizer, sizes and weights.
    pooling : {"concat", "mean", "max", "last", "concat-layers", "sentences"}, \
            default="sentences"
        How an array of features is made of a document: of which pools, or, with "sentences", of
        what the language model has learned of the meaning of texts, and scaled pools.
    device : str or torch.device, default="auto"
        Where an array is computed.

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
        pooling: str = "sentences",
        device: Any = "auto",
    ):
        self.tokens = tokens
        self.language_model = language_model
        self.pooling = pooling
        self._device = device  # (scikit-learn takes a public one for an array's)
        self._share_vectors({}, np.arange(len(tokens)))

    def _share_vectors(self, vectors: dict[Any, np.ndarray], numbers: np.ndarray) -> None:
        # By pooling and number of the document among those that the first ones were.
        self._vectors = vectors
        self._numbers = numbers

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("_vectors", "_numbers")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._share_vectors({}, np.arange(len(self.tokens)))

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the array of features that numpy gets."""
        return len(self), self.language_model.n_features(self.pooling)

    def __getitem__(self, key: Any) -> EncodedDocuments:
        # scikit-learn indexes what has a shape by X[rows, ...].
        if isinstance(key, tuple):
            key, *rest = key
            if any(part is not Ellipsis for part in rest):
                raise IndexError("EncodedDocuments can be indexed by document alone.")
        rows = np.atleast_1d(np.arange(len(self))[key])
        tokens = self.tokens.take(rows)
        part = EncodedDocuments(tokens, self.language_model, self.pooling, self._device)
        part._share_vectors(self._vectors, self._numbers[rows])
        return part

    def take(self, indices: Any, axis: int = 0, **kwargs: Any) -> EncodedDocuments:
        """Documents by position: what `numpy.take` asks for.

        Parameters
        ----------
        indices : array-like of int
        axis : 0
        **kwargs
            Ignored.

        Returns
        -------
        EncodedDocuments
        """
        if axis != 0:
            raise IndexError("EncodedDocuments can be indexed by document alone.")
        return self[np.asarray(indices, dtype=np.intp)]

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return np  # which scikit-learn asks for with array_api_dispatch=True

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(
                "EncodedDocuments become an array by being run through a network: that cannot be "
                "had without a copy."
            )
        return self.features().astype(dtype or np.float32, copy=False)

    def features(self, device: Any = None) -> np.ndarray:
        """Pool the encoder's outputs over every document (paper section 3.3).

        Parameters
        ----------
        device : str or torch.device, default=None
            Where to compute what is not known yet; that of the documents if None.

        Returns
        -------
        ndarray of shape (n_documents, n_features), float32
            For every direction of the language model ``[h_T, max, mean]``, or what `pooling`
            names.
        """
        keys = [(self.pooling, int(number)) for number in self._numbers]
        rows = [row for row, key in enumerate(keys) if key not in self._vectors]
        if rows or not keys:
            device = resolve_device(self._device if device is None else device)
            tokens = self.tokens.take(np.array(rows, dtype=np.int64))
            computed = self.language_model.pooled(tokens, self.pooling, device)
            self._vectors.update(
                (keys[row], vector) for row, vector in zip(rows, computed, strict=True)
            )
        return np.stack([self._vectors[key] for key in keys])

    def __repr__(self) -> str:
        return (
            f"<EncodedDocuments: {len(self)} documents, {len(self.tokens.ids)} tokens, "
            f"{' and '.join(self.language_model.directions)}>"
        )
