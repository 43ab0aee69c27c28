r"""A ladder of noise: geometric levels sigma_1 > ... > sigma_L on the data as they are.

alpha(t) = 1,  sigma(t) = sigma_L (sigma_1 / sigma_L)^t, the levels at t = 1, 1 - 1 / (L - 1), ..., 0; between two of them the noise is
that of `VE`, so that every sampler of the continuous path works too. Song and Ermon 2019, https://arxiv.org/abs/1907.05600.

How many levels: neighbours must overlap. In high dimension d the radius of noise sigma is close to N(sqrt(d) sigma, sigma^2 / 2), and
the share of one level within three deviations of the next is Phi(sqrt(2 d)(gamma - 1) + 3 gamma) - Phi(sqrt(2 d)(gamma - 1) - 3 gamma);
gamma is where that is 1/2. Song and Ermon 2020, https://arxiv.org/abs/2006.09011, technique 2.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.core.registry import register

MOST = 1.25  # the largest ratio of two levels: in few dimensions the spheres overlap always, and the rule says nothing


@register
@dataclass(frozen=True)
class NoiseLadder(Path):
    """`levels` levels of noise from `sigma_max` down to `sigma_min`, in units of the model.

    Raises `ConfigError` unless 0 < sigma_min < sigma_max and there are at least two levels.

    >>> NoiseLadder(0.01, 1.0, 3).sigmas()
    tensor([1.0000, 0.1000, 0.0100], dtype=torch.float64)
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    levels: int = 232
    t_min = 0.0
    t_max = 1.0

    def __post_init__(self):
        if not 0 < self.sigma_min < self.sigma_max < math.inf or self.levels < 2:
            raise ConfigError(f"expected 0 < sigma_min < sigma_max and at least 2 levels, got {self.sigma_min}, {self.sigma_max} and "
                              f"{self.levels}; change them")  # fmt: skip

    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data: one."""
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise."""
        return self.sigma_min * (t * math.log(self.sigma_max / self.sigma_min)).exp()

    def sigmas(self) -> Tensor:
        """sigma_1 .. sigma_L, `(levels,)`, as float64: from the most noise to the least."""
        return self.sigma(torch.linspace(1, 0, self.levels, dtype=torch.float64))


def ladder_ratio(dimension: int) -> float:
    """gamma, the ratio of two neighbouring levels for events of so many numbers; at most 1.25.

    >>> round(ladder_ratio(3072), 3)
    1.04
    """

    def overlap(gamma: float) -> float:
        middle = math.sqrt(2 * dimension) * (gamma - 1)
        return normal_cdf(middle + 3 * gamma) - normal_cdf(middle - 3 * gamma)

    low, high = 1.0, MOST
    if overlap(high) >= 0.5:
        return high
    for _ in range(60):  # bisection: the overlap falls with gamma below MOST
        middle = (low + high) / 2
        low, high = (middle, high) if overlap(middle) > 0.5 else (low, middle)
    return low


def ladder_length(dimension: int, sigma_min: float, sigma_max: float) -> int:
    """L, how many levels a ladder for events of so many numbers needs.

    >>> ladder_length(3072, 0.01, 50.0)
    220
    """
    return max(2, 1 + math.ceil(math.log(sigma_max / sigma_min) / math.log(ladder_ratio(dimension))))


def normal_cdf(x: float) -> float:
    """Phi(x)."""
    return math.erfc(-x / math.sqrt(2)) / 2
