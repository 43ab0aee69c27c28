import math

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import (
    BernsteinTransformer,
    IntegralTransformer,
    NeuralTransformer,
    SumOfSquaresTransformer,
)

CLASSES = [BernsteinTransformer, IntegralTransformer, NeuralTransformer, SumOfSquaresTransformer]
EVERY = pytest.mark.parametrize("cls", CLASSES)


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (BernsteinTransformer, {"degree": 0}),
        (BernsteinTransformer, {"degree": 101}),
        (NeuralTransformer, {"units": 0}),
        (NeuralTransformer, {"limit": 0.0}),
        (IntegralTransformer, {"embedding": 0}),
        (IntegralTransformer, {"units": 0}),
        (IntegralTransformer, {"steepest": -1.0}),
        (IntegralTransformer, {"limit": math.inf}),
        (SumOfSquaresTransformer, {"polynomials": 0}),
        (SumOfSquaresTransformer, {"degree": 21}),
        *((cls, {"bound": bound}) for cls in CLASSES for bound in (0.0, -1.0, math.inf, math.nan)),
    ],
)
def test_impossible_settings_are_refused(cls, settings):
    with pytest.raises(ConfigError, match="are usual"):
        cls(**settings)


@EVERY
def test_any_shape_also_none(cls):
    transformer = cls()
    for shape in ((), (0,), (3, 2), (2, 0, 5)):
        for direction in ("forward", "inverse"):
            value, parameters = torch.zeros(shape), torch.zeros(transformer.size, *shape)
            out, log_derivative = getattr(transformer, direction)(value, parameters)
            assert out.shape == log_derivative.shape == shape


@EVERY
def test_missing_numbers_stay_missing_and_disturb_nobody(cls):
    x, transformer = torch.tensor([float("nan"), float("inf"), 0.3]), cls()
    parameters = torch.randn(transformer.size, 3)
    out, log_derivative = transformer.inverse(x, parameters)
    assert out[0].isnan()
    assert log_derivative[0].isnan()
    assert out[1] == float("inf")
    torch.testing.assert_close((out[2:], log_derivative[2:]), transformer.inverse(x[2:], parameters[:, 2:]))


@EVERY
def test_the_report_says_how_exact_the_roots_are(cls):
    transformer = cls()
    assert transformer.solved is None
    z = torch.linspace(-3, 3, 50)
    transformer.forward(z, torch.randn(transformer.size, 50))
    assert transformer.solved is not None
    assert 0 < transformer.solved.iterations < 60
    assert transformer.solved.residual < 1e-3
