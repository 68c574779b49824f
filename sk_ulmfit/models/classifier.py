"""A trained classifier as plain data that answers: what was fitted on a language model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp

from ..modules import TextClassifier
from ..text.token_lists import TokenLists
from .inference import head_logits, pooled_vectors, predict_logits
from .language_model import ENCODER_PREFIX, TrainedLanguageModel
from .networks import (
    Answering,
    Weights,
    check_size,
    checked_weights,
    empty_module,
    joined,
    load_arrays,
    parted,
)
from .sentences import pools_of
from .words import WordTerm


@dataclass(frozen=True, eq=False, repr=False)
class TrainedClassifier(Answering):
    """What a fitted classifier consists of, and what it can be asked.

    It never changes: `dataclasses.replace` makes others.

    Parameters
    ----------
    language_model : TrainedLanguageModel
        The one that training began with; it gives tokenizer and sizes.
    classes : ndarray
        The classes, in the order of the logits.
    multilabel : bool
    head_sizes : tuple of int
    pooling : str
        "sentences" are the pools that a language model's vectors of texts are made of, and these
        vectors beside them.
    weights : dict of str to dict of str to ndarray
        For each direction the state dict of a `TextClassifier`; empty before training.
    temperature : float
        What logits are divided by before they become probabilities.
    solved : dict of str to dict
        For each direction whose head began at the solution of a regression, what was chosen there.
        The head keeps the scale that it was solved at.
    words : dict of str to WordTerm
        For each direction what words add to its logits, if anything.
    linear_share : float
        How much of the log-probabilities is those of a linear model on the language model as it
        was: 1 if this classifier is one.
    beside : TrainedClassifier or None
        The linear model, of a classifier that is none and has a share of one.
    """

    language_model: TrainedLanguageModel
    classes: np.ndarray
    multilabel: bool
    head_sizes: tuple[int, ...]
    pooling: str
    weights: dict[str, Weights] = field(default_factory=dict)
    temperature: float = 1.0
    solved: dict[str, dict[str, float]] = field(default_factory=dict)
    words: dict[str, WordTerm] = field(default_factory=dict)
    linear_share: float = 0.0
    beside: TrainedClassifier | None = None

    def module(self, direction: str, bptt: int) -> TextClassifier:
        """Build the network of one direction for predictions."""
        module = self.empty_module(direction, bptt)
        load_arrays(module, self.weights[direction])
        return module

    def empty_module(
        self, direction: str, bptt: int, used: np.ndarray | None = None, **dropouts: Any
    ) -> TextClassifier:
        """Build the network of one direction without its weights.

        Parameters
        ----------
        direction : {"forward", "backward"}
        bptt : int
        used : ndarray of int64, default=None
            The tokens that it has embeddings of; None: all.
        **dropouts
            Of `TextClassifier`.
        """
        sizes = self.language_model.sizes
        token_weights = self.language_model.token_weights(direction)
        if used is not None:
            sizes = replace(sizes, vocab_size=len(used))
            token_weights = token_weights[torch.from_numpy(used)]
        module: TextClassifier = empty_module(
            TextClassifier,
            sizes,
            len(self.classes),
            bptt=bptt,
            **self._head,
            **dropouts,
        )
        module.token_weights = token_weights
        if direction in self.solved:
            module.head.keep_scale()
        return module

    @property
    def n_meaning(self) -> int:
        """Length of the vector of a text's meaning that heads are given beside the pools."""
        sentences = self.language_model.sentences
        return sentences.size if self.pooling == "sentences" and sentences is not None else 0

    @property
    def pools(self) -> str:
        """What is pooled."""
        return pools_of(self.pooling)

    @property
    def _head(self) -> dict[str, Any]:
        """What a `TextClassifier` is to know of its head."""
        return {"head_sizes": self.head_sizes, "pooling": self.pools, "n_meaning": self.n_meaning}

    @property
    def reader(self) -> TrainedLanguageModel:
        """Whose encoder the networks begin with: that of the meaning, if heads are given one."""
        return self.language_model.reader if self.n_meaning else self.language_model

    @cached_property
    def is_linear(self) -> bool:
        """Whether all encoders are still the reader's, so that a text is read once for all."""
        if self.linear_share != 1 or self.weights.keys() != self.reader.weights.keys():
            return False
        return all(
            np.array_equal(array, self.weights[direction][name])
            for direction in self.weights
            for name, array in self.reader.encoder_weights(direction).items()
        )

    def meanings(
        self,
        tokens: TokenLists,
        device: torch.device,
        pools: dict[str, np.ndarray] | None = None,
    ) -> np.ndarray | None:
        """Vectors of what texts mean, if heads are given these.

        Parameters
        ----------
        tokens : TokenLists
        device : torch.device
        pools : dict of str to ndarray, default=None
            Of the `reader`, by direction, if they are known.
        """
        sentences = self.language_model.sentences
        if not self.n_meaning or sentences is None:
            return None
        return sentences.vectors(tokens, pools or self.reader.pools(tokens, self.pools, device))

    def logits(self, tokens: TokenLists, device: torch.device, bptt: int) -> list[np.ndarray]:
        """Logits by the network of each direction, and by the one beside it.

        Parameters
        ----------
        tokens : TokenLists
        device : torch.device
        bptt : int
            Number of tokens of a text that are computed at once.

        Returns
        -------
        list of ndarray of shape (n_documents, n_outputs), float32
        """
        found = []
        networks = self._networks(device, bptt=bptt)
        read = {d: tokens.reversed() if d == "backward" else tokens for d in networks}
        pools = None
        if self.is_linear:
            pools = {d: pooled_vectors(module, read[d], device) for d, module in networks.items()}
        meanings = self.meanings(tokens, device, pools)
        for direction, module in networks.items():
            if pools is None:
                logits = predict_logits(module, read[direction], device, meanings)
            else:
                logits = head_logits(module, pools[direction], device, meanings)
            if direction in self.words:
                logits += self.words[direction].logits(tokens)
            found.append(logits)
        if self.beside is None:
            return found
        # (it may have directions that an interrupt did not let the network begin)
        its = dict(zip(self.beside.weights, self.beside.logits(tokens, device, bptt), strict=True))
        pairs = zip(self.weights, found, strict=True)
        return [mixed(own, its[direction], self.mixture) for direction, own in pairs]

    @property
    def mixture(self) -> tuple[float, float]:
        """What the own logits are multiplied by, and those of the linear model beside."""
        assert self.beside is not None
        share = self.linear_share
        return 1 - share, share * self.temperature / self.beside.temperature

    def at_temperature(self, temperature: float) -> TrainedClassifier:
        """Divide all logits by another temperature."""
        changed = replace(self, temperature=temperature)
        if self.beside is None:
            return changed
        its = self.beside.temperature * temperature / self.temperature
        return replace(changed, beside=replace(self.beside, temperature=its))

    def log_probabilities(self, tokens: TokenLists, device: torch.device, bptt: int) -> np.ndarray:
        """Logarithms of the probabilities, which are averaged over the directions.

        Parameters
        ----------
        tokens, device, bptt
            As for `logits`.

        Returns
        -------
        ndarray of shape (n_documents, n_outputs), float64
        """
        logits = self.logits(tokens, device, bptt)
        return log_probabilities(logits, self.temperature, self.multilabel)

    def log_odds(self, tokens: TokenLists, device: torch.device, bptt: int) -> np.ndarray:
        """Logarithms of the classes' probabilities, or of the odds of the labels (multilabel).

        Parameters
        ----------
        tokens, device, bptt
            As for `logits`.

        Returns
        -------
        ndarray of shape (n_documents, n_outputs), float64
        """
        logits = self.logits(tokens, device, bptt)
        there = log_probabilities(logits, self.temperature, self.multilabel)
        if not self.multilabel:
            return there
        return there - log_probabilities([-one for one in logits], self.temperature, True)

    def with_directions(self, directions: Iterable[str]) -> TrainedClassifier:
        """Keep only what belongs to some of the directions."""
        kept: dict[str, Any] = {
            name: {d: getattr(self, name)[d] for d in directions if d in getattr(self, name)}
            for name in ("weights", "solved", "words")
        }
        return replace(self, **kept)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Describe the classifier by a JSON-able dict and named arrays."""
        language_model, arrays = self.language_model.to_parts()
        # JSON has no dates; numpy reads them from strings.
        classes = self.classes.astype(str) if self.classes.dtype.kind == "M" else self.classes
        own, own_arrays = self._own_parts()
        if self.is_linear:
            own_arrays = _without_encoders(own_arrays)
        description = {
            "language_model": language_model,
            "classes": classes.tolist(),
            "classes_dtype": self.classes.dtype.str,
            "multilabel": self.multilabel,
            **own,
        }
        if self.beside is not None:
            its, its_arrays = self.beside._own_parts()
            description["beside"] = its
            for name, array in _without_encoders(its_arrays).items():
                own_arrays[f"beside/{name}"] = array
        return description, {**joined({"language_model": arrays}), **own_arrays}

    def _own_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What is no other part's."""
        words = {f"words-{direction}": vars(term) for direction, term in self.words.items()}
        description = {
            "head_sizes": list(self.head_sizes),
            "pooling": self.pooling,
            "temperature": self.temperature,
            "solved": self.solved,
            "linear_share": self.linear_share,
        }
        return description, joined({**self.weights, **words})

    @classmethod
    def from_parts(
        cls, description: dict[str, Any], arrays: dict[str, np.ndarray]
    ) -> TrainedClassifier:
        """Undo `to_parts`."""
        parts = parted(arrays)
        language_model = TrainedLanguageModel.from_parts(
            description["language_model"], parts.pop("language_model", {})
        )
        classes = _classes_of(description["classes"], description["classes_dtype"])
        multilabel = description["multilabel"]
        if type(multilabel) is not bool:
            raise ValueError(f"multilabel cannot be {multilabel!r:.80}.")
        bare = cls(language_model, classes, multilabel, (), "")
        of_beside = parted(parts.pop("beside", {}))
        own = bare._with_parts(description, parts)
        if "beside" not in description:
            return own
        beside = bare._with_parts(description["beside"], of_beside)
        if not own.weights.keys() <= beside.weights.keys():
            raise ValueError(f"A linear model cannot be of {[*beside.weights]!r:.80}.")
        return replace(own, beside=beside)

    def _with_parts(
        self, description: dict[str, Any], parts: dict[str, Weights]
    ) -> TrainedClassifier:
        """Add what `_own_parts` gave, having checked that it fits."""
        language_model, n_classes = self.language_model, len(self.classes)
        head_sizes, pooling = description["head_sizes"], description["pooling"]
        n_arrays = sum(map(len, parts.values()))
        if type(head_sizes) is not list or len(head_sizes) > n_arrays:
            raise ValueError(f"head_sizes cannot be {head_sizes!r:.80}.")
        shapes = [array.shape for arrays in parts.values() for array in arrays.values()]
        for size in head_sizes:
            check_size("head_sizes", size, max(max(shape, default=0) for shape in shapes))
        temperature = description.get("temperature", 1.0)  # the first models had none
        if type(temperature) not in (int, float) or not 1e-6 <= temperature <= 1e6:
            raise ValueError(f"The temperature cannot be {temperature!r:.80}.")
        share = description.get("linear_share", 0.0)
        if type(share) not in (int, float) or not 0 <= share <= 1:
            raise ValueError(f"The share of a linear model cannot be {share!r:.80}.")
        words = {}
        for direction in language_model.directions:
            if of_words := parts.pop(f"words-{direction}", {}):
                words[direction] = WordTerm(**of_words)
                words[direction].check(len(language_model.tokenizer.vocab), n_classes)
        solved = description.get("solved", {})
        if type(solved) is not dict or not words.keys() <= solved.keys() <= parts.keys():
            raise ValueError(f"What was solved for cannot be {solved!r:.80}.")
        if not parts or not parts.keys() <= language_model.weights.keys():
            raise ValueError(f"There are weights of the directions {[*parts]!r:.80}.")
        bare = replace(self, head_sizes=tuple(head_sizes), pooling=pooling)
        if share == 1:  # (older files of such a model hold encoders)
            for direction, arrays in parts.items():
                if not any(name.startswith(ENCODER_PREFIX) for name in arrays):
                    arrays.update(bare.reader.encoder_weights(direction))
        sizes = language_model.sizes
        weights = {
            d: checked_weights(parts[d], TextClassifier, sizes, n_classes, bptt=1, **bare._head)
            for d in language_model.directions  # (a file has them in any order)
            if d in parts
        }
        return replace(
            bare,
            weights=weights,
            temperature=float(temperature),
            solved=solved,
            words=words,
            linear_share=float(share),
        )


