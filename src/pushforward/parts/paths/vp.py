"""Variance-preserving path with a linear rate of noise: the continuous limit of DDPM.

dx = -1/2 beta(t) x dt + sqrt(beta(t)) dw,  beta(t) = beta_min + t (beta_max - beta_min),
alpha(t) = exp(-1/2 int_0^t beta),  sigma(t)^2 = 1 - alpha(t)^2.
Ho, Jain and Abbeel 2020, https://arxiv.org/abs/2006.11239; Song et al. 2021, https://arxiv.org/abs/2011.13456,
appendix B.
"""

from dataclasses import dataclass

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.core.registry import register


@register
@dataclass(frozen=True)
class VP(Path):
    """alpha(t) = exp(-t beta_min / 2 - t^2 (beta_max - beta_min) / 4), sigma^2 = 1 - alpha^2.

    The defaults are DDPM's 1,000 steps from beta = 1e-4 to 0.02, in continuous time. Raises `ConfigError` unless
    0 < beta_min < beta_max.

    >>> import torch
    >>> path = VP()
    >>> t = torch.tensor([0.0, 0.5, 1.0])
    >>> path.alpha(t)
    tensor([1.0000, 0.2812, 0.0066])
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min = 1e-5  # sigma = 0.001
    t_max = 1.0

    def __post_init__(self):
        if not 0 < self.beta_min < self.beta_max:
            raise ConfigError(
                f"expected 0 < beta_min < beta_max, got {self.beta_min} and {self.beta_max}; exchange or change them"
            )

    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data."""
        return self._log_alpha(t).exp()

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise."""
        # expm1: 1 - alpha^2 would lose every digit near t = 0.
        return (-(2 * self._log_alpha(t)).expm1()).sqrt()

    def _log_alpha(self, t: Tensor) -> Tensor:
        return -t * (self.beta_min / 2 + t * ((self.beta_max - self.beta_min) / 4))
