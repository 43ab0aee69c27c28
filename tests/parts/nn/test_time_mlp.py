"""The perceptron with a clock: what it refuses, and that it learns a field that depends on time and condition."""

import pytest
import torch

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.parts.nn.time_mlp import TimeMLP


def test_learns_a_field_that_depends_on_time_and_condition():
    net = TimeMLP(2, hidden=32, layers=2, condition=1)
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)

    def loss() -> torch.Tensor:
        x, t = torch.randn(256, 2, generator=generator), torch.rand(256, generator=generator)
        condition = torch.randn(256, 1, generator=generator)
        target = torch.sin(4 * t)[:, None] * x + condition * torch.tensor([1.0, -1.0])
        return (net(x, t, condition) - target).square().mean()

    before = loss().item()
    for _ in range(300):
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
    assert loss().item() < 0.05 * before


def test_two_kinds_of_condition_are_refused():
    with pytest.raises(ConfigError, match="classes or a condition width"):
        TimeMLP(2, classes=3, condition=2)


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"layers": 0}, {"condition": -1}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ConfigError, match="raise what is too small"):
        TimeMLP(2, **wrong)


def test_a_missing_condition_is_refused():
    net = TimeMLP(2, condition=3)
    with pytest.raises(ShapeError, match=r"of shape \(4, 3\), got none"):
        net(torch.randn(4, 2), torch.rand(4))


@pytest.mark.parametrize("hidden", [1, 2, 7])
def test_narrow_ones_work(hidden):
    assert TimeMLP(1, hidden=hidden)(torch.randn(3, 1), torch.rand(3)).shape == (3, 1)
