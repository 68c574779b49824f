"""The AWD-LSTM encoder (Merity et al. 2018), the network of all three stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropouts, MaskSource

# The widest layers, and most of them, that a network is made with: a zero too many in a number
# would fill the memory, or take hours to build.
WIDEST, DEEPEST = 2**14, 100

# One (hidden, cell) pair a layer, each of shape (1, batch, size of the layer).
EncoderState = list[tuple[Tensor, Tensor]]


class DropoutMasks(NamedTuple):
    """What one training pass drops; None where nothing is dropped."""

    words: Tensor | None  # (vocabulary, 1)
    inputs: Tensor | None  # (1, batch, emb_size)
    hiddens: list[Tensor | None]  # of every layer but the last: (1, batch, size of the layer)
    recurrent: list[Tensor]  # weight_hh of every layer with the dropped entries at zero


@dataclass(frozen=True)
class EncoderSizes:
    """Sizes of an AWD-LSTM.

    The last layer is as wide as the embedding, which lets the softmax share its weights.
    """

    vocab_size: int
    emb_size: int
    hidden_size: int
    n_layers: int

    def of_layer(self, layer: int) -> tuple[int, int]:
        """Input and output size of LSTM layer `layer`."""
        n_in = self.emb_size if layer == 0 else self.hidden_size
        n_out = self.emb_size if layer == self.n_layers - 1 else self.hidden_size
        return n_in, n_out

    @property
    def widths(self) -> list[int]:
        """Output sizes of the embedding and of every layer."""
        return [self.emb_size, *(self.of_layer(layer)[1] for layer in range(self.n_layers))]


class LSTMLayer(nn.Module):
    """One LSTM layer whose recurrent weights can be replaced for a pass (DropConnect).

    The parameters are those of ``nn.LSTM``; the fused kernels of oneDNN and cuDNN do the work.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size))

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor], weight_hh: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over `x` of shape (time, batch, input size)."""
        weights = [self.weight_ih, weight_hh, self.bias_ih, self.bias_hh]
        kind = x.device.type
        if torch.is_autocast_enabled(kind):
            # On a CPU autocast does not reach into the LSTM kernel, so the casts are made here.
            dtype = torch.get_autocast_dtype(kind)
            x, state = x.to(dtype), (state[0].to(dtype), state[1].to(dtype))
            weights = [weight.to(dtype) for weight in weights]
        train = self.training
        if kind == "cuda":
            weights = side_by_side(weights)
            train = torch.is_grad_enabled()  # cuDNN differentiates nothing else
        # has_biases, num_layers, dropout, train, bidirectional, batch_first
        out, h, c = torch.lstm(x, state, weights, True, 1, 0.0, train, False, False)
        return out, (h, c)


def side_by_side(weights: Sequence[Tensor]) -> list[Tensor]:
    """Copy tensors into one piece of memory, differentiably.

    That is how cuDNN takes the weights of an LSTM. Others torch copies itself, one after another,
    and warns of it; and weights that lie so for good are not what DropConnect has just made.
    """
    memory = torch.cat([weight.flatten() for weight in weights])
    parts = memory.split([weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]


class AWDLSTM(nn.Module):
    """Embedding and LSTM layers with the dropouts of the AWD-LSTM.

    Parameters
    ----------
    sizes : EncoderSizes
    dropouts : Dropouts
        `output` is not used here: it belongs to what comes after the encoder.
    """

    def __init__(self, sizes: EncoderSizes, dropouts: Dropouts | None = None):
        super().__init__()
        self.sizes = sizes
        self.dropouts = dropouts or Dropouts()
        self.embedding = nn.Parameter(torch.empty(sizes.vocab_size, sizes.emb_size))
        # (torch's own annotation of a ModuleList does not tell what is in it)
        self.layers: Sequence[LSTMLayer] = nn.ModuleList(  # type: ignore[assignment]
            LSTMLayer(*sizes.of_layer(layer)) for layer in range(sizes.n_layers)
        )

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Random start: embedding U(-0.1, 0.1), LSTM weights U(-1/sqrt(H), 1/sqrt(H))."""
        self.embedding.uniform_(-0.1, 0.1, generator=generator)
        for layer in self.layers:
            bound = 1.0 / math.sqrt(layer.hidden_size)
            for parameter in layer.parameters():
                parameter.uniform_(-bound, bound, generator=generator)

    def initial_state(self, batch_size: int) -> EncoderState:
        """Zeros for every layer."""
        zeros = [self.embedding.new_zeros(1, batch_size, n) for n in self.sizes.widths[1:]]
        return [(zero, zero) for zero in zeros]

    def draw_masks(self, batch_size: int, source: MaskSource) -> DropoutMasks:
        """Draw what a training pass over `batch_size` rows drops."""
        p, like = self.dropouts, self.embedding
        recurrent = []
        for layer in self.layers:
            mask = source.draw(tuple(layer.weight_hh.shape), p.weight, like)
            recurrent.append(layer.weight_hh if mask is None else layer.weight_hh * mask)
        return DropoutMasks(
            words=source.draw((self.sizes.vocab_size, 1), p.embed, like),
            inputs=source.draw_rows(batch_size, self.sizes.emb_size, p.input, like),
            hiddens=[
                source.draw_rows(batch_size, layer.hidden_size, p.hidden, like)
                for layer in self.layers[:-1]
            ],
            recurrent=recurrent,
        )

    def forward(
        self,
        ids: Tensor,
        state: EncoderState | None = None,
        masks: DropoutMasks | None = None,
        sparse_gradients: bool = False,
    ) -> tuple[list[Tensor], EncoderState]:
        """Encode a chunk of text.

        Parameters
        ----------
        ids : Tensor of shape (time, batch)
            Token ids.
        state : EncoderState, optional
            What the chunk before ended with; zeros if None. A state for more rows than `ids` has
            is cut to its first rows: documents that have ended leave the batch at its end.
        masks : DropoutMasks, optional
            What is dropped; nothing if None.
        sparse_gradients : bool, default=False
            Let the lookup of embeddings give a sparse gradient.

        Returns
        -------
        outputs : list of Tensor of shape (time, batch, width)
            Of the embedding and of every layer, before any output dropout.
        state : EncoderState
        """
        n_rows = ids.shape[1]
        if state is None:
            state = self.initial_state(n_rows)
        x = F.embedding(ids, self.embedding, sparse=sparse_gradients)
        if masks is not None:
            if masks.words is not None:
                x = x * F.embedding(ids, masks.words)
            if masks.inputs is not None:
                x = x * masks.inputs[:, :n_rows]
        outputs = [x]
        new_state: EncoderState = []
        for i, layer in enumerate(self.layers):
            h, c = (part[:, :n_rows].contiguous() for part in state[i])
            weight_hh = layer.weight_hh if masks is None else masks.recurrent[i]
            x, layer_state = layer(x, (h, c), weight_hh)
            new_state.append(layer_state)
            if masks is not None and i < len(self.layers) - 1:
                hidden_mask = masks.hiddens[i]
                x = x if hidden_mask is None else x * hidden_mask[:, :n_rows]
            outputs.append(x)
        return outputs, new_state


def rounded_up(n: int, limit: int) -> int:
    """Make a size of an LSTM's input one of a few, by less than a quarter, none above `limit`.

    oneDNN compiles code for every pair of time steps and rows that it meets and keeps it, several
    megabytes each: texts of all lengths would fill hundreds of megabytes.
    """
    step: int = 2 ** max(0, n.bit_length() - 3)
    return min(-(-n // step) * step, limit)


def detach(state: EncoderState) -> EncoderState:
    """Cut `state` off the graph, so that gradients end at the chunk's border (truncated BPTT)."""
    return [(h.detach(), c.detach()) for h, c in state]


def full_precision(x: Tensor) -> Tensor:
    """Widen what mixed precision has left in 16 bits, for sums over many terms."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def refuse_second_derivative() -> None:
    """Refuse, in a backward pass, to be a part of what is to be differentiated again.

    (torch's `once_differentiable` would take the gradient for a constant where it is one factor of
    several.)
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "This function can be differentiated once only, not by create_graph=True."
        )
