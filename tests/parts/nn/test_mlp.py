import pytest
import torch
from torch import nn

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.parts.nn import MLP, ResidualMLP

NETWORKS = pytest.mark.parametrize("build", [MLP, ResidualMLP], ids=lambda c: c.__name__)


def test_an_mlp_is_its_layers():
    torch.manual_seed(0)
    network = MLP(3, 2, hidden=[5, 4], activation="tanh", condition=1)
    plain = nn.Sequential(network.hidden[0], nn.Tanh(), network.hidden[1], nn.Tanh(), network.head.linear)
    x, condition = torch.randn(6, 3), torch.randn(6, 1)
    torch.testing.assert_close(network(x, condition), plain(torch.cat([x, condition], 1)))
    assert [tuple(p.shape) for p in MLP(3, 2, hidden=[]).parameters()] == [(2, 3), (2,)]


@NETWORKS
def test_columns_are_the_transpose_with_the_same_gradients(build):
    torch.manual_seed(0)
    network, x = build(3, 4), torch.randn(6, 3)
    assert network.columns(x).is_contiguous()
    torch.testing.assert_close(network.columns(x).T, network(x))
    weights = torch.randn(6, 4)
    one = torch.autograd.grad((network(x) * weights).sum(), list(network.parameters()))
    other = torch.autograd.grad((network.columns(x).T * weights).sum(), list(network.parameters()))
    torch.testing.assert_close(one, other)


@NETWORKS
def test_without_input_it_is_a_learned_constant(build):
    network = build(0, 3)
    assert [tuple(p.shape) for p in network.parameters()] == [(3,)]
    assert torch.equal(network(torch.empty(5, 0)), torch.zeros(5, 3))
    assert network(torch.empty(0, 0)).shape == (0, 3)
    network(torch.empty(5, 0)).sum().backward()
    assert torch.equal(next(network.parameters()).grad, torch.full((3,), 5.0))
    assert build(0, 3, condition=2)(torch.empty(5, 0), torch.randn(5, 2)).shape == (5, 3)


@NETWORKS
def test_zero_last_begins_at_zero(build):
    assert torch.equal(build(2, 3, zero_last=True)(torch.randn(5, 2)), torch.zeros(5, 3))
    assert (build(2, 3)(torch.randn(5, 2)) != 0).all()


@NETWORKS
def test_dropout_acts_in_training_only(build):
    torch.manual_seed(0)
    network, x = build(2, 3, dropout=0.5), torch.randn(200, 2)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
    with pytest.raises(ConfigError, match="dropout in"):
        build(2, 3, dropout=1.0)


@NETWORKS
def test_misfits_are_refused(build):
    with pytest.raises(ShapeError, match=r"expected x of shape \(n, 2\), got \(4, 3\)"):
        build(2, 1)(torch.zeros(4, 3))
    with pytest.raises(ShapeError, match="expected no condition"):
        build(2, 1)(torch.zeros(4, 2), torch.zeros(4, 1))
    with pytest.raises(ShapeError, match=r"expected a condition of shape \(4, 2\), got none"):
        build(2, 1, condition=2)(torch.zeros(4, 2))
    with pytest.raises(ShapeError, match=r"expected a condition of shape \(4, 2\), got one of shape \(3, 2\)"):
        build(2, 1, condition=2)(torch.zeros(4, 2), torch.zeros(3, 2))
    with pytest.raises(ConfigError, match="raise what is too small"):
        build(2, 0)
    with pytest.raises(ConfigError, match="expected an activation among elu, gelu"):
        build(2, 1, activation="swish")


def test_a_residual_network_begins_near_its_linear_part():
    torch.manual_seed(0)
    network, x = ResidualMLP(3, 2, width=16, blocks=4), torch.randn(50, 3)
    linear = network.head(torch.nn.functional.silu(network.enter(x)))
    assert (network(x) - linear).abs().max() < 0.02
