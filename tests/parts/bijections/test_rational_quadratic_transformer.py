import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import RationalQuadraticTransformer


@pytest.mark.parametrize(("bins", "bound"), [(1, 5.0), (501, 5.0), (8, 0.0), (8, -1.0)])
def test_settings_without_a_spline_are_refused(bins, bound):
    with pytest.raises(ConfigError, match="bins and a positive bound"):
        RationalQuadraticTransformer(bins, bound)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_zero_parameters_are_the_identity(direction):
    x, transformer = torch.linspace(-7, 7, 1001), RationalQuadraticTransformer(8, 5.0)
    out, log_derivative = getattr(transformer, direction)(x, torch.zeros(transformer.size, 1001))
    torch.testing.assert_close(out, x, rtol=0, atol=4e-6)
    torch.testing.assert_close(log_derivative, torch.zeros(1001), rtol=0, atol=1e-5)


def test_missing_numbers_stay_missing_and_disturb_nobody():
    x, transformer = torch.tensor([float("nan"), float("inf"), 0.3]), RationalQuadraticTransformer(4, 2.0)
    parameters = torch.randn(transformer.size, 3)
    out, log_derivative = transformer.inverse(x, parameters)
    assert out[0].isnan()
    assert log_derivative[0].isnan()
    assert out[1] == float("inf")
    alone = transformer.inverse(x[2:], parameters[:, 2:])
    torch.testing.assert_close((out[2:], log_derivative[2:]), alone)


def test_any_shape_also_none():
    transformer = RationalQuadraticTransformer(4, 2.0)
    for shape in ((), (0,), (3, 2), (2, 0, 5)):
        out, log_derivative = transformer.forward(torch.zeros(shape), torch.zeros(transformer.size, *shape))
        assert out.shape == log_derivative.shape == shape
