"""Cosine path: a rotation from data to noise at constant speed.

alpha(t) = cos(pi t / 2),  sigma(t) = sin(pi t / 2).
Nichol and Dhariwal 2021, https://arxiv.org/abs/2102.09672; Salimans and Ho 2022, https://arxiv.org/abs/2202.00512.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from pushforward.core.path import Path
from pushforward.core.registry import register


@register
@dataclass(frozen=True)
class Cosine(Path):
    """alpha(t) = cos(pi t / 2), sigma(t) = sin(pi t / 2), for t from 0.001 to 0.999.

    The drift f = alpha'/alpha is infinite at t = 1, where no data is left; the path stops a little before.

    >>> import torch
    >>> path = Cosine()
    >>> t = torch.tensor(0.5)
    >>> bool((path.alpha(t) - path.sigma(t)).abs() < 1e-6)
    True
    """

    t_min = 1e-3
    t_max = 1 - 1e-3

    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data."""
        return (t * (math.pi / 2)).cos()

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise."""
        return (t * (math.pi / 2)).sin()
