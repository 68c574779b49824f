"""A softmax over words that are drawn at random: for vocabularies of tens of thousands."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..modules import LanguageModelOutput
from ..modules.awd_lstm import full_precision

# The words of a sampled softmax are filled up to a multiple of this.
_ROWS = 512


def sampled_next_token_loss(
    output: LanguageModelOutput,
    targets: Tensor,
    n_samples: int,
    generator: torch.Generator | None = None,
    sparse_gradients: bool = False,
) -> Tensor:
    """Cross entropy against words that are drawn once for the whole batch.

    Frequent words are drawn more often: with a probability that falls with the word's place in
    the vocabulary as in a Zipf distribution. Every score is corrected by how often its word was
    expected to be drawn, so that what is learned are the scores of the whole softmax [1]_.

    References
    ----------
    .. [1] S. Jean, K. Cho, R. Memisevic and Y. Bengio, "On Using Very Large Target Vocabulary for
       Neural Machine Translation", ACL 2015.
    """
    weight, bias = output.softmax_weight, output.softmax_bias
    hidden = output.dropped.flatten(0, 1)
    targets = targets.flatten()
    log_size = math.log(len(weight) + 1)
    uniform = torch.rand(n_samples, device=weight.device, generator=generator, dtype=torch.float64)
    # The inverse of the distribution function log(1 + place) / log(1 + size); float64, or the
    # last words of a large vocabulary would share their draws.
    drawn = (uniform * log_size).exp().long().sub_(1).clamp_(0, len(weight) - 1).unique()

    correction = log_times_drawn(drawn, n_samples, len(weight))
    # Matrices of a few different sizes only: oneDNN compiles and keeps code for every one.
    filling = -len(drawn) % _ROWS
    rows = F.pad(drawn, (0, filling))
    # One lookup for the words drawn and the targets: each makes a gradient of its own.
    looked_up = F.embedding(torch.cat([rows, targets]), weight, sparse=sparse_gradients)
    drawn_weight, target_weight = looked_up.split([len(rows), len(targets)])
    scores = F.linear(hidden, drawn_weight, bias[rows])
    scores = full_precision(scores) - F.pad(correction, (0, filling), value=torch.inf)
    # A target that was drawn too is counted once.
    column = torch.full((len(weight),), -1, device=weight.device)
    column[drawn] = torch.arange(len(drawn), device=weight.device)
    column = column[targets]
    twice = (column >= 0).nonzero().squeeze(1)
    # (not minus infinity, whose gradient is NaN where nothing else was drawn)
    scores[twice, column[twice]] = torch.finfo(scores.dtype).min
    wanted = (full_precision(hidden) * target_weight).sum(1) + bias[targets]
    wanted = wanted - log_times_drawn(targets, n_samples, len(weight))
    others = scores.logsumexp(1)
    return (torch.logaddexp(wanted, others) - wanted).mean()


def log_times_drawn(words: Tensor, n_samples: int, vocab_size: int) -> Tensor:
    """Logarithm of how often a word is expected to be among the draws.

    Parameters
    ----------
    words : Tensor of shape (n,)
        Places in the vocabulary.
    n_samples : int
    vocab_size : int
    """
    words = words.float()  # not the default dtype, which is the user's
    # (not the logarithm of a quotient: near 1 a float32 has few digits left)
    probability = torch.log1p(1.0 / (words + 1.0)) / math.log(vocab_size + 1)
    return torch.log(-torch.expm1(n_samples * torch.log1p(-probability)))
