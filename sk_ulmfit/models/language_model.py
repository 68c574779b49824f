"""A trained language model as plain data: tokenizer, sizes and weights."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from ..modules import LanguageModel, rarity
from ..modules.awd_lstm import EncoderSizes
from ..modules.dropout import Dropouts
from ..text.token_lists import TokenLists
from ..text.tokenizers import Tokenizer, tokenizer_from_dict

# How every weight's name starts that belongs to the encoder, not to the softmax.
ENCODER_PREFIX = "encoder."

# Tokens that are counted at once: the ids may be a memory map larger than memory.
_AT_ONCE = 10_000_000

# The state dict of one network.
Weights = dict[str, np.ndarray]


class TrainedLanguageModel:
    """What a fitted language model consists of.

    It is what pretrained models are loaded as, what encoded documents carry with them, and what
    `ULMFiTLanguageModel` keeps. The weights are numpy arrays: they pickle without torch's device
    and storage, and equal weights hash equal.

    Parameters
    ----------
    tokenizer : Tokenizer
        Fitted.
    emb_size, hidden_size, n_layers : int
        Sizes of the AWD-LSTM.
    weights : dict of str to dict of str to ndarray
        For each direction (``"forward"``, ``"backward"``) the state dict of a `LanguageModel`.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        emb_size: int,
        hidden_size: int,
        n_layers: int,
        weights: dict[str, Weights],
    ):
        self.tokenizer = tokenizer
        self.emb_size = emb_size
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.weights = weights

    @classmethod
    def random(
        cls, tokenizer: Tokenizer, directions: tuple[str, ...], seed: int, **sizes: int
    ) -> TrainedLanguageModel:
        """Draw the weights of an untrained model.

        Parameters
        ----------
        tokenizer : Tokenizer
        directions : tuple of str
        seed : int
        **sizes
            `emb_size`, `hidden_size` and `n_layers`.
        """
        model = cls(tokenizer, weights={}, **sizes)
        for n, direction in enumerate(directions):
            module = empty_module(LanguageModel, model.sizes)
            module.reset_parameters(torch.Generator().manual_seed(seed + n))
            model.weights[direction] = to_arrays(module)
        return model

    @property
    def directions(self) -> tuple[str, ...]:
        """Reading directions that there are weights for."""
        return tuple(self.weights)

    @property
    def sizes(self) -> EncoderSizes:
        """Sizes of the encoder."""
        return EncoderSizes(
            len(self.tokenizer.vocab), self.emb_size, self.hidden_size, self.n_layers
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of vocabulary and weights: equal only for the same language model."""
        if not hasattr(self, "_fingerprint"):
            digest = hashlib.sha256(
                "\n".join(self.tokenizer.vocab.tokens).encode("utf-8", "surrogatepass")
            )
            for direction, arrays in sorted(self.weights.items()):
                for name, array in sorted(arrays.items()):
                    digest.update(f"{direction} {name} {array.shape}".encode())
                    digest.update(np.ascontiguousarray(array).data)
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def module(self, direction: str, dropouts: Dropouts | None = None) -> LanguageModel:
        """Build the network of one direction. Its weights are copies.

        Parameters
        ----------
        direction : {"forward", "backward"}
            One of `directions`.
        dropouts : Dropouts or None, default=None
            Dropout probabilities for a training; none if None.

        Returns
        -------
        torch.nn.Module
        """
        module = empty_module(LanguageModel, self.sizes, dropouts)
        load_arrays(module, self.weights[direction])
        return module

    def encoder_weights(self, direction: str) -> dict[str, np.ndarray]:
        """Weights of the encoder alone, named as in `TextClassifier`.

        Parameters
        ----------
        direction : {"forward", "backward"}
            One of `directions`.

        Returns
        -------
        dict of str to ndarray
        """
        return {
            name: array
            for name, array in self.weights[direction].items()
            if name.startswith(ENCODER_PREFIX)
        }

    def token_weights(self, direction: str) -> torch.Tensor:
        """How much every token counts in a mean weighted by rarity.

        Parameters
        ----------
        direction : {"forward", "backward"}
            One of `directions`.

        Returns
        -------
        torch.Tensor of shape (n_vocabulary,)
        """
        return rarity(torch.from_numpy(self.weights[direction]["bias"].copy()))

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Describe the model by a JSON-able dict and named arrays."""
        description = {
            "tokenizer": self.tokenizer.to_dict(),
            "emb_size": self.emb_size,
            "hidden_size": self.hidden_size,
            "n_layers": self.n_layers,
            "directions": list(self.directions),
        }
        arrays = {
            f"{direction}/{name}": array
            for direction, weights in self.weights.items()
            for name, array in weights.items()
        }
        return description, arrays

    @classmethod
    def from_parts(
        cls, description: dict[str, Any], arrays: dict[str, np.ndarray]
    ) -> TrainedLanguageModel:
        """Undo `to_parts`.

        Parameters
        ----------
        description : dict
        arrays : dict of str to ndarray

        Returns
        -------
        TrainedLanguageModel

        Raises
        ------
        ValueError
            If the arrays are not of the sizes that are described.
        """
        weights: dict[str, Weights] = {direction: {} for direction in description["directions"]}
        for key, array in arrays.items():
            direction, _, name = key.partition("/")
            # Shipped models are in half precision on disk.
            weights[direction][name] = array.astype(np.float32, copy=False)
        model = cls(
            tokenizer_from_dict(description["tokenizer"]),
            emb_size=description["emb_size"],
            hidden_size=description["hidden_size"],
            n_layers=description["n_layers"],
            weights=weights,
        )
        # Every layer has weights: more of them than arrays would be built for nothing.
        limits = {"emb_size": LARGEST, "hidden_size": LARGEST, "n_layers": len(arrays)}
        for name, largest in limits.items():
            if not is_size(size := description[name], largest):
                raise ValueError(f"{name} cannot be {size!r:.80}.")
        with torch.device("meta"):
            expected = LanguageModel(model.sizes).state_dict()
        for arrays in weights.values():
            check_shapes(arrays, expected)
        return model

    def with_tokenizer(self, tokenizer: Tokenizer) -> TrainedLanguageModel:
        """Carry the weights over to another vocabulary (paper section 3.2).

        A token that is known keeps its embedding and its softmax bias; a new one begins with the
        means of all known.

        Parameters
        ----------
        tokenizer : Tokenizer
            Fitted.

        Returns
        -------
        TrainedLanguageModel
        """
        if tokenizer.vocab == self.tokenizer.vocab:
            return self._replaced(tokenizer, self.weights)
        rows = tokenizer.vocab.rows_in(self.tokenizer.vocab)
        weights = {}
        for direction, arrays in self.weights.items():
            weights[direction] = dict(arrays)
            for name in ("encoder.embedding", "bias"):
                known = arrays[name]
                mean = known.mean(axis=0, dtype=np.float64).astype(known.dtype)
                moved = known[rows]
                moved[rows < 0] = mean
                weights[direction][name] = moved
        return self._replaced(tokenizer, weights)

    def with_frequencies(self, documents: TokenLists) -> TrainedLanguageModel:
        """Set the softmax's bias to the logarithm of the tokens' frequencies.

        That is where training from a random start would bring it first, by many small steps.

        Parameters
        ----------
        documents : TokenLists
        """
        counts = np.ones(len(self.tokenizer.vocab))  # also for what does not occur
        for start in range(0, len(documents.ids), _AT_ONCE):
            counts += np.bincount(documents.ids[start : start + _AT_ONCE], minlength=len(counts))
        bias = np.log(counts / counts.sum()).astype(np.float32)
        weights = {name: {**arrays, "bias": bias.copy()} for name, arrays in self.weights.items()}
        return self.with_weights(weights)

    def with_weights(self, weights: dict[str, Weights]) -> TrainedLanguageModel:
        """Make the same model with other weights.

        Parameters
        ----------
        weights : dict of str to dict of str to ndarray
            For each direction a state dict.

        Returns
        -------
        TrainedLanguageModel
        """
        return self._replaced(self.tokenizer, weights)

    def with_directions(self, directions: tuple[str, ...]) -> TrainedLanguageModel:
        """Keep only some of the directions.

        Parameters
        ----------
        directions : tuple of {"forward", "backward"}

        Returns
        -------
        TrainedLanguageModel

        Raises
        ------
        ValueError
            If the model lacks one of them.
        """
        missing = [direction for direction in directions if direction not in self.weights]
        if missing:
            raise ValueError(
                f"The pretrained language model has no {missing[0]} direction, only "
                f"{' and '.join(self.directions)}. Set direction={self.directions[0]!r}, or train "
                "one with pretrained=None and the direction that you need."
            )
        return self._replaced(self.tokenizer, {name: self.weights[name] for name in directions})

    def _replaced(self, tokenizer: Tokenizer, weights: dict[str, Weights]) -> TrainedLanguageModel:
        return TrainedLanguageModel(
            tokenizer,
            emb_size=self.emb_size,
            hidden_size=self.hidden_size,
            n_layers=self.n_layers,
            weights=weights,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_fingerprint"}


def empty_module(factory: Any, *args: Any, **kwargs: Any) -> Any:
    """Build a module whose weights are not set yet.

    torch's constructors would draw them from the global random state, which is the user's. So is
    the default dtype, and the mode in which tensors can have no gradients.
    """
    with torch.inference_mode(False):
        with torch.device("meta"):
            module = factory(*args, **kwargs)
        return module.float().to_empty(device="cpu")


# No layer of a saved model is wider.
LARGEST = 1 << 31


def is_size(size: Any, largest: int = LARGEST) -> bool:
    """Tell whether `size`, read from a file, can be one of a network."""
    return isinstance(size, int) and 1 <= size <= largest


def check_shapes(arrays: dict[str, np.ndarray], expected: dict[str, torch.Tensor]) -> None:
    """Refuse weights that do not fit a network.

    Raises
    ------
    ValueError
    """
    found = {name: array.shape for name, array in arrays.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"The weights do not fit the sizes: {name} has shape {found.get(name)}, it should "
                f"be {wanted.get(name)}."
            )


def load_arrays(module: torch.nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Copy numpy arrays into a module's parameters and buffers."""
    tensors = {
        # torch warns of arrays that cannot be written to, as joblib maps them from files.
        name: torch.from_numpy(array if array.flags.writeable else array.copy())
        for name, array in arrays.items()
    }
    module.load_state_dict(tensors)


def to_arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Copy a module's parameters and buffers into numpy arrays."""
    return {
        name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()
    }
