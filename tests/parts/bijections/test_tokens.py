"""Edges and errors of the bijections of tokens: what does not fit is refused with a sentence."""

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import AffineTransformer, Flip, Patches, Reshape, TokenAutoregressive
from pushforward.parts.nn import CausalTransformer


def test_a_network_of_other_widths_is_refused():
    with pytest.raises(ConfigError, match="expected a network with 2 outputs for each of its 3 inputs"):
        TokenAutoregressive(AffineTransformer(), CausalTransformer(4, 3, 5, width=8))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="whose sides 2 divides"):
        Patches((1, 3, 4), 2)
    with pytest.raises(ConfigError, match="whose sides 0 divides"):
        Patches((1, 4, 4), 0)
    with pytest.raises(ConfigError, match="two shapes of as many numbers"):
        Reshape((2, 3), 5)
    with pytest.raises(ConfigError, match="expected events with a first dimension"):
        Flip(())


def test_huge_rows_stay_finite_where_their_image_is():
    part = TokenAutoregressive(AffineTransformer(), CausalTransformer(3, 1, 2, width=8, heads=2))
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(torch.randn_like(parameter))
    z, log_det = part.inverse(torch.tensor([[[1e30], [-1e30], [1e20]]]))
    assert torch.isfinite(z).all()
    assert torch.isfinite(log_det).all()
    assert float(log_det.detach().abs()) <= 9.0  # three numbers, each scaled by at most e^3
