"""LSTM layers that learn along with what is read off them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..models import TrainedLanguageModel
from ..models.sentences import POOLING, SentenceVectors
from ..modules import AWDLSTM
from ..modules.pooling import pool_chunk
from .sentence_net import SentenceModule


class SentenceEncoder(nn.Module):
    """Gives vectors of the texts that it reads.

    Its embedding, which is a language model's, stays as it is.

    Parameters
    ----------
    encoder : AWDLSTM
    sentences : SentenceModule
        What is read off the pools.
    token_weights : Tensor of shape (vocabulary,)
        In the weighted mean among the pools.
    mean, scale : Tensor of shape (pooled size,)
        That pools are standardised by.
    """

    token_weights: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        encoder: AWDLSTM,
        sentences: SentenceModule,
        token_weights: Tensor,
        mean: Tensor,
        scale: Tensor,
    ):
        super().__init__()
        self.encoder = encoder
        self.sentences = sentences
        for name, fixed in (("token_weights", token_weights), ("mean", mean), ("scale", scale)):
            self.register_buffer(name, fixed, persistent=False)
        encoder.embedding.requires_grad_(False)

    @classmethod
    def of(
        cls,
        start: TrainedLanguageModel,
        direction: str,
        sentences: SentenceModule,
        scales: SentenceVectors,
    ) -> SentenceEncoder:
        """Begin with copies of a language model's layers."""
        mean, scale = map(torch.from_numpy, scales.pool_scales(direction))
        return cls(
            start.module(direction).encoder,
            sentences,
            start.token_weights(direction),
            mean,
            scale * len(mean) ** 0.5,
        )

    def to_arrays(self, direction: str) -> dict[str, np.ndarray]:
        """What was learned, named as in `SentenceVectors`."""
        layers = self.encoder.layers.state_dict()  # type: ignore[attr-defined]
        own = {
            f"{direction}.encoder.layers.{name}": tensor.cpu().numpy().copy()
            for name, tensor in layers.items()
        }
        return {**self.sentences.to_arrays(direction), **own}

    def forward(self, ids: Tensor, lengths: Tensor, words: Tensor) -> Tensor:
        """Vectors of texts, shape (batch, size), of no certain length.

        Parameters
        ----------
        ids : Tensor of shape (batch, time)
        lengths : Tensor of shape (batch,)
            What follows a text is ignored.
        words : Tensor of shape (n_tokens,)
            Ids of all texts' words, one after another.
        """
        steps = ids.t()
        outputs, _ = self.encoder(steps)
        pools = pool_chunk(outputs, self.token_weights[steps], lengths, None)
        scaled = (pools.vectors(lengths, POOLING) - self.mean) / self.scale
        vectors: Tensor = self.sentences(words, lengths.cumsum(0) - lengths, scaled)
        return vectors
