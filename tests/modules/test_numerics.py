"""The networks against the plain float64 reference: outputs, losses and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sk_ulmfit.modules import AWDLSTM, POOLINGS, LanguageModel, TextClassifier, rarity
from sk_ulmfit.modules.awd_lstm import EncoderSizes, detach
from sk_ulmfit.modules.classifier import CHUNKS_KEPT_FOR_BACKWARD, pool_documents
from sk_ulmfit.modules.dropout import Dropouts, MaskSource, draw_mask
from sk_ulmfit.training.language_model import LanguageModelLoss
from tests import reference

SIZES = EncoderSizes(vocab_size=23, emb_size=6, hidden_size=9, n_layers=3)
WEIGHTS = torch.linspace(0.05, 1.0, SIZES.vocab_size, dtype=torch.float64)  # of the tokens
DROPOUTS = Dropouts(output=0.3, hidden=0.25, input=0.4, embed=0.2, weight=0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def language_model(dropouts: Dropouts | None = None) -> LanguageModel:
    module = LanguageModel(SIZES, dropouts)
    module.reset_parameters(generator())
    with torch.no_grad():
        module.bias.uniform_(-1, 1, generator=generator(1))
    return module.double()


def classifier(dropouts: Dropouts | None = None, bptt: int = 4) -> TextClassifier:
    module = TextClassifier(SIZES, 3, dropouts=dropouts, head_sizes=(5,), bptt=bptt)
    module.reset_parameters(generator())
    for block in module.head.blocks:  # statistics and weights as after some training
        block.norm.running_mean.uniform_(-1, 1, generator=generator(3))
        block.norm.running_var.uniform_(0.5, 2, generator=generator(4))
        torch.nn.init.uniform_(block.norm.weight, 0.5, 2, generator=generator(5))
    return module.double()


def random_ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(SIZES.vocab_size, shape, generator=generator(seed))


def gradients(module: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    module.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert set(ours) == set(theirs)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-9, atol=1e-11, msg=name)


def test_language_model_loss_and_gradients_with_every_dropout():
    module = language_model(DROPOUTS).train()
    ids, targets = random_ids(7, 4), random_ids(7, 4, seed=1)
    loss_function = LanguageModelLoss(regularisation=1.0)

    loss = loss_function(module(ids, source=MaskSource(generator(2))), targets)
    ours = gradients(module, loss)

    # The same masks once more, from the same seed and in the same order of drawing.
    source = MaskSource(generator(2))
    masks = module.encoder.draw_masks(4, source)
    output_mask = source.draw((1, 4, 6), 0.3, module.bias)
    expected = reference.language_model_loss(
        module.encoder,
        module.bias,
        ids.t().tolist(),
        targets.t().tolist(),
        masks,
        output_mask,
        2,
        1,
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert_same(ours, gradients(module, expected))
    assert len(ours) == 3 * 4 + 2


def test_evaluation_drops_nothing_and_has_no_regularisers():
    module = language_model(DROPOUTS).eval()
    loss_function = LanguageModelLoss().eval()
    ids, targets = random_ids(5, 2), random_ids(5, 2, seed=1)
    expected = reference.language_model_loss(
        module.encoder, module.bias, ids.t().tolist(), targets.t().tolist(), None, None, 0, 0
    )
    assert loss_function(module(ids), targets).item() == pytest.approx(expected.item(), rel=1e-12)


def test_state_is_carried_from_chunk_to_chunk():
    module = language_model().eval()
    ids = random_ids(11, 3)
    whole, _ = module.encoder(ids)
    first, state = module.encoder(ids[:4])
    second, _ = module.encoder(ids[4:], detach(state))
    for parts in zip(first, second, whole, strict=True):
        torch.testing.assert_close(torch.cat(parts[:2]), parts[2], rtol=0, atol=1e-14)


def test_gradients_end_at_the_chunk_border():
    module = language_model().eval()
    _, state = module.encoder(random_ids(4, 2))
    assert all(h.requires_grad for h, _ in state)
    assert not any(part.requires_grad for pair in detach(state) for part in pair)


@pytest.mark.parametrize("bptt", [1, 4, 50])
def test_classifier_forward_and_gradients_over_several_chunks(bptt):
    module = classifier(bptt=bptt).eval()
    lengths = [13, 9, 8, 4, 1]
    ids = random_ids(5, 13)
    ours = module(ids, torch.tensor(lengths))
    expected = torch.stack(
        [reference.classify_row(module, ids[i, :n].tolist()) for i, n in enumerate(lengths)]
    )
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)

    towards = torch.randn(5, 3, generator=generator(8), dtype=torch.float64)
    assert_same(
        gradients(module, (ours * towards).sum()), gradients(module, (expected * towards).sum())
    )


def test_training_pass_uses_one_mask_for_all_chunks_of_a_document():
    encoder = AWDLSTM(SIZES, DROPOUTS)
    encoder.reset_parameters(generator())
    encoder.double().train()
    lengths = [9, 6, 2]
    ids = random_ids(3, 9)
    masks = encoder.draw_masks(3, MaskSource(generator(5)))
    ours = pool_documents(
        encoder, ids, torch.tensor(lengths), WEIGHTS, "concat", bptt=4, masks=masks
    )
    for row, n in enumerate(lengths):
        hidden, _ = reference.encode_row(encoder, ids[row, :n].tolist(), masks, row)
        torch.testing.assert_close(ours[row], reference.concat_pool(hidden), rtol=1e-10, atol=1e-12)


def test_recomputing_chunks_of_long_documents_changes_no_gradient(monkeypatch):
    def run() -> dict[str, torch.Tensor]:
        module = classifier(DROPOUTS, bptt=2).train()
        logits = module(ids, torch.tensor([30, 21, 3]), source=MaskSource(generator(2)))
        return gradients(module, logits.square().sum())

    ids = random_ids(3, 30)
    assert CHUNKS_KEPT_FOR_BACKWARD < 30 / 2
    recomputed = run()
    monkeypatch.setattr("sk_ulmfit.modules.classifier.CHUNKS_KEPT_FOR_BACKWARD", 1000)
    assert_same(recomputed, run())


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
def test_pooling_never_sees_padding(pooling):
    encoder = classifier().encoder.eval()
    ids = random_ids(4, 12)
    lengths = torch.tensor([12, 7, 7, 1])
    pooled = pool_documents(encoder, ids, lengths, WEIGHTS, pooling, bptt=5)
    for row, n in enumerate(lengths.tolist()):
        for padding in (0, 5):
            other = ids.clone()
            other[row, n:] = padding
            again = pool_documents(encoder, other, lengths, WEIGHTS, pooling, bptt=5)
            assert torch.equal(again, pooled)
        alone = pool_documents(
            encoder, ids[row : row + 1, :n], lengths[row : row + 1], WEIGHTS, pooling, 100
        )
        torch.testing.assert_close(pooled[row], alone[0], rtol=0, atol=1e-12)


def test_max_pooling_of_negative_outputs_beside_padding():
    encoder = classifier().encoder.eval()
    ids = random_ids(2, 6)
    pooled = pool_documents(encoder, ids, torch.tensor([6, 1]), WEIGHTS, "max", bptt=6)
    alone = pool_documents(encoder, ids[1:, :1], torch.tensor([1]), WEIGHTS, "last", bptt=6)
    assert (alone < 0).any(), "nothing negative: a zero from padding would not show"
    torch.testing.assert_close(pooled[1], alone[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("bptt", [2, 100])
def test_every_layer_is_pooled_by_maximum_mean_and_weighted_mean(bptt):
    encoder = classifier().encoder.eval()
    ids = random_ids(2, 7)
    pooled = pool_documents(encoder, ids, torch.tensor([7, 4]), WEIGHTS, "concat-layers", bptt=bptt)
    for row, n in enumerate([7, 4]):
        outputs, _ = encoder(ids[row, :n, None])
        hidden, weights = torch.cat(outputs, dim=2)[:, 0], WEIGHTS[ids[row, :n]]
        weighted = sum(w * h for w, h in zip(weights, hidden, strict=True)) / sum(weights)
        expected = torch.cat([hidden.max(dim=0).values, hidden.mean(dim=0), weighted])
        torch.testing.assert_close(pooled[row], expected, rtol=1e-10, atol=1e-12)


def test_rare_words_weigh_more():
    frequencies = torch.tensor([0.9, 0.09, 0.0099, 0.0001])
    weights = rarity(frequencies.log() + 3)  # a softmax's bias is known up to a constant
    torch.testing.assert_close(weights, 1e-4 / (1e-4 + frequencies))
    torch.testing.assert_close(weights[-1], torch.tensor(0.5))


def test_one_row_can_be_trained_on_despite_batch_normalisation():
    module = classifier().train()
    loss = module(random_ids(1, 5), torch.tensor([5])).sum()
    assert all(torch.isfinite(g).all() for g in gradients(module, loss).values())


@pytest.mark.parametrize("p", [0.02, 0.25, 0.5, 0.9])
def test_masks_drop_the_share_they_should_and_keep_the_mean(p):
    mask = draw_mask((1001, 997), p, torch.zeros(1), generator())
    kept = mask != 0
    n = mask.numel()
    assert abs((~kept).double().mean().item() - p) < 5 * np.sqrt(p * (1 - p) / n)
    assert torch.all(mask[kept] == mask.max())
    assert mask.max().item() == pytest.approx(1 / (1 - p), rel=1e-6)


def test_masks_are_the_kinds_that_the_paper_names():
    encoder = language_model(DROPOUTS).encoder
    masks = encoder.draw_masks(4, MaskSource(generator(2)))
    assert masks.words.shape == (23, 1)  # whole words
    assert masks.inputs.shape == (1, 4, 6)  # the same for all time steps
    assert [tuple(mask.shape) for mask in masks.hiddens] == [(1, 4, 9), (1, 4, 9)]
    for layer, dropped in zip(encoder.layers, masks.recurrent, strict=True):
        zero = dropped == 0
        assert 0.2 < zero.double().mean() < 0.8
        torch.testing.assert_close(dropped[~zero], 2 * layer.weight_hh[~zero])


def test_softmax_is_tied_to_the_embedding():
    module = language_model()
    assert sum(p.numel() for p in module.parameters()) == sum(
        p.numel() for p in module.encoder.parameters()
    ) + len(module.bias)
    hidden = torch.randn(2, 6, dtype=torch.float64)
    expected = hidden @ module.encoder.embedding.T + module.bias
    torch.testing.assert_close(module.logits(hidden), expected)


def test_a_second_derivative_of_pools_is_refused():
    module = classifier().train()
    logits = module(random_ids(2, 5), torch.tensor([5, 3]))
    with pytest.raises(RuntimeError, match="once only"):
        torch.autograd.grad(logits.square().sum(), [module.encoder.embedding], create_graph=True)
