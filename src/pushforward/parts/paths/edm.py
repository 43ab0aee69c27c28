"""The path of EDM: the data stays, and the time is the standard deviation of the noise.

dx = sqrt(2 t) dw,  alpha(t) = 1,  sigma(t) = t. Its probability flow dx/dt = (x - data) / t has straight solutions wherever
the data predicted do not change. Karras et al. 2022, https://arxiv.org/abs/2206.00364, table 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.core.registry import register


@register
@dataclass(frozen=True)
class EDM(Path):
    """alpha(t) = 1, sigma(t) = t, for t from `t_min` to `t_max`, in units of the standardised data.

    Raises `ConfigError` unless 0 < t_min < t_max.

    >>> EDM().sigma(torch.tensor([0.002, 80.0]))
    tensor([2.0000e-03, 8.0000e+01])
    """

    t_min: float = 0.002
    t_max: float = 80.0

    def __post_init__(self):
        if not 0 < self.t_min < self.t_max:
            raise ConfigError(f"expected 0 < t_min < t_max, got {self.t_min} and {self.t_max}; they are the least and "
                              "the largest sigma")  # fmt: skip

    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data: one."""
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise: the time itself."""
        return t.clone()
