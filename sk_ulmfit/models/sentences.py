"""What a language model has learned of the meaning of texts, as plain data."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from ..modules import AWDLSTM, pooled_size
from ..modules.awd_lstm import EncoderSizes
from ..text.bag_of_words import mean_vectors, unit_rows
from ..text.token_lists import TokenLists
from ..text.vocabulary import Vocabulary
from .networks import checked_weights

# The pools that are mapped, and that stand beside the vectors.
POOLING = "concat-layers"

# Length of a text's vector among the features, at which C=1 of a logistic regression is about what
# cross-validation chooses.
GAIN = np.float32(3.0)

# Smallest deviation of a unit's pools, as a share of the median of all units'.
_LEAST_DEVIATION = np.float32(0.3)


def pools_of(pooling: str) -> str:
    """Which pools are meant: "sentences" are those that vectors of texts stand beside."""
    return POOLING if pooling == "sentences" else pooling


class SentenceVectors:
    """Vectors of texts that agree with those of a teacher, and the scales of the pools.

    A text's vector is the weighted mean of its words' vectors, plus what a linear map reads off the
    scaled pools of every direction (their mean, if there are two), at length 1. The pools are those
    of the language model's encoder, or of one with other LSTM layers above the same embedding,
    which have learned from the teacher too.

    Parameters
    ----------
    arrays : dict of str to ndarray
        ``words`` (n_words, size), of the vocabulary and of the lexicon behind it, ``weights``
        (n_words,) of the words in the mean, and ``offset`` (size,): none of the three where nothing
        was learned from a teacher. For every
        direction ``DIRECTION.mean`` and ``DIRECTION.scale`` (pooled size,), ``DIRECTION.map``
        (pooled size, size) and, if the LSTM layers are others, ``DIRECTION.encoder.layers.*``.
    """

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays = arrays

    @classmethod
    def plain(cls, directions: tuple[str, ...], sizes: EncoderSizes) -> SentenceVectors:
        """What a model has that has learned nothing of texts: pools are taken as they are."""
        pooled = pooled_size(POOLING, sizes)
        values = {"mean": np.zeros(pooled, np.float32), "scale": np.ones(pooled, np.float32)}
        return cls({f"{d}.{name}": array for d in directions for name, array in values.items()})

    @classmethod
    def checked(
        cls,
        arrays: dict[str, np.ndarray],
        directions: tuple[str, ...],
        sizes: EncoderSizes,
        n_words: int,
    ) -> SentenceVectors | None:
        """Refuse arrays of a file that do not fit a language model; none are None."""
        if not arrays:
            return None
        expected = cls(arrays).expected(directions, sizes, n_words)
        network = SimpleNamespace(state_dict=lambda: expected)
        # (half the memory, and the same bytes when saved again)
        return cls(checked_weights(arrays, lambda: network, half_precision=["words"]))

    @property
    def size(self) -> int:
        """Length of a text's vector; 0 where nothing was learned from a teacher."""
        return len(self.arrays["offset"]) if "offset" in self.arrays else 0

    @property
    def rare_weight(self) -> float:
        """What a rare word weighs in the mean: vocabularies are in order of frequency."""
        weights = self.arrays["weights"]
        return float(np.median(weights[-len(weights) // 6 :]))

    def expected(
        self, directions: tuple[str, ...], sizes: EncoderSizes, n_words: int
    ) -> dict[str, Any]:
        """Arrays of the right shapes for a language model, without data, by name."""
        pooled, size = pooled_size(POOLING, sizes), self.size
        shapes: dict[str, tuple[int, ...]] = {}
        for direction in directions:
            shapes |= {f"{direction}.mean": (pooled,), f"{direction}.scale": (pooled,)}
            shapes |= {f"{direction}.map": (pooled, size)} if size else {}
            if self.layers(direction):
                with torch.device("meta"):
                    state = AWDLSTM(sizes).state_dict()
                shapes |= {
                    f"{direction}.encoder.{name}": tuple(tensor.shape)
                    for name, tensor in state.items()
                    if name.startswith("layers.")
                }
        if size:
            shapes |= {"words": (n_words, size), "weights": (n_words,), "offset": (size,)}
        return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}

    def pool_scales(self, direction: str) -> tuple[np.ndarray, np.ndarray]:
        """Means and deviations that pools are standardised by, each of shape (pooled size,).

        A unit that hardly ever moves in the texts that it was scaled by may do so after some
        training: none counts as having moved less than a share of what others do.
        """
        mean, scale = (self.arrays[f"{direction}.{name}"] for name in ("mean", "scale"))
        return mean, np.maximum(scale, _LEAST_DEVIATION * np.median(scale))

    def scaled(self, direction: str, pools: np.ndarray) -> np.ndarray:
        """Bring pools of shape (n, pooled size) to rows of about length 1."""
        mean, scale = self.pool_scales(direction)
        return (pools - mean) / (scale * np.sqrt(np.float32(len(mean))))

    def layers(self, direction: str) -> dict[str, np.ndarray]:
        """LSTM layers whose pools are mapped, if they are others; named as in `LanguageModel`."""
        prefix = f"{direction}."
        return {
            name.removeprefix(prefix): array
            for name, array in self.arrays.items()
            if name.startswith(f"{prefix}encoder.layers.")
        }

    def vectors(self, tokens: TokenLists, pools: dict[str, np.ndarray]) -> np.ndarray:
        """Vectors of texts.

        Parameters
        ----------
        tokens : TokenLists
        pools : dict of str to ndarray of shape (n, pooled size)
            By direction, of the layers that are for it.

        Returns
        -------
        ndarray of shape (n, size), float32
            Rows of length 1.
        """
        vectors = self.word_vectors(tokens)
        for name, pooled in pools.items():
            vectors += self.scaled(name, pooled) @ self.arrays[f"{name}.map"] / len(pools)
        return unit_rows(vectors)

    def word_vectors(self, tokens: TokenLists) -> np.ndarray:
        """What the words of texts add to their vectors, shape (n_documents, size)."""
        means = mean_vectors(tokens, self.arrays["words"], self.arrays["weights"])
        return means + self.arrays["offset"]

    def with_vocabulary(
        self, vocab: Vocabulary, known: Vocabulary, n_spelled: int
    ) -> SentenceVectors:
        """Carry the words over to another vocabulary.

        A new word's vector is made of what its character n-grams have in common in the words that
        are known (Bojanowski et al. 2017 learn such vectors), at the length that these have.

        Parameters
        ----------
        vocab : Vocabulary
            With the words of the lexicon.
        known : Vocabulary
            The one that the words are of.
        n_spelled : int
            How many of these, from the first, tell by their spelling what others mean.

        Returns
        -------
        SentenceVectors
        """
        rows = vocab.rows_in(known)
        new = np.flatnonzero(rows < 0)
        if not self.size or vocab == known:
            return self
        words, weights = self.arrays["words"][rows], self.arrays["weights"][rows]
        if len(new):
            vectors = self.arrays["words"][:n_spelled].astype(np.float32)
            mean = vectors.mean(axis=0)
            spelled = _from_spelling(
                [vocab.tokens[i] for i in new], known.tokens[:n_spelled], vectors - mean
            )
            words[new] = mean + spelled
            weights[new] = self.rare_weight
        return SentenceVectors({**self.arrays, "words": words, "weights": weights})

    def widened(self, words: np.ndarray, offset: np.ndarray) -> SentenceVectors:
        """Make vectors longer.

        Parameters
        ----------
        words : ndarray of shape (n_words, wider)
        offset : ndarray of shape (wider,)
            What the new entries begin with, the last ones of either. Of pools they are zeros.
        """
        longer = {"words": words, "offset": offset}
        for name, array in self.arrays.items():
            if name.endswith(".map"):
                longer[name] = np.zeros((len(array), len(offset)), array.dtype)
        return SentenceVectors(
            {
                name: np.concatenate([array, longer[name][..., self.size :]], axis=-1)
                if name in longer
                else array
                for name, array in self.arrays.items()
            }
        )

    def with_directions(self, directions: tuple[str, ...]) -> SentenceVectors:
        """Keep only what belongs to some of the directions."""
        kept = {
            name: array
            for name, array in self.arrays.items()
            if "." not in name or name.partition(".")[0] in directions
        }
        return self if len(kept) == len(self.arrays) else SentenceVectors(kept)


_NGRAMS = HashingVectorizer(
    analyzer="char_wb", ngram_range=(3, 5), n_features=1 << 16, alternate_sign=False, norm=None
)


@lru_cache(maxsize=1)
def _ngrams_of(known: tuple[str, ...]) -> sparse.csr_matrix:
    """Which character n-grams words have: it takes a second, and is asked anew by every fit."""
    found = _NGRAMS.transform(known)
    found.data[:] = 1.0
    return found


def _from_spelling(new: list[str], known: tuple[str, ...], vectors: np.ndarray) -> np.ndarray:
    """Vectors of words by their character n-grams, shape (len(new), size)."""
    found = _ngrams_of(known)
    # Shrunk means: an n-gram of many unlike words says little, one of a single word half of it.
    means = (found.T @ vectors) / (np.asarray(found.sum(axis=0)).T + 1.0)
    spelled = _NGRAMS.transform(new) @ means
    length = np.linalg.norm(vectors, axis=1).mean()
    return spelled * (length / (np.linalg.norm(spelled, axis=1, keepdims=True) + 1e-9))


def scales(direction: str, pools: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and deviation of pools, named as in `SentenceVectors`."""
    deviation = pools.std(axis=0)
    deviation[deviation < 1e-6] = 1.0
    return {f"{direction}.mean": pools.mean(axis=0), f"{direction}.scale": deviation}
