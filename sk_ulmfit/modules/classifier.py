"""The classifier of stage 3: encoder, concat pooling and the paper's head (section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .awd_lstm import AWDLSTM, DropoutMasks, EncoderSizes, EncoderState, rounded_up
from .dropout import Dropouts, MaskSource
from .pooling import Pools, pool_chunk, pooled_size, pools_every_layer

# Batches of more chunks than this keep only the encoder's state between chunks and compute the
# rest again in the backward pass: memory then hardly grows with the length of a document.
CHUNKS_KEPT_FOR_BACKWARD = 8

# What a step of Adam moves a solved head by, as a share of what it would move coefficients of
# standardised inputs. Rates that the encoder needs would otherwise destroy the solution.
SOLVED_STEP = 0.1


class HeadBlock(nn.Module):
    """Batch normalisation, dropout and a linear layer.

    Parameters
    ----------
    n_in, n_out : int
    dropout : float
    n_meaning : int, default=0
        Length of a vector of the text's meaning among the inputs of a solved head. Only its
        direction counts, whose entries are not of equal size for good reasons: it is not
        normalised, but brought to the length that all other inputs have together.

    Attributes
    ----------
    keeps_scale : bool, default=False
        Normalise by the statistics that are there, in training too, and leave them as they are.
    """

    keeps_scale = False

    def __init__(self, n_in: int, n_out: int, dropout: float, n_meaning: int = 0):
        super().__init__()
        self.dropout = dropout
        self.norm = nn.BatchNorm1d(n_in)
        self.weight = nn.Parameter(torch.empty(n_out, n_in + n_meaning))
        self.bias = nn.Parameter(torch.empty(n_out))

    def forward(self, x: Tensor, source: MaskSource, meaning: Tensor | None = None) -> Tensor:
        """Map `x` of shape (batch, n_in), and vectors of length 1, to (batch, n_out)."""
        if self.training and (self.keeps_scale or len(x) == 1):
            # (one row has no variance: fall back on the running statistics)
            x = F.batch_norm(
                x,
                self.norm.running_mean,
                self.norm.running_var,
                self.norm.weight,
                self.norm.bias,
                eps=self.norm.eps,
            )
        else:
            x = self.norm(x)
        if meaning is not None:
            x = torch.cat([x, SOLVED_STEP * meaning], dim=1)
        mask = source.draw(tuple(x.shape), self.dropout, x) if self.training else None
        x = x if mask is None else x * mask
        return F.linear(x, self.weight, self.bias)


class Head(nn.Module):
    """The two linear blocks of the paper, with a ReLU between them.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of inputs, of every hidden layer's units, and of outputs.
    dropouts : sequence of float
        Before every layer.
    n_meaning : int, default=0
        Length of a vector of the text's meaning, beside the inputs.
    """

    def __init__(self, sizes: Sequence[int], dropouts: Sequence[float], n_meaning: int = 0):
        super().__init__()
        beside = [n_meaning] + [0] * (len(dropouts) - 1)
        self.blocks: Sequence[HeadBlock] = nn.ModuleList(  # type: ignore[assignment]
            HeadBlock(*each) for each in zip(sizes[:-1], sizes[1:], dropouts, beside, strict=True)
        )

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Random start: Kaiming uniform weights, zero biases."""
        for block in self.blocks:
            block.norm.reset_parameters()
            bound = math.sqrt(1.0 / block.weight.shape[1])
            block.weight.uniform_(-bound, bound, generator=generator)
            block.bias.zero_()

    @torch.no_grad()
    def begin_at(self, mean: Tensor, variance: Tensor, coef: Tensor, intercept: Tensor) -> None:
        """Make a head without hidden layers a linear model of standardised inputs.

        The model's inputs have been divided by the root of their number too: the logits then
        change about as much by a step of Adam, however many they are. A solved head has little
        left to learn, so its steps are made small beside those of the layers below. Coefficients
        of a vector of the text's meaning are the last ones.
        """
        (block,) = self.blocks
        block.norm.reset_parameters()
        block.norm.running_mean.copy_(mean)  # type: ignore[union-attr]
        block.norm.running_var.copy_(variance)  # type: ignore[union-attr]
        block.norm.weight.fill_(SOLVED_STEP * len(mean) ** -0.5)
        block.weight.copy_(coef / SOLVED_STEP)
        block.bias.copy_(intercept)

    def keep_scale(self) -> None:
        """Leave the normalisation as it is in training: a solved head would be another."""
        for block in self.blocks:
            block.keeps_scale = True
            block.norm.requires_grad_(False)

    def forward(self, x: Tensor, source: MaskSource, meaning: Tensor | None = None) -> Tensor:
        """Logits of shape (batch, classes)."""
        for i, block in enumerate(self.blocks):
            x = block(F.relu(x), source) if i else block(x, source, meaning)
        return x