def _without_encoders(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What of a linear model is its own: its encoders are the language model's."""
    return {
        name: array
        for name, array in arrays.items()
        if not name.partition("/")[2].startswith(ENCODER_PREFIX)
    }


def _classes_of(labels: Any, dtype: Any) -> np.ndarray:
    """Turn labels of a file into classes, which are in order and all different."""
    if type(labels) is not list or not labels or not isinstance(dtype, str):
        raise ValueError(f"The classes cannot be {labels!r:.80}.")
    given = np.dtype(dtype)
    if given.kind not in "biufUM":
        raise ValueError(f"The type of the classes cannot be {dtype!r:.80}.")
    # (of whole numbers beyond 63 bits numpy would make floats)
    classes = np.array(labels, dtype=given if given.kind == "u" else None)
    if not (given.kind == classes.dtype.kind == "U" and given.itemsize > 16 * classes.itemsize):
        # (not where the type is far wider than the longest label: of that width would be each)
        classes = classes.astype(given)
    restored = classes.astype(str) if given.kind == "M" else classes
    in_order = classes.ndim == 1 and (classes[:-1] < classes[1:]).all()
    if restored.tolist() != labels or not in_order or (classes != classes).any():
        raise ValueError(f"The classes cannot be {labels!r:.80}.")
    return classes


def mixed(own: np.ndarray, its: np.ndarray, shares: tuple[float, float]) -> np.ndarray:
    """Logits of two models as one: their weighted sum is a mean of log-probabilities.

    Parameters
    ----------
    own, its : ndarray of shape (n, n_outputs), float32
    shares : tuple of float
        What both are multiplied by.
    """
    own_share, its_share = map(np.float32, shares)
    return np.asarray(own_share * own + its_share * its)


def log_probabilities(
    logits: Sequence[np.ndarray], temperature: float, multilabel: bool
) -> np.ndarray:
    """Logarithm of the average of the probabilities that several networks give.

    Parameters
    ----------
    logits : sequence of ndarray of shape (n, n_outputs)
        Of each network.
    temperature : float
        What logits are divided by.
    multilabel : bool
        Every output is a label of its own.

    Returns
    -------
    ndarray of shape (n, n_outputs), float64
        In float32 probabilities would sum to 1 for a network, but not for scikit-learn.
    """
    scaled = np.stack(logits).astype(np.float64) / temperature
    log_p = -np.logaddexp(0.0, -scaled) if multilabel else log_softmax(scaled, axis=2)
    averaged: np.ndarray = logsumexp(log_p, axis=0) - np.log(len(logits))
    return averaged
