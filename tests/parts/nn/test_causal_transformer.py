"""`CausalTransformer`: a walk with the cache says what one pass says; shapes, dtypes and errors."""

import pytest
import torch

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.parts.nn import CausalTransformer


def stirred(**settings) -> CausalTransformer:
    network = CausalTransformer(5, 2, 3, width=8, heads=2, **settings)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("settings", [{}, {"condition": 2}, {"classes": 3}], ids=str)
def test_a_walk_says_what_a_pass_says(settings, dtype):
    network, x = stirred(**settings).to(dtype), torch.randn(4, 5, 2, dtype=dtype)
    condition = (
        torch.randn(4, 2, dtype=dtype)
        if "condition" in settings
        else torch.arange(4).to(dtype) % 3
        if settings
        else None
    )
    cache = network.cache(4, condition)
    assert cache.keys[0].shape == (4, 2, 5, 4)
    said = torch.stack([network.step(x[:, t - 1] if t else None, t, cache) for t in range(5)], 1)
    torch.testing.assert_close(said, network(x, condition))
    assert said.dtype == dtype
    assert not said.requires_grad


def test_it_begins_at_zero_and_takes_no_rows():
    network = CausalTransformer(5, 2, 3, width=8, heads=2)
    assert not network(torch.randn(4, 5, 2)).any()
    assert network(torch.empty(0, 5, 2)).shape == (0, 5, 3)


def test_written_out_it_has_second_derivatives():
    network = stirred().double()
    assert torch.autograd.gradgradcheck(network, torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="heads that divides the width 8"):
        CausalTransformer(3, 2, 4, width=8, heads=3)
    with pytest.raises(ConfigError, match="a condition or classes"):
        CausalTransformer(3, 2, 4, condition=1, classes=2)
    with pytest.raises(ConfigError, match="of at least 1"):
        CausalTransformer(0, 2, 4)
    with pytest.raises(ShapeError, match=r"expected x of shape \(n, 5, 2\)"):
        stirred()(torch.randn(4, 6, 2))
    with pytest.raises(ShapeError, match="expected no condition"):
        stirred()(torch.randn(4, 5, 2), torch.zeros(4, 1))
    with pytest.raises(ShapeError, match=r"expected a condition of shape \(4, 2\), got none"):
        stirred(condition=2)(torch.randn(4, 5, 2))
    with pytest.raises(ShapeError, match=r"expected a condition of shape \(4,\)"):
        stirred(classes=2)(torch.randn(4, 5, 2), torch.zeros(4, 1))