class TextClassifier(nn.Module):
    """Encoder, pooling over the whole document, head.

    Parameters
    ----------
    sizes : EncoderSizes
    n_outputs : int
        Number of logits.
    head_sizes : sequence of int
        Widths of the head's hidden layers.
    dropouts : Dropouts
        `output` is the dropout before the first layer of the head.
    head_dropout : float
        Dropout before the other layers of the head.
    pooling : {"concat", "mean", "max", "last", "concat-layers"}
    bptt : int
        Number of tokens in a chunk.
    n_meaning : int, default=0
        Length of the vector of a text's meaning that the head is given beside the pools.

    Attributes
    ----------
    token_weights : Tensor of shape (vocabulary,)
        How much a token counts in the weighted mean; ones unless set.
    """

    token_weights: Tensor

    def __init__(
        self,
        sizes: EncoderSizes,
        n_outputs: int,
        *,
        head_sizes: Sequence[int] = (50,),
        dropouts: Dropouts | None = None,
        head_dropout: float = 0.0,
        pooling: str = "concat",
        bptt: int = 70,
        n_meaning: int = 0,
    ):
        super().__init__()
        self.encoder = AWDLSTM(sizes, dropouts)
        self.pooling = pooling
        self.bptt = bptt
        widths = [pooled_size(pooling, sizes), *head_sizes, n_outputs]
        first = self.encoder.dropouts.output
        # Follows from the language model, so it is no part of the classifier's state.
        self.register_buffer("token_weights", torch.ones(sizes.vocab_size), persistent=False)
        self.head = Head(widths, [first] + [head_dropout] * len(head_sizes), n_meaning)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Random start."""
        self.encoder.reset_parameters(generator)
        self.head.reset_parameters(generator)

    def forward(
        self,
        ids: Tensor | None = None,
        lengths: Tensor | None = None,
        vectors: Tensor | None = None,
        meaning: Tensor | None = None,
        word_logits: Tensor | None = None,
        source: MaskSource | None = None,
    ) -> Tensor:
        """Logits of shape (batch, outputs).

        Parameters
        ----------
        ids : Tensor of shape (batch, time)
            Token ids, rows sorted by falling length; what follows a document is ignored.
        lengths : Tensor of shape (batch,)
            Number of tokens of every document, at least 1, falling.
        vectors : Tensor of shape (batch, pooled size)
            Of the documents, where they are known; instead of their tokens.
        meaning : Tensor of shape (batch, n_meaning)
            Vectors of what the documents mean, of length 1, if the head is given these.
        word_logits : Tensor of shape (batch, outputs)
            To be added: what the documents' words say by themselves.
        source : MaskSource, optional
            Where the dropout masks of a training come from; torch's global state if None.
        """
        source = source or MaskSource()
        if vectors is None:
            assert ids is not None and lengths is not None
            masks = self.encoder.draw_masks(len(ids), source) if self.training else None
            vectors = pool_documents(
                self.encoder,
                ids,
                lengths,
                self.token_weights,
                self.pooling,
                self.bptt,
                masks=masks,
            )
        logits: Tensor = self.head(vectors, source, meaning)
        return logits if word_logits is None else logits + word_logits


def pool_documents(
    encoder: AWDLSTM,
    ids: Tensor,
    lengths: Tensor,
    token_weights: Tensor,
    pooling: str,
    bptt: int,
    masks: DropoutMasks | None = None,
) -> Tensor:
    """Vectors of whole documents, read in chunks of `bptt` tokens (BPT3C, paper section 3.3).

    The encoder's state is carried from chunk to chunk, and gradients reach all of them.
    Documents leave the batch where they end or soon after, so little is computed on padding.
    `ids`, `lengths` and `token_weights` are as in `TextClassifier`, `masks` what is dropped.

    Returns
    -------
    Tensor of shape (batch, pooled size)
    """
    ids, ends = ids.t(), lengths.tolist()
    recompute = torch.is_grad_enabled() and ends[0] > CHUNKS_KEPT_FOR_BACKWARD * bptt
    if recompute:
        bptt *= 2  # half as many chunks have something to keep
    n_last = (len(ids) - 1) % bptt + 1
    ids = F.pad(ids, (0, 0, 0, rounded_up(n_last, bptt) - n_last))
    every_layer = pools_every_layer(pooling)

    state: EncoderState | None = None
    pools: Pools | None = None
    finished: list[Tensor] = []
    n_rows = len(ends)
    for start in range(0, ends[0], bptt):
        # Some documents that have ended are read on, but no longer pooled.
        chunk = ids[start : start + bptt, : rounded_up(n_rows, len(ends))]
        remaining = lengths[:n_rows] - start
        weights = token_weights[chunk[:, :n_rows]]
        arguments = (encoder, chunk, weights, remaining, state, pools, masks, every_layer)
        if recompute:
            # The masks are drawn already, so there is no random state to preserve.
            state, pools = checkpoint(
                _read_chunk, *arguments, use_reentrant=False, preserve_rng_state=False
            )
        else:
            state, pools = _read_chunk(*arguments)
        n_left = sum(end > start + bptt for end in ends[:n_rows])
        if n_left < n_rows:
            finished.append(pools.rows(n_left, n_rows).vectors(lengths[n_left:n_rows], pooling))
            pools, n_rows = pools.rows(0, n_left), n_left
    return torch.cat(finished[::-1])


def _read_chunk(
    encoder: AWDLSTM,
    chunk: Tensor,
    weights: Tensor,
    remaining: Tensor,
    state: EncoderState | None,
    pools: Pools | None,
    masks: DropoutMasks | None,
    every_layer: bool,
) -> tuple[EncoderState, Pools]:
    outputs, state = encoder(chunk, state, masks)
    outputs = [output[:, : len(remaining)] for output in (outputs if every_layer else outputs[-1:])]
    return state, pool_chunk(outputs, weights, remaining, pools)
