"""The discrete noising process of DDPM as a path: T steps with rates beta_1 .. beta_T.

abar_i = prod_{j <= i} (1 - beta_j),  alpha(i / T) = sqrt(abar_i),  sigma(i / T) = sqrt(1 - abar_i).
Between two steps log abar is linear, which is the continuous process of constant rate that ends where the step ends: on the
grid i / T the two are one process. Ho, Jain and Abbeel 2020, https://arxiv.org/abs/2006.11239 (linear betas, T = 1,000);
Nichol and Dhariwal 2021, https://arxiv.org/abs/2102.09672, eq. 17 (cosine).
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.core.registry import register

Schedule = Literal["linear", "cosine"]
MOST = 0.999  # the largest beta of the cosine schedule, whose last would be 1
OFFSET = 0.008  # of the cosine schedule, so that its first betas are not too small


@register
@dataclass(frozen=True)
class DiscreteVP(Path):
    """`steps` rates of noise: "linear" from 1e-4 to 0.02 (scaled to as much noise in all where there are not 1,000), or "cosine".

    t = i / steps is the process after i steps; the path begins after the first. Raises `ConfigError` for another schedule
    or fewer than 2 steps, and for linear betas that reach 1.

    >>> path = DiscreteVP()
    >>> round(float(path.sigma(torch.tensor(1 / 1000)) ** 2), 6)  # beta_1
    0.0001
    """

    schedule: Schedule = "linear"
    steps: int = 1000
    t_max = 1.0

    def __post_init__(self):
        if self.schedule not in get_args(Schedule) or self.steps < 2:
            raise ConfigError(f"expected a schedule among {', '.join(get_args(Schedule))} and at least 2 steps, got "
                              f"{self.schedule!r} and {self.steps}")  # fmt: skip
        if self.schedule == "linear" and self.steps <= 20:
            raise ConfigError(f"expected more than 20 steps of linear betas, which reach 20 / steps, got {self.steps}; take "
                              'more, or schedule="cosine"')  # fmt: skip
        object.__setattr__(self, "t_min", 1 / self.steps)

    def betas(self) -> Tensor:
        """beta_1 .. beta_T, `(steps,)`, as float64."""
        if self.schedule == "linear":
            return torch.linspace(1e-4, 0.02, self.steps, dtype=torch.float64) * (1000 / self.steps)
        i = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        abar = ((i + OFFSET) / (1 + OFFSET) * (math.pi / 2)).cos().square()
        return (1 - abar[1:] / abar[:-1]).clamp(max=MOST)

    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data."""
        return (0.5 * self._log_abar(t)).exp()

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise."""
        return (-self._log_abar(t).expm1()).sqrt()

    def _log_abar(self, t: Tensor) -> Tensor:
        table = _table(self, t.dtype, t.device)
        place = t * self.steps
        left = place.detach().floor().clamp(0, self.steps - 1).long()
        return table[left] + (place - left) * (table[left + 1] - table[left])


@functools.lru_cache(maxsize=64)
def _table(path: DiscreteVP, dtype: torch.dtype, device: torch.device) -> Tensor:
    """log abar_0 .. log abar_T."""
    with torch.inference_mode(False):  # kept for later calls, which may record gradients
        logs = (-path.betas()).log1p().cumsum(0)
        return torch.cat([logs.new_zeros(1), logs]).to(device, dtype)
