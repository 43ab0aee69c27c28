"""A network on sets: order, padding, emptiness and the two aggregates."""

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.nn.deep_set import DeepSet


def elements_and_mask():
    return torch.randn(4, 6, 3), torch.arange(6) < torch.tensor([[6], [4], [1], [0]])


@pytest.mark.parametrize("aggregate", ["mean", "sum"])
def test_sets_are_aggregated_element_by_element(aggregate):
    net = DeepSet(3, 5, hidden=8, layers=2, aggregate=aggregate)
    elements, mask = elements_and_mask()
    for row, (found, real) in enumerate(zip(net(elements, mask), mask)):
        each = [net.element(element[None])[0] for element in elements[row, real]]
        expected = torch.stack(each).sum(0) if each else torch.zeros(5)
        if aggregate == "mean" and each:
            expected = expected / len(each)
        torch.testing.assert_close(found, expected)


def test_order_does_not_matter():
    net = DeepSet(3, 5, hidden=8)
    elements, mask = elements_and_mask()
    order = torch.randperm(6)
    torch.testing.assert_close(net(elements[:, order], mask[:, order]), net(elements, mask))


@pytest.mark.parametrize("filling", [1e30, torch.inf, torch.nan])
def test_padding_reaches_neither_output_nor_gradient(filling):
    net = DeepSet(3, 5, hidden=8)
    elements, mask = elements_and_mask()
    filled = torch.where(mask[..., None], elements, filling).requires_grad_()
    assert torch.equal(net(filled, mask), net(elements, mask))
    gradients = torch.autograd.grad(net(filled, mask).sum(), [filled, *net.parameters()])
    expected = torch.autograd.grad(net(elements, mask).sum(), list(net.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(gradients[1:], expected))
    assert gradients[0][~mask].eq(0).all()


def test_empty_sets_are_zero():
    net = DeepSet(3, 5, hidden=8)
    assert net(torch.zeros(2, 0, 3), torch.zeros(2, 0, dtype=torch.bool)).equal(torch.zeros(2, 5))
    assert net(torch.ones(2, 4, 3), torch.zeros(2, 4, dtype=torch.bool)).equal(torch.zeros(2, 5))


def test_an_unknown_aggregate_is_refused():
    with pytest.raises(ConfigError, match="expected aggregate 'mean' or 'sum', got 'max'"):
        DeepSet(3, 5, aggregate="max")
