"""The hand-written gradient of a ReLU network. Oracle: automatic differentiation of the same network in single operations."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from pushforward.parts.nn.relu_layers import relu_layers


def plain(x, weights, biases):
    for w, b in zip(weights[:-1], biases[:-1]):
        x = torch.relu(x @ w.T + b)
    return x @ weights[-1].T + biases[-1]


def network(sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(b, a, dtype=torch.float64, generator=generator) for a, b in pairwise(sizes)]
    biases = [torch.randn(b, dtype=torch.float64, generator=generator) for b in sizes[1:]]
    x = torch.randn(5, sizes[0], dtype=torch.float64, generator=generator)
    return x, weights, biases


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("sizes", [(3, 2), (3, 8, 2), (40, 50, 40, 33)], ids=str)
def test_values_and_gradients(sizes, columns):
    x, weights, biases = network(sizes)
    wanted = [t.requires_grad_() for t in (x, *weights, *biases)]
    out, expected = relu_layers(x, weights, biases, columns), plain(x, weights, biases)
    torch.testing.assert_close(out.T if columns else out, expected)
    g = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours, theirs = torch.autograd.grad(out, wanted, g.T if columns else g), torch.autograd.grad(expected, wanted, g)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b)


def test_a_graph_can_be_kept_and_used_twice():
    x, weights, biases = network((3, 8, 2))
    x.requires_grad_()
    out = relu_layers(x, weights, biases, False).sum()
    first = torch.autograd.grad(out, x, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(out, x)[0])


def test_second_derivatives_forward_mode_and_vmap():
    x, weights, biases = network((3, 8, 2))
    parameters = tuple(t.requires_grad_() for t in (x, *weights, *biases))
    assert torch.autograd.gradgradcheck(lambda x, *p: relu_layers(x, p[:2], p[2:], True), parameters)
    dots = tuple(torch.ones_like(p) for p in parameters)
    ours = torch.func.jvp(lambda x, *p: relu_layers(x, p[:2], p[2:], False), parameters, dots)
    theirs = torch.func.jvp(lambda x, *p: plain(x, p[:2], p[2:]), parameters, dots)
    torch.testing.assert_close(ours, theirs)
    each = torch.func.vmap(torch.func.jacrev(lambda row: relu_layers(row[None], weights, biases, False)[0]))(x)
    torch.testing.assert_close(
        each, torch.func.vmap(torch.func.jacrev(lambda row: plain(row[None], weights, biases)[0]))(x)
    )


def test_weights_without_gradient_get_none():
    linear = nn.Linear(3, 2)
    linear.weight.requires_grad_(False)
    relu_layers(torch.randn(4, 3), [linear.weight], [linear.bias], False).sum().backward()
    assert linear.weight.grad is None
    torch.testing.assert_close(linear.bias.grad, torch.full((2,), 4.0))
