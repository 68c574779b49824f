"""The five dropouts of the AWD-LSTM, as masks that are drawn once and then applied.

Masks are drawn outside of the forward pass for two reasons. A *variational* mask stays the same
over all time steps, so a document that is read in chunks needs one mask for all of its chunks.
And a chunk that is computed a second time during the backward pass must see the same mask.

Every draw takes an explicit ``torch.Generator``: results repeat under threads and worker
processes, and the global random state of the user's program is left alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dropouts:
    """Dropout probabilities of an AWD-LSTM (Merity et al. 2018; paper section 4.1).

    Parameters
    ----------
    output : float
        On the output of the last layer: before the softmax, or before the classifier's head.
    hidden : float
        Between two LSTM layers.
    input : float
        On the embedded words.
    embed : float
        Of whole words: every occurrence of a dropped word in the batch is zero.
    weight : float
        On the recurrent weights (DropConnect).
    """

    output: float = 0.0
    hidden: float = 0.0
    input: float = 0.0
    embed: float = 0.0
    weight: float = 0.0

    def scaled(self, multiplier: float) -> Dropouts:
        """Multiply every probability, none of them beyond 0.95."""
        return Dropouts(**{name: min(p * multiplier, 0.95) for name, p in asdict(self).items()})


# What the authors' released scripts use; the paper's text gives the second set for both.
AWD_LM_DROPOUTS = Dropouts(output=0.1, hidden=0.15, input=0.25, embed=0.02, weight=0.2)
AWD_CLASSIFIER_DROPOUTS = Dropouts(output=0.4, hidden=0.3, input=0.4, embed=0.05, weight=0.5)


def draw_mask(
    shape: tuple[int, ...], p: float, like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Draw a keep mask scaled by ``1 / (1 - p)``, of the dtype and on the device of `like`.

    Parameters
    ----------
    shape : tuple of int
    p : float
        Probability that an entry is dropped, to the nearest 1/65536.
    like : Tensor
    generator : torch.Generator or None
        On the device of `like`; None draws from torch's global state.
    """
    # One 64-bit draw decides four entries: the recurrent masks are as large as the weights, and
    # a draw per entry would take a tenth of a training step on a CPU.
    numel = math.prod(shape)
    words = torch.empty((numel + 3) // 4, dtype=torch.int64, device=like.device)
    words.random_(-(2**63), None, generator=generator)
    drop_below = round(p * 65536) - 32768
    kept = words.view(torch.int16)[:numel].view(shape) >= drop_below
    return kept.to(like.dtype).mul_(1.0 / (1.0 - p))


@dataclass(frozen=True)
class MaskSource:
    """Where the dropout masks of a training come from.

    Parameters
    ----------
    generator : torch.Generator or None
        None draws from torch's global state.
    share : tuple of int
        Which part of a batch's rows a network sees, as (number, of how many), where several
        processes train: masks are drawn for all rows and cut to these.
    """

    generator: torch.Generator | None = None
    share: tuple[int, int] = (0, 1)

    def draw(self, shape: tuple[int, ...], p: float, like: Tensor) -> Tensor | None:
        """Draw a mask (see `draw_mask`); None where nothing is dropped."""
        return draw_mask(shape, p, like, self.generator) if p else None

    def draw_rows(self, n_rows: int, size: int, p: float, like: Tensor) -> Tensor | None:
        """Draw a mask of shape (1, n_rows, size), which stays the same over all time steps."""
        index, count = self.share
        mask = self.draw((1, n_rows * count, size), p, like)
        return None if mask is None else mask[:, index * n_rows : (index + 1) * n_rows]
