"""Mixtures to test on: two bumps, a grid, a ring, and one in 64 dimensions. All in double precision."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .mixture import GaussianMixture


def two_gaussians(separation: float = 2.0) -> GaussianMixture:
    """Two bumps of unequal weight and tilted opposite ways, in two dimensions; each is a class.

    >>> two_gaussians().means.tolist()
    [[-2.0, 0.0], [2.0, 0.0]]
    """
    tilt = torch.tensor([[0.3, 0.15], [0.15, 0.2]], dtype=torch.float64)
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    means = torch.tensor([[-separation, 0.0], [separation, 0.0]], dtype=torch.float64)
    return GaussianMixture(_even([0.3, 0.7]), means, torch.stack([tilt, tilt * signs]), [0, 1])


def grid25(spacing: float = 2.0, std: float = 0.1) -> GaussianMixture:
    """Twenty-five narrow bumps of equal weight on a square grid; the rows of the grid are the classes."""
    line = spacing * torch.arange(-2, 3, dtype=torch.float64)
    means = torch.cartesian_prod(line, line)
    labels = [k // 5 for k in range(25)]
    return GaussianMixture(_even([1.0] * 25), means, torch.full((25, 2), std**2, dtype=torch.float64), labels)


def ring(bumps: int = 8, radius: float = 2.0, across: float = 0.1, along: float = 0.3) -> GaussianMixture:
    """Bumps on a circle, each drawn out along it; every bump is a class."""
    theta = 2 * math.pi * torch.arange(bumps, dtype=torch.float64) / bumps
    out, round_ = torch.stack([theta.cos(), theta.sin()], 1), torch.stack([-theta.sin(), theta.cos()], 1)
    covariances = across**2 * _outer(out) + along**2 * _outer(round_)
    return GaussianMixture(_even([1.0] * bumps), radius * out, covariances, list(range(bumps)))


def random64d(components: int = 4, seed: int = 0) -> GaussianMixture:
    """Components of full covariance in 64 dimensions, with variances from about 0.05 to 1 along random axes."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(components, 64, 64, generator=generator, dtype=torch.float64)
    axes, _ = torch.linalg.qr(normal)
    spectrum = torch.logspace(math.log10(0.05), 0.0, 64, dtype=torch.float64)
    means = torch.randn(components, 64, generator=generator, dtype=torch.float64)
    covariances = (axes * spectrum) @ axes.mT
    return GaussianMixture(_even([k + 1.0 for k in range(components)]), means, (covariances + covariances.mT) / 2,
                           list(range(components)))  # fmt: skip


PRESETS: dict[str, Callable[[], GaussianMixture]] = {
    "grid25": grid25,
    "random64d": random64d,
    "ring": ring,
    "two_gaussians": two_gaussians,
}


def _even(weights: list[float]) -> Tensor:
    return torch.tensor(weights, dtype=torch.float64)


def _outer(direction: Tensor) -> Tensor:
    return direction[:, :, None] * direction[:, None, :]
