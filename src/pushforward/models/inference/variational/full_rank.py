"""A normal approximation with every correlation: d (d + 3) / 2 numbers. Kucukelbir et al. 2017, https://arxiv.org/abs/1603.00788."""

import torch

from pushforward.models.inference.density import Density, features_of
from pushforward.parts.distributions import FullGaussian


def full_rank(target: Density | int, *, scale: float = 1.0) -> FullGaussian:
    """q(z) = N(loc, L L'), to be fitted to a target of as many numbers; it begins at N(0, scale^2 I).

    >>> full_rank(3).covariance.shape
    torch.Size([3, 3])
    """
    d = target if isinstance(target, int) else features_of(target)
    return FullGaussian(torch.zeros(d), scale * torch.eye(d), learn=True)
