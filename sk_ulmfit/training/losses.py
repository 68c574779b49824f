"""Losses of the two kinds of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modules import LanguageModelOutput
from ..modules.awd_lstm import full_precision


class LanguageModelLoss(nn.Module):
    """Cross entropy of the next word, with the activation regularisers of the AWD-LSTM.

    Parameters
    ----------
    ar_alpha : float
        Weight of AR: the squared outputs of the last layer, after dropout.
    tar_beta : float
        Weight of TAR: the squared differences of its outputs in neighbouring time steps, before
        dropout.

    References
    ----------
    Merity, Keskar and Socher (2018), sections 3.5 and 4.
    """

    def __init__(self, ar_alpha: float = 2.0, tar_beta: float = 1.0):
        super().__init__()
        self.ar_alpha = ar_alpha
        self.tar_beta = tar_beta

    def forward(self, output: LanguageModelOutput, targets: Tensor) -> Tensor:
        """Mean loss over `targets` of shape (time, batch)."""
        loss = next_token_loss(output, targets)
        if not self.training:
            return loss
        if self.ar_alpha:
            loss = loss + self.ar_alpha * full_precision(output.dropped).square().mean()
        if self.tar_beta and len(output.hidden) > 1:
            hidden = full_precision(output.hidden)
            loss = loss + self.tar_beta * (hidden[1:] - hidden[:-1]).square().mean()
        return loss


def next_token_loss(output: LanguageModelOutput, targets: Tensor) -> Tensor:
    """Cross entropy of the tied softmax, without regularisers."""
    logits = F.linear(output.dropped.flatten(0, 1), output.softmax_weight, output.softmax_bias)
    return F.cross_entropy(logits, targets.flatten())


class ClassificationLoss(nn.Module):
    """Cross entropy, or binary cross entropy for multilabel targets, with document weights.

    Parameters
    ----------
    multilabel : bool
    """

    def __init__(self, multilabel: bool = False):
        super().__init__()
        self.multilabel = multilabel

    def forward(self, logits: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
        """Mean of the weighted losses of the documents.

        Weights have mean 1 over the training set, so a batch's loss is divided by its number of
        documents: dividing by its sum of weights would take the weight from a document that is
        alone in its batch.
        """
        targets, weights = target
        logits = full_precision(logits)
        if self.multilabel:
            losses = F.binary_cross_entropy_with_logits(
                logits, targets.to(logits.dtype), reduction="none"
            ).mean(dim=1)
        else:
            losses = F.cross_entropy(logits, targets, reduction="none")
        return torch.mean(losses * weights)
