"""The simplest approximation: independent normal numbers. Bishop 2006, Pattern recognition and machine learning, section 10.1."""

import torch

from pushforward.models.inference.density import Density, features_of
from pushforward.parts.distributions import Gaussian


def mean_field(target: Density | int, *, scale: float = 1.0) -> Gaussian:
    """q(z) = product of N(loc_i, scale_i^2), to be fitted to a target of as many numbers; it begins at N(0, scale^2).

    It finds means, and variances that are too small where numbers are correlated.

    >>> mean_field(3).event_shape
    torch.Size([3])
    """
    d = target if isinstance(target, int) else features_of(target)
    return Gaussian(torch.zeros(d), torch.full((d,), scale), learn=True)
