"""A trained language model as plain data that answers: tokenizer, sizes and weights."""

from __future__ import annotations

import hashlib
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..modules import POOLINGS, LanguageModel, pooled_size, rarity
from ..modules.awd_lstm import EncoderSizes
from ..modules.dropout import Dropouts
from ..packing import unpacked
from ..text.token_lists import TokenLists
from ..text.tokenizers import Tokenizer, tokenizer_from_dict
from .inference import negative_log_likelihood, pooled_features
from .networks import (
    Answering,
    Weights,
    check_size,
    checked_weights,
    empty_module,
    joined,
    load_arrays,
    parted,
    to_arrays,
)
from .sentences import GAIN, POOLING, SentenceVectors, pools_of

# How every weight's name starts that belongs to the encoder, not to the softmax.
ENCODER_PREFIX = "encoder."

# Takes the place of a direction in the names of saved arrays.
_SENTENCES = "sentences"

# Time steps that are computed at once where a text is pooled.
_POOLED_AT_ONCE = 70


@dataclass(frozen=True, eq=False, repr=False)
class TrainedLanguageModel(Answering):
    """What a fitted language model consists of, and what it can be asked.

    It is what pretrained models are loaded as, what encoded documents carry with them, and what
    `ULMFiTLanguageModel` keeps. The weights are numpy arrays: they pickle without torch's device
    and storage, and equal weights hash equal. It never changes: ``with_tokenizer`` makes another.

    Parameters
    ----------
    tokenizer : Tokenizer
        Fitted.
    emb_size, hidden_size, n_layers : int
        Sizes of the AWD-LSTM.
    weights : dict of str to dict of str to ndarray
        For each direction (``"forward"``, ``"backward"``) the state dict of a `LanguageModel`.
    sentences : SentenceVectors or None, default=None
        What it has learned of the meaning of texts, if anything.
    """

    tokenizer: Tokenizer
    _: KW_ONLY
    emb_size: int
    hidden_size: int
    n_layers: int
    weights: dict[str, Weights]
    sentences: SentenceVectors | None = None

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
        model = cls(tokenizer, weights={}, sentences=None, **sizes)
        weights = {}
        for n, direction in enumerate(directions):
            module = empty_module(LanguageModel, model.sizes)
            module.reset_parameters(torch.Generator().manual_seed(seed + n))
            weights[direction] = to_arrays(module)
        return replace(model, weights=weights)

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

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of vocabulary and weights: equal only for the same language model."""
        digest = hashlib.sha256(
            "\n".join(self.tokenizer.words.tokens).encode("utf-8", "surrogatepass")
        )
        for direction, arrays in sorted(self._parts().items()):
            for name, array in sorted(arrays.items()):
                digest.update(f"{direction} {name} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def reads(self, other: TrainedLanguageModel) -> bool:
        """Tell whether documents that another model encoded are encoded as by this one.

        Parameters
        ----------
        other : TrainedLanguageModel

        Returns
        -------
        bool
        """
        # (the same object is known at once; a checksum is computed of all weights)
        return other is self or other.fingerprint == self.fingerprint

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

    def pooled(self, tokens: TokenLists, pooling: str, device: torch.device) -> np.ndarray:
        """Pool the encoder's outputs over every document (paper section 3.3).

        Parameters
        ----------
        tokens : TokenLists
        pooling : str
            A name of `POOLINGS`, or "sentences" for what the texts mean and scaled pools.
        device : torch.device

        Returns
        -------
        ndarray of shape (n_documents, n_features), float32
            The directions' side by side.
        """
        if pooling != "sentences":
            return np.hstack(list(self.pools(tokens, pooling, device).values()))
        sentences = self.sentences or SentenceVectors.plain(self.directions, self.sizes)
        pools = self.reader.pools(tokens, POOLING, device)
        features = [sentences.scaled(name, pooled) for name, pooled in pools.items()]
        if sentences.size:
            features.insert(0, sentences.vectors(tokens, pools))
        return GAIN * np.hstack(features)

    @property
    def reader(self) -> TrainedLanguageModel:
        """The model whose pools are features: this one, unless it has layers for that.

        Layers that have learned what texts mean are better at their form too.
        """
        return self._other_reader or self  # (keeping itself, it would outlive its last user)

    @cached_property
    def _other_reader(self) -> TrainedLanguageModel | None:
        of_reader = {d: self.sentences.layers(d) if self.sentences else {} for d in self.weights}
        if not any(of_reader.values()):
            return None
        return replace(self, weights={d: {**self.weights[d], **of_reader[d]} for d in of_reader})

    def pools(
        self, tokens: TokenLists, pooling: str, device: torch.device
    ) -> dict[str, np.ndarray]:
        """What the encoder of every direction makes of documents, shape (n, pooled size) each.

        Parameters
        ----------
        tokens : TokenLists
        pooling : str
            A name of `POOLINGS`.
        device : torch.device
        """
        return {
            direction: pooled_features(
                module.encoder,
                tokens.reversed() if direction == "backward" else tokens,
                device,
                token_weights=self.token_weights(direction),
                pooling=pooling,
                bptt=_POOLED_AT_ONCE,
            )
            for direction, module in self._networks(device).items()
        }

    def n_features(self, pooling: str) -> int:
        """Length of a document's vector, as `pooled` makes it.

        Parameters
        ----------
        pooling : str
            As in `pooled`.

        Returns
        -------
        int
        """
        return len(self.feature_names(pooling))

    def feature_names(self, pooling: str) -> list[str]:
        """Names of the entries of a document's vector, as `pooled` makes it.

        Parameters
        ----------
        pooling : str
            As in `pooled`.

        Returns
        -------
        list of str
        """
        size = self.sentences.size if pooling == "sentences" and self.sentences else 0
        pools = POOLINGS[pools_of(pooling)]
        width = pooled_size(pools_of(pooling), self.sizes) // len(pools)
        return [
            *(f"sentence_{i}" for i in range(size)),
            *(f"{d}_{pool}_{i}" for d in self.directions for pool in pools for i in range(width)),
        ]

    def nll(self, tokens: TokenLists, device: torch.device, bptt: int) -> tuple[float, int]:
        """Negative log-likelihood of documents, each read from its beginning, in all directions.

        Parameters
        ----------
        tokens : TokenLists
        device : torch.device
        bptt : int
            Number of tokens that are computed at once.

        Returns
        -------
        nll : float
            Total, in nats.
        n_tokens : int
            How many were predicted: every token but the first of a document, and its end.
        """
        end = self.tokenizer.vocab.bos_id
        totals = [
            negative_log_likelihood(
                module, tokens, device, eos_id=end, backward=direction == "backward", bptt=bptt
            )
            for direction, module in self._networks(device).items()
        ]
        return sum(nll for nll, _ in totals), sum(n for _, n in totals)

    def generate(
        self,
        ids: list[int],
        device: torch.device,
        *,
        max_tokens: int,
        temperature: float,
        random: np.random.RandomState,
    ) -> list[int]:
        """Let the forward language model write on, until it ends the text.

        Parameters
        ----------
        ids : list of int
            The tokens to go on from.
        device : torch.device
        max_tokens : int
            The most that it writes.
        temperature : float
            0 takes the likeliest token every time.
        random : numpy.random.RandomState

        Returns
        -------
        list of int
            `ids` and the new tokens.
        """
        module, vocab = self._network("forward", device), self.tokenizer.vocab
        written, chunk, state = list(ids), list(ids), None
        with torch.inference_mode():
            for _ in range(max_tokens):
                output = module(torch.tensor(chunk, device=device).unsqueeze(1), state)
                state = output.state
                scores = module.logits(output.hidden[-1, 0]).double().cpu().numpy()
                scores[vocab.unk_id] = -np.inf
                token = _draw(scores, temperature, random)
                if token == vocab.bos_id:  # which ends a document as well
                    break
                written.append(token)
                chunk = [token]
        return written

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
        return description, joined(self._parts())

    def _parts(self) -> dict[str, Weights]:
        """All arrays: the directions', and what was learned of texts."""
        sentences = {} if self.sentences is None else {_SENTENCES: self.sentences.arrays}
        return {**self.weights, **sentences}

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
        directions = description["directions"]
        known = {"forward", "backward"} & {*directions}
        if not directions or len(known) != len(directions):
            raise ValueError(f"The directions cannot be {directions!r:.80}.")
        parts = parted(unpacked(arrays))
        learned = parts.pop(_SENTENCES, {})
        if not parts.keys() <= known:
            raise ValueError(f"There are weights of the directions {[*parts]!r:.80}.")
        # Every width is one of an array's, and every layer has arrays.
        largest = max(max(array.shape, default=0) for array in arrays.values())
        for name in ("emb_size", "hidden_size"):
            check_size(name, description[name], largest)
        check_size("n_layers", description["n_layers"], len(arrays))
        model = cls(
            tokenizer_from_dict(description["tokenizer"]),
            emb_size=description["emb_size"],
            hidden_size=description["hidden_size"],
            n_layers=description["n_layers"],
            weights={},
        )
        weights = {
            direction: checked_weights(parts.get(direction, {}), LanguageModel, model.sizes)
            for direction in directions
        }
        sentences = SentenceVectors.checked(
            learned, tuple(weights), model.sizes, len(model.tokenizer.words)
        )
        return replace(model, weights=weights, sentences=sentences)

    def with_tokenizer(self, tokenizer: Tokenizer) -> TrainedLanguageModel:
        """Carry the weights over to another vocabulary (paper section 3.2).

        A token that is known keeps its embedding and its softmax bias; a new one begins with the
        means of all known. What it means is known of the lexicon's words, and guessed from its
        spelling otherwise, if the model has learned what texts mean.

        Parameters
        ----------
        tokenizer : Tokenizer
            Fitted.

        Returns
        -------
        TrainedLanguageModel
        """
        known = self.tokenizer
        if tokenizer.vocab == known.vocab and tokenizer.lexicon == known.lexicon:
            return replace(self, tokenizer=tokenizer)
        rows = tokenizer.vocab.rows_in(known.vocab)
        weights = {}
        for direction, arrays in self.weights.items():
            weights[direction] = dict(arrays)
            for name in ("encoder.embedding", "bias"):
                before = arrays[name]
                mean = before.mean(axis=0, dtype=np.float64).astype(before.dtype)
                moved = before[rows]
                moved[rows < 0] = mean
                weights[direction][name] = moved
        sentences = self.sentences and self.sentences.with_vocabulary(
            tokenizer.words, known.words, len(known.vocab)
        )
        return replace(self, tokenizer=tokenizer, weights=weights, sentences=sentences)

    def without_sentences(self) -> TrainedLanguageModel:
        """Forget what was learned of the meaning of texts, and words that only it knows."""
        return replace(self, tokenizer=self.tokenizer.with_lexicon(()), sentences=None)

    def with_frequencies(self, documents: TokenLists) -> TrainedLanguageModel:
        """Set the softmax's bias to the logarithm of the tokens' frequencies.

        That is where training from a random start would bring it first, by many small steps.

        Parameters
        ----------
        documents : TokenLists
        """
        counts = 1.0 + documents.counts(len(self.tokenizer.vocab))  # also for what does not occur
        bias = np.log(counts / counts.sum()).astype(np.float32)
        weights = {name: {**arrays, "bias": bias.copy()} for name, arrays in self.weights.items()}
        return replace(self, weights=weights)

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
        return replace(
            self,
            weights={name: self.weights[name] for name in directions},
            sentences=self.sentences and self.sentences.with_directions(directions),
        )


def _draw(scores: np.ndarray, temperature: float, random: np.random.RandomState) -> int:
    if temperature == 0:
        return int(scores.argmax())
    p = np.exp((scores - scores.max()) / temperature)
    return int(random.choice(len(p), p=p / p.sum()))
