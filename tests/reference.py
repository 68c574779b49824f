"""ULMFiT's arithmetic once more, plain and slow, for tests to compare with.

Written from the equations of the papers, one time step and one document at a time, in float64.
Nothing here is shared with the package but the weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def lstm_step(x: Tensor, h: Tensor, c: Tensor, layer, weight_hh: Tensor) -> tuple[Tensor, Tensor]:
    """One step of one LSTM layer for one row: vectors in, vectors out."""
    gates = layer.weight_ih @ x + layer.bias_ih + weight_hh @ h + layer.bias_hh
    i, f, g, o = gates.chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def encode_row(encoder, ids: list[int], masks=None, row: int = 0, state=None):
    """Outputs of the last layer for one document, shape (time, emb_size), and the state."""
    n_layers = len(encoder.layers)
    state = state or [
        (torch.zeros(layer.hidden_size, dtype=torch.float64),) * 2 for layer in encoder.layers
    ]
    outputs = []
    for token in ids:
        x = encoder.embedding[token]
        if masks is not None and masks.words is not None:
            x = x * masks.words[token]
        if masks is not None and masks.inputs is not None:
            x = x * masks.inputs[0, row]
        new_state = []
        for n, layer in enumerate(encoder.layers):
            weight_hh = layer.weight_hh if masks is None else masks.recurrent[n]
            h, c = lstm_step(x, *state[n], layer, weight_hh)
            new_state.append((h, c))
            x = h
            if masks is not None and n < n_layers - 1 and masks.hiddens[n] is not None:
                x = h * masks.hiddens[n][0, row]
        state = new_state
        outputs.append(x)
    return torch.stack(outputs), state


def language_model_loss(encoder, bias, columns, targets, masks, output_mask, alpha, beta) -> Tensor:
    """Cross entropy + AR + TAR of a chunk given as one list of ids a row."""
    nll, raw, dropped = [], [], []
    for row, (ids, wanted) in enumerate(zip(columns, targets, strict=True)):
        hidden, _ = encode_row(encoder, ids, masks, row)
        out = hidden if output_mask is None else hidden * output_mask[0, row]
        raw.append(hidden)
        dropped.append(out)
        for step, target in enumerate(wanted):
            scores = encoder.embedding @ out[step] + bias
            nll.append(torch.logsumexp(scores, 0) - scores[target])
    raw, dropped = torch.stack(raw), torch.stack(dropped)
    ar = (dropped**2).mean()
    tar = ((raw[:, 1:] - raw[:, :-1]) ** 2).mean()
    return torch.stack(nll).mean() + alpha * ar + beta * tar


def concat_pool(hidden: Tensor) -> Tensor:
    """[h_T, max over time, mean over time] of one document."""
    return torch.cat([hidden[-1], hidden.max(dim=0).values, hidden.mean(dim=0)])


def classify_row(module, ids: list[int]) -> Tensor:
    """Logits of one document in evaluation mode."""
    hidden, _ = encode_row(module.encoder, ids)
    x = concat_pool(hidden)
    for n, block in enumerate(module.head.blocks):
        if n:
            x = x.clamp(min=0)
        norm = block.norm
        x = (x - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps)
        x = x * norm.weight + norm.bias
        x = block.weight @ x + block.bias
    return x


def slanted_triangular(t: int, T: int, cut_frac=0.1, ratio=32, lr_max=0.01) -> float:
    """The paper's section 3.2, equation 3, as it is printed."""
    cut = math.floor(T * cut_frac)
    p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_frac - 1))
    return lr_max * (1 + p * (ratio - 1)) / ratio
