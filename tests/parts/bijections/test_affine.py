import math

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Affine


@pytest.mark.parametrize("scale", [[1.0, 0.0], [1.0, math.inf], [math.nan, 1.0]])
def test_a_scale_that_cannot_be_inverted_is_refused(scale):
    with pytest.raises(ConfigError, match="finite floating scale without zeros"):
        Affine(torch.zeros(2), torch.tensor(scale))


def test_a_loc_that_is_not_finite_is_refused():
    with pytest.raises(ConfigError, match="expected a finite loc"):
        Affine(torch.tensor([math.nan]), torch.ones(1))


def test_loc_and_scale_broadcast_or_are_refused():
    assert Affine(torch.zeros(()), torch.ones(3)).event_shape == (3,)
    with pytest.raises(ConfigError, match="expected loc and scale of one shape"):
        Affine(torch.zeros(2), torch.ones(3))


def test_it_keeps_its_own_copy():
    scale = torch.ones(2)
    affine = Affine(torch.zeros(2), scale)
    scale.mul_(7)
    assert torch.equal(affine.scale, torch.ones(2))
    assert not list(affine.parameters())
