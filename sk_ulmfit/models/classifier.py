"""A trained classifier as plain data: what was fitted, apart from the language model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..modules import AWD_CLASSIFIER_DROPOUTS, TextClassifier
from .language_model import (
    TrainedLanguageModel,
    Weights,
    check_shapes,
    empty_module,
    is_size,
    load_arrays,
    to_arrays,
)

# Dropout before the last layer of the head, in the authors' scripts.
HEAD_DROPOUT = 0.1


@dataclass
class TrainedClassifier:
    """What a fitted classifier consists of.

    Parameters
    ----------
    language_model : TrainedLanguageModel
        The one that training began with; it gives tokenizer and sizes.
    classes : ndarray
        The classes, in the order of the logits.
    multilabel : bool
    head_sizes : tuple of int
    pooling : str
    weights : dict of str to dict of str to ndarray
        For each direction the state dict of a `TextClassifier`; empty before training.
    temperature : float
        What logits are divided by before they become probabilities.
    """

    language_model: TrainedLanguageModel
    classes: np.ndarray
    multilabel: bool
    head_sizes: tuple[int, ...]
    pooling: str
    weights: dict[str, Weights] = field(default_factory=dict)
    temperature: float = 1.0

    def module(self, direction: str, bptt: int) -> TextClassifier:
        """Build the network of one direction for predictions."""
        module = self._empty(direction, bptt)
        load_arrays(module, self.weights[direction])
        return module

    def training_module(
        self, direction: str, *, bptt: int, dropout_mult: float, seed: int
    ) -> TextClassifier:
        """Build the network of one direction for training.

        Without weights of its own it is the language model's encoder under a head of random
        weights.
        """
        dropouts = AWD_CLASSIFIER_DROPOUTS.scaled(dropout_mult)
        head_dropout = min(HEAD_DROPOUT * dropout_mult, 0.95)
        module = self._empty(direction, bptt, dropouts=dropouts, head_dropout=head_dropout)
        if direction in self.weights:
            load_arrays(module, self.weights[direction])
        else:
            module.head.reset_parameters(torch.Generator().manual_seed(seed))
            encoder = self.language_model.encoder_weights(direction)
            load_arrays(module, {**to_arrays(module), **encoder})
        return module

    def _empty(self, direction: str, bptt: int, **kwargs: Any) -> TextClassifier:
        module: TextClassifier = empty_module(
            TextClassifier,
            self.language_model.sizes,
            len(self.classes),
            head_sizes=self.head_sizes,
            pooling=self.pooling,
            bptt=bptt,
            **kwargs,
        )
        module.token_weights = self.language_model.token_weights(direction)
        return module

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Describe the classifier by a JSON-able dict and named arrays."""
        language_model, arrays = self.language_model.to_parts()
        arrays = {f"language_model/{name}": array for name, array in arrays.items()}
        for direction, weights in self.weights.items():
            arrays.update({f"{direction}/{name}": array for name, array in weights.items()})
        # JSON has no dates; numpy reads them from strings.
        classes = self.classes.astype(str) if self.classes.dtype.kind == "M" else self.classes
        description = {
            "language_model": language_model,
            "classes": classes.tolist(),
            "classes_dtype": self.classes.dtype.str,
            "multilabel": self.multilabel,
            "head_sizes": list(self.head_sizes),
            "pooling": self.pooling,
            "temperature": self.temperature,
        }
        return description, arrays

    @classmethod
    def from_parts(
        cls, description: dict[str, Any], arrays: dict[str, np.ndarray]
    ) -> TrainedClassifier:
        """Undo `to_parts`."""
        weights: dict[str, Weights] = {}
        of_language_model: Weights = {}
        for key, array in arrays.items():
            part, _, name = key.partition("/")
            if part == "language_model":
                of_language_model[name] = array
            else:
                weights.setdefault(part, {})[name] = array
        model = cls(
            TrainedLanguageModel.from_parts(description["language_model"], of_language_model),
            np.array(description["classes"], dtype=description["classes_dtype"]),
            description["multilabel"],
            tuple(description["head_sizes"]),
            description["pooling"],
            weights,
            description.get("temperature", 1.0),  # the first models had none
        )
        if not all(map(is_size, model.head_sizes)):
            raise ValueError(f"head_sizes cannot be {model.head_sizes!r:.80}.")
        if not 0 < model.temperature < np.inf:
            raise ValueError(f"The temperature cannot be {model.temperature!r:.80}.")
        for direction, own in weights.items():
            check_shapes(own, model._empty(direction, bptt=1).state_dict())
        return model
