import pytest
import torch

from pushforward.core.errors import ConfigError, ConvergenceError
from pushforward.parts.bijections import Planar


def test_it_begins_as_the_identity_whatever_the_condition():
    z = torch.randn(5, 3)
    for part, condition in ((Planar(3), None), (Planar(3, condition=2), torch.randn(5, 2))):
        for direction in (part.forward, part.inverse):
            out, log_det = direction(z, condition)
            torch.testing.assert_close(out, z)
            assert not log_det.any()


def test_it_learns_from_the_start():
    part, z = Planar(3), torch.randn(50, 3)
    x, log_det = part(z)
    (gradient,) = torch.autograd.grad(x.square().sum() + log_det.sum(), part.numbers.start)
    assert gradient[:3].abs().min() > 0


def test_a_number_that_is_none_is_refused_by_the_root():
    with pytest.raises(ConvergenceError, match="expected numbers that the map takes"):
        Planar(2).inverse(torch.tensor([[0.0, 1.0], [torch.nan, 0.0]]))


def test_impossible_widths_are_refused():
    with pytest.raises(ConfigError, match="at least 1 feature"):
        Planar(0)
    with pytest.raises(ConfigError, match="at least 0"):
        Planar(2, condition=-1)
