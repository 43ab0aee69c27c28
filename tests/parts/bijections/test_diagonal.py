import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import AdditiveTransformer, Diagonal


def test_it_begins_as_the_identity():
    z = torch.randn(5, 3)
    x, log_det = Diagonal(3)(z)
    assert torch.equal(x, z)
    assert not log_det.any()


def test_no_features_are_refused():
    with pytest.raises(ConfigError, match="at least 1 feature"):
        Diagonal(0)


def test_the_additive_map_has_one_parameter_and_log_derivative_zero():
    transformer, z = AdditiveTransformer(), torch.randn(2, 3)
    x, log_derivative = transformer.forward(z, torch.full((transformer.size, 2, 3), 1e6))
    assert torch.equal(x, z + 1e6)
    assert not log_derivative.any()
