"""Writing text with a language model."""

from __future__ import annotations

import numpy as np
import torch

from ..modules import EncoderState, LanguageModel


def continue_text(
    module: LanguageModel,
    ids: list[int],
    *,
    max_tokens: int,
    temperature: float,
    random: np.random.RandomState,
    end_id: int,
    never_id: int,
) -> list[int]:
    """Draw token after token, until `end_id` is drawn or there are `max_tokens` new ones.

    Parameters
    ----------
    module : LanguageModel
    ids : list of int
        The tokens to go on from.
    max_tokens : int
    temperature : float
        0 takes the likeliest token every time.
    random : numpy.random.RandomState
    end_id, never_id : int
        Token that ends the text, and token that is not to be written.

    Returns
    -------
    list of int
        `ids` and the new tokens.
    """
    module.eval()
    written, chunk = list(ids), list(ids)
    state: EncoderState | None = None
    with torch.inference_mode():
        for _ in range(max_tokens):
            inputs = torch.tensor(chunk, device=module.bias.device).unsqueeze(1)
            output = module(inputs, state)
            state = output.state
            scores = module.logits(output.hidden[-1, 0]).double().cpu().numpy()
            scores[never_id] = -np.inf
            token = _draw(scores, temperature, random)
            if token == end_id:
                break
            written.append(token)
            chunk = [token]
    return written


def _draw(scores: np.ndarray, temperature: float, random: np.random.RandomState) -> int:
    if temperature == 0:
        return int(scores.argmax())
    p = np.exp((scores - scores.max()) / temperature)
    return int(random.choice(len(p), p=p / p.sum()))
