"""Gradients of the embedding's rows: the same sums as torch's own, in memory that is kept."""

import pytest
import torch

from sk_ulmfit.modules import AWD_LM_DROPOUTS, LanguageModel
from sk_ulmfit.modules.awd_lstm import EncoderSizes
from sk_ulmfit.modules.dropout import MaskSource
from sk_ulmfit.training.embeddings import gradients_of_rows
from sk_ulmfit.training.language_model import LanguageModelLoss


def language_model():
    module = LanguageModel(EncoderSizes(500, 12, 16, 2), AWD_LM_DROPOUTS)
    module.reset_parameters(torch.Generator().manual_seed(0))
    return module.double()


def train_steps(module, n_samples, *, sparse):
    """Gradients of three steps, each on other words."""
    source = MaskSource(torch.Generator().manual_seed(1))
    random = torch.Generator().manual_seed(2)
    loss = LanguageModelLoss(n_samples=n_samples, generator=random, sparse_gradients=sparse)
    steps = []
    for _ in range(3):
        ids = torch.randint(500, (8, 4), generator=random)
        module.zero_grad()
        loss(module(ids[:-1], None, source, sparse), ids[1:]).backward()
        steps.append({name: p.grad.clone() for name, p in module.named_parameters()})
    return steps


@pytest.mark.parametrize("n_samples", [None, 50])
def test_gradients_are_those_of_dense_lookups(n_samples):
    dense = train_steps(language_model(), n_samples, sparse=False)
    module = language_model()
    with gradients_of_rows(module.encoder):
        sparse = train_steps(module, n_samples, sparse=True)
    for expected, found in zip(dense, sparse, strict=True):
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-12, atol=1e-15)


def test_a_sampled_softmax_takes_no_new_memory_for_the_embeddings_gradient():
    module = language_model()
    places = set()
    embedding = module.encoder.embedding
    with gradients_of_rows(module.encoder):
        embedding.register_post_accumulate_grad_hook(lambda p: places.add(p.grad.data_ptr()))
        train_steps(module, 50, sparse=True)
    assert len(places) == 1


def test_nothing_of_it_stays():
    module = language_model()
    with pytest.raises(RuntimeError, match="interrupted"), gradients_of_rows(module.encoder):
        raise RuntimeError("interrupted")
    lookup = module(torch.zeros(3, 2, dtype=torch.long), sparse_gradients=True)
    lookup.hidden.sum().backward()
    assert module.encoder.embedding.grad.is_sparse
