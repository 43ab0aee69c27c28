"""Variance-exploding path: the data stays, noise of geometrically growing scale is added.

dx = sqrt(d sigma^2/dt) dw,  alpha(t) = 1,  sigma(t) = sigma_min (sigma_max / sigma_min)^t.
Song and Ermon 2019, https://arxiv.org/abs/1907.05600; Song et al. 2021, https://arxiv.org/abs/2011.13456, appendix B.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.core.registry import register


@register
@dataclass(frozen=True)
class VE(Path):
    """alpha(t) = 1, sigma(t) = sigma_min (sigma_max / sigma_min)^t.

    `sigma_min` is the blur that the finest samples keep, in units of the standardised data; `sigma_max` should exceed
    the largest distance between two data points. Raises `ConfigError` unless 0 < sigma_min < sigma_max.

    >>> import torch
    >>> VE(0.01, 100.0).sigma(torch.tensor([0.0, 0.5, 1.0]))
    tensor([1.0000e-02, 1.0000e+00, 1.0000e+02])
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    t_min = 0.0
    t_max = 1.0

    def __post_init__(self):
        if not 0 < self.sigma_min < self.sigma_max:
            raise ConfigError(
                f"expected 0 < sigma_min < sigma_max, got {self.sigma_min} and {self.sigma_max}; exchange or change them"
            )

    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data: one."""
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise."""
        return self.sigma_min * (t * math.log(self.sigma_max / self.sigma_min)).exp()
