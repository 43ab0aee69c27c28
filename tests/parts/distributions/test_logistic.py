import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.distributions import Logistic


def test_a_scale_that_is_not_positive_is_refused():
    with pytest.raises(ConfigError, match="expected a positive scale"):
        Logistic(torch.zeros(2), torch.tensor([1.0, 0.0]))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="loc and scale of one shape"):
        Logistic(torch.zeros(2), torch.ones(3))


def test_far_tails_are_finite_in_value_and_gradient():
    x = torch.tensor([[-1e30], [1e30]], requires_grad=True)
    log_prob = Logistic(torch.zeros(1), torch.ones(1)).log_prob(x)
    torch.testing.assert_close(log_prob, torch.tensor([-1e30, -1e30]))
    assert torch.autograd.grad(log_prob.sum(), x)[0].flatten().tolist() == [1.0, -1.0]
