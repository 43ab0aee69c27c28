import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Radial


def test_it_begins_as_the_identity_whatever_the_condition():
    z = torch.randn(5, 3)
    for part, condition in ((Radial(3), None), (Radial(3, condition=2), torch.randn(5, 2))):
        for direction in (part.forward, part.inverse):
            out, log_det = direction(z, condition)
            torch.testing.assert_close(out, z)
            assert not log_det.any()


def test_huge_numbers_pass():
    # Their distance overflows in float32, and the map is the identity out there.
    part, x = Radial(2), torch.tensor([[3e38, -3e38], [1e25, 0.0]])
    with torch.no_grad():
        part.numbers.start.fill_(1.0)
    for direction in (part.forward, part.inverse):
        out, log_det = direction(x)
        torch.testing.assert_close(out, x)
        assert log_det.abs().max() < 1e-6


def test_no_features_are_refused():
    with pytest.raises(ConfigError, match="at least 1 feature"):
        Radial(0)
