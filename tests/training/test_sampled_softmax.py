"""The sampled softmax: what it costs less, and that it learns the scores of the whole one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sk_ulmfit import ULMFiTLanguageModel
from sk_ulmfit.modules import LanguageModelOutput
from sk_ulmfit.training.language_model import next_token_loss
from sk_ulmfit.training.sampled_softmax import log_times_drawn, sampled_next_token_loss
from tests.helpers import banking, language_model

N_WORDS, SIZE = 50, 8


def output(seed=0):
    random = torch.Generator().manual_seed(seed)
    hidden = torch.randn(7, 3, SIZE, generator=random)
    weight = torch.randn(N_WORDS, SIZE, generator=random).requires_grad_()
    bias = torch.randn(N_WORDS, generator=random).requires_grad_()
    return LanguageModelOutput(hidden, hidden, weight, bias, []), torch.randint(
        N_WORDS, (7, 3), generator=random
    )


def test_with_every_word_drawn_it_is_the_whole_softmax():
    predicted, targets = output()
    random = torch.Generator().manual_seed(0)
    sampled = sampled_next_token_loss(predicted, targets, 1_000_000, random)
    torch.testing.assert_close(sampled, next_token_loss(predicted, targets))


def test_it_learns_the_probabilities_that_the_whole_softmax_would():
    # Words that are drawn often are rare here, and the other way round.
    wanted = torch.arange(1, 21, dtype=torch.float32) ** 2
    wanted /= wanted.sum()
    random = torch.Generator().manual_seed(0)
    targets = torch.multinomial(wanted, 100_000, replacement=True, generator=random)
    hidden, weight = torch.zeros(100, 1, 1), torch.zeros(20, 1)
    bias = torch.zeros(20, requires_grad=True)
    optimizer = torch.optim.Adam([bias], lr=0.05)
    rates = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=1000)
    for batch in targets.view(1000, 100, 1):
        predicted = LanguageModelOutput(hidden, hidden, weight, bias, [])
        optimizer.zero_grad()
        sampled_next_token_loss(predicted, batch, 5, random).backward()
        optimizer.step()
        rates.step()
    learned = bias.softmax(0)
    assert (learned - wanted).abs().max() < 0.04
    assert torch.corrcoef(torch.stack([learned, wanted]))[0, 1] > 0.97


@pytest.mark.parametrize("n_samples", [1, 3])
def test_few_draws_give_finite_gradients(n_samples):
    predicted, targets = output()
    loss = sampled_next_token_loss(predicted, targets, n_samples, torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(predicted.softmax_weight.grad).all()


def test_a_target_that_is_all_that_was_drawn_gives_finite_gradients():
    predicted, _ = output()
    targets = torch.zeros(7, 3, dtype=torch.long)  # the likeliest to be drawn
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        sampled_next_token_loss(predicted, targets, 1, random).backward()
    assert torch.isfinite(predicted.softmax_weight.grad).all()


def test_a_language_model_learns_with_it():
    texts, _ = banking(3, 30)
    params = {"max_epochs": 8, "dropout_mult": 0.1}
    whole = language_model(**params).fit(texts).perplexity(texts)
    sampled = language_model(softmax_samples=100, **params).fit(texts).perplexity(texts)
    untrained = language_model(max_epochs=1, lr=1e-9).fit(texts).perplexity(texts)
    assert whole < 0.6 * untrained
    assert sampled < 1.4 * whole


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="softmax_samples"):
        ULMFiTLanguageModel(None, softmax_samples=0).fit(["a text"])


def test_as_many_draws_as_words_are_the_whole_softmax():
    texts, _ = banking(2, 10)
    whole, drawn = (
        language_model(max_epochs=1, softmax_samples=n).fit(texts) for n in (None, 10**12)
    )
    assert drawn.trained_.fingerprint == whole.trained_.fingerprint


@pytest.mark.parametrize("vocab_size", [60_000, 250_000, 1_000_000])
@pytest.mark.parametrize("n_samples", [1, 4096])
def test_rare_words_are_corrected_as_they_are_drawn(vocab_size, n_samples):
    words = np.r_[0, 1, 10, np.linspace(100, vocab_size - 1, 1000).astype(int)]
    probability = np.log1p(1 / (words + 1.0)) / np.log(vocab_size + 1)
    exact = np.log(-np.expm1(n_samples * np.log1p(-probability)))
    found = log_times_drawn(torch.from_numpy(words), n_samples, vocab_size)
    np.testing.assert_allclose(found, exact, rtol=0, atol=5e-6)
