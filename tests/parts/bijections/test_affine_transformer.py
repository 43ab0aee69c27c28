import math

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import AffineTransformer


def test_the_scale_is_bounded_and_small_scales_are_left_alone():
    z, transformer = torch.ones(3), AffineTransformer(limit=2.0)
    _, s = transformer.forward(z, torch.tensor([[0.0, 0.0, 0.0], [1e-3, 1e30, -1e30]]))
    torch.testing.assert_close(s, torch.tensor([1e-3, 2.0, -2.0]))


def test_value_and_gradient_are_finite_for_every_finite_parameter():
    parameters = torch.tensor([[0.0, 0.0, 1e20], [3e38, -3e38, 0.0]], requires_grad=True)
    for direction in ("forward", "inverse"):
        value, log_derivative = getattr(AffineTransformer(), direction)(torch.tensor([1e3, -1e3, 1.0]), parameters)
        (gradient,) = torch.autograd.grad(value.sum() + log_derivative.sum(), parameters)
        assert all(torch.isfinite(result).all() for result in (value, log_derivative, gradient))


def test_an_infinite_limit_is_the_bare_exponential():
    x, s = AffineTransformer(math.inf).forward(torch.ones(1), torch.tensor([[0.0], [5.0]]))
    torch.testing.assert_close((x, s), (torch.tensor([math.exp(5)]), torch.tensor([5.0])))


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_a_limit_that_is_not_positive_is_refused(limit):
    with pytest.raises(ConfigError, match="expected a positive limit"):
        AffineTransformer(limit)
