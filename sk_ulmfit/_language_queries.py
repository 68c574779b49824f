"""What a fitted language model can be asked: how likely texts are, and how they go on."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from ._base import random_numbers
from .modules import LanguageModel
from .pretrained import TrainedLanguageModel
from .text.token_lists import TokenLists
from .text.validation import check_texts
from .training.devices import resolve_device
from .training.generation import continue_text
from .training.inference import negative_log_likelihood


class LanguageQueries:
    """Questions to a fitted `ULMFiTLanguageModel`."""

    trained_: TrainedLanguageModel
    bptt: int
    device: Any

    def perplexity(self, X: Iterable[str]) -> float:
        """Perplexity per token of texts.

        Every text is read from its beginning; each token after the first is predicted, and the
        text's end. With two directions it is the perplexity of both taken together.

        Parameters
        ----------
        X : iterable of str
            The texts.

        Returns
        -------
        float
            ``exp`` of the mean negative log-likelihood. Lower is better. It compares only
            between models of the same vocabulary.
        """
        with np.errstate(over="ignore"):  # of texts that cannot be less likely it is infinite
            return float(np.exp(-self.score(X)))

    def score(self, X: Iterable[str], y: Any = None) -> float:
        """Mean log-likelihood per token of texts; higher is better.

        Parameters
        ----------
        X : iterable of str
            The texts.
        y : None
            Ignored.

        Returns
        -------
        float
            In nats, the negative logarithm of the perplexity.
        """
        check_is_fitted(self)
        texts = check_texts(X)
        tokens = TokenLists(*self.trained_.tokenizer.encode(texts))
        device = resolve_device(self.device)
        total, count = 0.0, 0
        for direction in self.trained_.directions:
            nll, n_tokens = negative_log_likelihood(
                self._module(direction, device),
                tokens,
                device,
                eos_id=self.trained_.tokenizer.vocab.bos_id,
                backward=direction == "backward",
                bptt=self.bptt,
            )
            total, count = total + nll, count + n_tokens
        return -total / count

    def generate(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 50,
        temperature: float = 1.0,
        random_state: Any = None,
    ) -> str:
        """Let the forward language model write on.

        Parameters
        ----------
        prompt : str, default=""
            The text to go on from.
        max_tokens : int, default=50
            Number of tokens to write at most; it ends earlier where the model ends the text.
        temperature : float, default=1.0
            Below 1 the likely words become likelier still; 0 always takes the likeliest.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        str
            Prompt and continuation.

        Raises
        ------
        ValueError
            If the language model reads backward only, or a parameter is not valid.
        """
        check_is_fitted(self)
        if "forward" not in self.trained_.directions:
            raise ValueError("generate() needs a forward language model: this reads backward only.")
        if not isinstance(temperature, Real) or not 0 <= temperature < np.inf:
            raise ValueError(f"temperature must be a number from 0 up, got {temperature!r}.")
        if not isinstance(max_tokens, Integral) or max_tokens < 0:
            raise ValueError(f"max_tokens must be a whole number from 0 up, got {max_tokens!r}.")
        tokenizer = self.trained_.tokenizer
        written = continue_text(
            self._module("forward", resolve_device(self.device)),
            tokenizer.encode(check_texts([prompt]))[0].tolist(),
            max_tokens=max_tokens,
            temperature=temperature,
            random=random_numbers(random_state),
            end_id=tokenizer.vocab.bos_id,
            never_id=tokenizer.vocab.unk_id,
        )
        return str(tokenizer.decode(written))

    def _module(self, direction: str, device: torch.device) -> LanguageModel:
        """Build the network of a direction, or take the one built before."""
        key = f"{direction} {device}"
        modules = self.__dict__.setdefault("_modules", {})
        if key not in modules:
            modules[key] = self.trained_.module(direction).to(device)
        return modules[key]
