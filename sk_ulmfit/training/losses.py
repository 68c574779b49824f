"""Losses of the two kinds of training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modules import LanguageModelOutput
from ..modules.awd_lstm import full_precision
from .softmax import linear_cross_entropy


class LanguageModelLoss(nn.Module):
    """Cross entropy of the next word, with the activation regularisers of the AWD-LSTM.

    Parameters
    ----------
    ar_alpha : float
        Weight of AR: the squared outputs of the last layer, after dropout.
    tar_beta : float
        Weight of TAR: the squared differences of its outputs in neighbouring time steps, before
        dropout.
    regularisation : float
        Multiplier of both.
    n_samples : int or None
        Train with a sampled softmax of that many draws; None: with the whole one.
    generator : torch.Generator or None
        Draws the samples.
    sparse_gradients : bool
        Let the sampled softmax give sparse gradients (see `gradients_of_rows`).

    Attributes
    ----------
    last_nll : Tensor
        Cross entropy of the last training batch, without the regularisers.

    References
    ----------
    Merity, Keskar and Socher (2018), sections 3.5 and 4.
    """

    def __init__(
        self,
        ar_alpha: float = 2.0,
        tar_beta: float = 1.0,
        regularisation: float = 1.0,
        n_samples: int | None = None,
        generator: torch.Generator | None = None,
        sparse_gradients: bool = False,
    ):
        super().__init__()
        self.ar_alpha = ar_alpha * regularisation
        self.tar_beta = tar_beta * regularisation
        self.n_samples = n_samples
        self.generator = generator
        self.sparse_gradients = sparse_gradients

    def forward(self, output: LanguageModelOutput, targets: Tensor) -> Tensor:
        """Mean loss over `targets` of shape (time, batch)."""
        if not self.training:
            return next_token_loss(output, targets)
        if self.n_samples is None:
            loss = next_token_loss(output, targets)
        else:
            loss = sampled_next_token_loss(
                output, targets, self.n_samples, self.generator, self.sparse_gradients
            )
        self.last_nll = loss.detach()
        if self.ar_alpha:
            loss = loss + self.ar_alpha * full_precision(output.dropped).square().mean()
        if self.tar_beta and len(output.hidden) > 1:
            hidden = full_precision(output.hidden)
            loss = loss + self.tar_beta * (hidden[1:] - hidden[:-1]).square().mean()
        return loss


def next_token_loss(output: LanguageModelOutput, targets: Tensor) -> Tensor:
    """Cross entropy of the tied softmax, without regularisers."""
    return linear_cross_entropy(
        output.dropped.flatten(0, 1),
        output.softmax_weight,
        output.softmax_bias,
        targets.flatten(),
    )


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

    def log_expected(words: Tensor) -> Tensor:
        words = words.float()  # not the default dtype, which is the user's
        probability = ((words + 2.0) / (words + 1.0)).log() / log_size
        return torch.log(-torch.expm1(n_samples * torch.log1p(-probability)))

    # Matrices of a few different sizes only: oneDNN compiles and keeps code for every one.
    filling = -len(drawn) % _ROWS
    rows = F.pad(drawn, (0, filling))
    # One lookup for the words drawn and the targets: each makes a gradient of its own.
    looked_up = F.embedding(torch.cat([rows, targets]), weight, sparse=sparse_gradients)
    drawn_weight, target_weight = looked_up.split([len(rows), len(targets)])
    scores = F.linear(hidden, drawn_weight, bias[rows])
    scores = full_precision(scores) - F.pad(log_expected(drawn), (0, filling), value=torch.inf)
    # A target that was drawn too is counted once.
    column = torch.full((len(weight),), -1, device=weight.device)
    column[drawn] = torch.arange(len(drawn), device=weight.device)
    column = column[targets]
    twice = (column >= 0).nonzero().squeeze(1)
    # (not minus infinity, whose gradient is NaN where nothing else was drawn)
    scores[twice, column[twice]] = torch.finfo(scores.dtype).min
    wanted = (full_precision(hidden) * target_weight).sum(1) + bias[targets]
    wanted = wanted - log_expected(targets)
    others = scores.logsumexp(1)
    return (torch.logaddexp(wanted, others) - wanted).mean()


class ClassificationLoss(nn.Module):
    """Cross entropy, or binary cross entropy for multilabel targets, with document weights.

    Parameters
    ----------
    multilabel : bool
    label_smoothing : float, default=0.0
        Share of a training target that is spread evenly over all classes [1]_; none in multilabel
        problems, where most labels are rare.
    r_drop : float, default=0.0
        Above 0, training logits have two neighbouring rows for every document, computed with
        different dropout, and this is the weight of how far apart they are [2]_.

    References
    ----------
    .. [1] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the Inception
       Architecture for Computer Vision", CVPR 2016, section 7.
    .. [2] X. Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021.
    """

    def __init__(self, multilabel: bool = False, label_smoothing: float = 0.0, r_drop: float = 0.0):
        super().__init__()
        self.multilabel = multilabel
        self.label_smoothing = label_smoothing
        self.r_drop = r_drop

    def forward(self, logits: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
        """Mean of the weighted losses of the documents.

        Weights have mean 1 over the training set, so a batch's loss is divided by its number of
        documents: dividing by its sum of weights would take the weight from a document that is
        alone in its batch.
        """
        targets, weights = target
        logits = full_precision(logits)
        if not self.training:
            # What is held out is judged by the labels as they are.
            return torch.mean(self._losses(logits, targets, 0.0) * weights)
        if not self.r_drop:
            return torch.mean(self._losses(logits, targets, self.label_smoothing) * weights)
        one, other = logits[::2], logits[1::2]
        losses = [self._losses(rows, targets, self.label_smoothing) for rows in (one, other)]
        apart = divergence(one, other, self.multilabel)
        return torch.mean((sum(losses) / 2 + self.r_drop * apart) * weights)

    def _losses(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """Loss of every document, shape (batch,)."""
        if self.multilabel:
            wanted = targets.to(logits.dtype)
            return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(dim=1)
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)


def divergence(one: Tensor, other: Tensor, multilabel: bool) -> Tensor:
    """How far apart two predictions of the same documents are.

    Parameters
    ----------
    one, other : Tensor of shape (batch, outputs)
        Logits.
    multilabel : bool

    Returns
    -------
    Tensor of shape (batch,)
        Mean of the Kullback-Leibler divergences in both directions; in a multilabel problem, mean
        of its labels'.
    """
    if multilabel:
        return ((one.sigmoid() - other.sigmoid()) * (one - other)).mean(dim=1) / 2
    one, other = one.log_softmax(dim=1), other.log_softmax(dim=1)
    return ((one.exp() - other.exp()) * (one - other)).sum(dim=1) / 2
