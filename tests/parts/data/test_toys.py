import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.data import TOYS, toy, toy_log_prob


@pytest.mark.parametrize("name", TOYS)
def test_shape_and_dtype(name):
    assert toy(name, 17).shape == (17, 2)
    assert toy(name, 17).dtype == torch.float32


def test_what_does_not_exist():
    with pytest.raises(ConfigError, match="did you mean 'pinwheel'"):
        toy("pinwheels")
    with pytest.raises(ConfigError, match="n=0"):
        toy("pinwheel", 0)
    with pytest.raises(ConfigError, match="'eight_gaussians' and 'checkerboard', got 'two_moons'"):
        toy_log_prob("two_moons", torch.zeros(1, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_densities_keep_batch_shape_and_dtype(dtype):
    x = torch.zeros(3, 4, 2, dtype=dtype)
    for name in ("eight_gaussians", "checkerboard"):
        assert toy_log_prob(name, x).shape == (3, 4)
        assert toy_log_prob(name, x).dtype == dtype
