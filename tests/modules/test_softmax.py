"""The softmax in chunks is the softmax."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sk_ulmfit.modules import softmax


def problem(n=700, width=24, n_words=300, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(n, width, generator=generator, dtype=dtype)
    weight = torch.randn(n_words, width, generator=generator, dtype=dtype)
    bias = torch.randn(n_words, generator=generator, dtype=dtype)
    targets = torch.randint(n_words, (n,), generator=generator)
    return hidden.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets


def reference(hidden, weight, bias, targets):
    return F.cross_entropy(F.linear(hidden, weight, bias).float(), targets)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 700])
def test_loss_and_gradients_are_those_of_the_whole_matrix(n):
    problems = problem(n), problem(n)
    losses = []
    for function, arguments in zip(
        (softmax.linear_cross_entropy, F.cross_entropy), problems, strict=True
    ):
        if function is F.cross_entropy:
            hidden, weight, bias, targets = arguments
            loss = function(F.linear(hidden, weight, bias), targets)
        else:
            loss = function(*arguments)
        (3 * loss).backward()  # what comes down from above is not always 1
        losses.append(loss)
    torch.testing.assert_close(*losses)
    for ours, theirs in zip(*problems, strict=True):
        if ours.requires_grad:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_scores_that_are_huge_or_alike_make_no_nan():
    hidden, weight, bias, targets = problem(dtype=torch.float32)
    for scale in (0.0, 1e4):
        arguments = (hidden.detach() * scale).requires_grad_(), weight, bias, targets
        loss = softmax.linear_cross_entropy(*arguments)
        loss.backward()
        torch.testing.assert_close(loss, reference(*arguments), rtol=1e-5, atol=0)
        assert arguments[0].grad.isfinite().all()


def test_mixed_precision_is_near_and_sums_in_float32():
    arguments, exact = problem(dtype=torch.float32), problem(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = softmax.linear_cross_entropy(arguments[0].to(torch.bfloat16), *arguments[1:])
    loss.backward()
    expected = reference(*exact)
    expected.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.01, atol=0)
    for ours, theirs in zip(arguments[:3], exact[:3], strict=True):
        assert ours.grad.dtype == torch.float32
        assert F.cosine_similarity(ours.grad.flatten(), theirs.grad.flatten(), dim=0) > 0.999


def test_no_matrix_of_all_logits_is_made():
    hidden, weight, bias, targets = problem(n=5000, n_words=2000, dtype=torch.float32)
    with torch.profiler.profile(profile_memory=True) as profile:
        softmax.linear_cross_entropy(hidden, weight, bias, targets).backward()
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert 0 < largest < 5000 * 2000 * 4 / 4


def test_without_gradients_there_are_none():
    hidden, weight, bias, targets = problem()
    with torch.profiler.profile() as profile, torch.no_grad():
        loss = softmax.linear_cross_entropy(hidden, weight, bias, targets)
    names = [event.name for event in profile.events()]
    products = [name for name in names if name in ("aten::mm", "aten::addmm", "aten::addmm_")]
    assert len(products) == -(-len(hidden) // 512), "those of the logits alone"
    assert not loss.requires_grad
    torch.testing.assert_close(loss.float(), reference(hidden, weight, bias, targets))


def test_a_second_derivative_is_refused():
    hidden, weight, bias, targets = problem(n=20)
    loss = softmax.linear_cross_entropy(hidden, weight, bias, targets)
    with pytest.raises(RuntimeError, match="once only"):
        torch.autograd.grad(loss, [hidden], create_graph=True)
