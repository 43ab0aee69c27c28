"""Contractive networks: what they refuse, what a missing coefficient means, and what a condition does."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.parts.nn.contractive_activation import CONTRACTIVE, ContractiveActivation


@pytest.mark.parametrize("name", CONTRACTIVE)
def test_slopes_are_those_of_autodiff_and_at_most_one(name):
    activation = ContractiveActivation(name).double()
    x = torch.linspace(-20, 20, 2001, dtype=torch.float64, requires_grad=True)
    value, slope = activation.with_slope(x)
    (expected,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(value, activation(x))
    assert 0.9 < slope.abs().max() <= 1


def test_an_unknown_activation_is_refused():
    with pytest.raises(ConfigError, match="slopes are at most 1"):
        pf.nn.ContractiveMLP(2, activation="relu")


@pytest.mark.parametrize("settings", [{"features": 0}, {"hidden": []}, {"hidden": [0]}, {"coefficient": 0.0}, {"condition": -1}])  # fmt: skip
def test_impossible_perceptrons_are_refused(settings):
    with pytest.raises(ConfigError, match="expected"):
        pf.nn.ContractiveMLP(**{"features": 2, **settings})


@pytest.mark.parametrize("settings", [{"event_shape": (2, 2)}, {"kernels": [3]}, {"kernels": [3, 2, 3]}, {"channels": []}])  # fmt: skip
def test_impossible_convolutions_are_refused(settings):
    with pytest.raises(ConfigError, match="expected"):
        pf.nn.ContractiveConv(**{"event_shape": (1, 4, 4), **settings})


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="expected x of shape"):
        pf.nn.ContractiveConv((1, 4, 4))(torch.zeros(1, 1, 5, 5))
    with pytest.raises(ShapeError, match="expected a condition"):
        pf.nn.ContractiveMLP(2, condition=1)(torch.zeros(3, 2))
    with pytest.raises(ShapeError, match="expected no condition"):
        pf.nn.ContractiveMLP(2)(torch.zeros(3, 2), torch.zeros(3, 1))


def test_without_a_coefficient_nothing_is_bounded():
    network = pf.nn.ContractiveMLP(2, hidden=[8], coefficient=None)
    assert network.lipschitz_bound() == float("inf")
    assert all(layer.normalised() is layer.weight for layer in network.layers)


def test_it_begins_small():
    network = pf.nn.ContractiveMLP(3)
    assert network(torch.randn(100, 3)).abs().max() < 0.1


def test_a_copy_and_another_precision_have_norms_of_their_own():
    layer = pf.nn.SpectralLinear(3, 3, 0.5).eval()
    with torch.no_grad():
        layer.weight.mul_(10)
        before = layer.normalised()
        layer.weight.mul_(2)
        torch.testing.assert_close(layer.normalised(), before)
        with torch.inference_mode():
            layer.weight.mul_(3)
            torch.testing.assert_close(layer.normalised(), before)
        torch.testing.assert_close(layer.double().normalised().float(), before)
