"""The language model of stages 1 and 2: the encoder and a softmax tied to its embedding."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .awd_lstm import AWDLSTM, EncoderSizes, EncoderState
from .dropout import Dropouts, MaskSource


class LanguageModelOutput(NamedTuple):
    """What the loss needs of one BPTT chunk.

    The logits are left to the loss: they are the largest tensor of all, and the loss may never
    need them as a whole.
    """

    hidden: Tensor  # (time, batch, emb_size): output of the last layer
    dropped: Tensor  # the same after output dropout
    softmax_weight: Tensor  # (vocabulary, emb_size): the embedding
    softmax_bias: Tensor  # (vocabulary,)
    state: EncoderState


class LanguageModel(nn.Module):
    """AWD-LSTM language model with tied softmax weights (Merity et al. 2018).

    Parameters
    ----------
    sizes : EncoderSizes
    dropouts : Dropouts
    """

    def __init__(self, sizes: EncoderSizes, dropouts: Dropouts | None = None):
        super().__init__()
        self.encoder = AWDLSTM(sizes, dropouts)
        self.bias = nn.Parameter(torch.empty(sizes.vocab_size))

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Random start."""
        self.encoder.reset_parameters(generator)
        self.bias.zero_()

    def forward(
        self,
        ids: Tensor,
        state: EncoderState | None = None,
        source: MaskSource | None = None,
        sparse_gradients: bool = False,
    ) -> LanguageModelOutput:
        """Read `ids` of shape (time, batch), going on from `state`.

        In training, dropout masks come from `source`, by default from torch's global state.
        """
        masks = output_mask = None
        if self.training:
            source = source or MaskSource()
            n_rows, p = ids.shape[1], self.encoder.dropouts.output
            masks = self.encoder.draw_masks(n_rows, source)
            output_mask = source.draw_rows(
                n_rows, self.encoder.sizes.emb_size, p, self.encoder.embedding
            )
        outputs, state = self.encoder(ids, state, masks, sparse_gradients=sparse_gradients)
        hidden = dropped = outputs[-1]
        if output_mask is not None:
            dropped = hidden * output_mask.to(hidden.dtype)
        return LanguageModelOutput(hidden, dropped, self.encoder.embedding, self.bias, state)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every word of the vocabulary to come next."""
        return F.linear(hidden, self.encoder.embedding, self.bias)
