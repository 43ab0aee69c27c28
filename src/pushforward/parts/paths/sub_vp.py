"""Sub-variance-preserving path: the drift of the variance-preserving path, and never more noise.

dx = -1/2 beta x dt + sqrt(beta (1 - exp(-2 int_0^t beta))) dw,  beta(t) = beta_min + t (beta_max - beta_min),
alpha(t) = exp(-1/2 int_0^t beta),  sigma(t) = 1 - alpha(t)^2.
Song et al. 2021, https://arxiv.org/abs/2011.13456, section 3.4 and appendix B.
"""

from dataclasses import dataclass

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.core.registry import register


@register
@dataclass(frozen=True)
class SubVP(Path):
    """alpha(t) = exp(-t beta_min / 2 - t^2 (beta_max - beta_min) / 4), sigma = 1 - alpha^2: the square of what `VP` has.

    Raises `ConfigError` unless 0 < beta_min < beta_max.

    >>> import torch
    >>> path, t = SubVP(), torch.tensor([0.5])
    >>> bool((path.sigma(t) - (1 - path.alpha(t) ** 2)).abs() < 1e-6)
    True
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min = 5e-3  # sigma = 0.0007; it falls linearly in t, where that of VP falls as its root
    t_max = 1.0

    def __post_init__(self):
        if not 0 < self.beta_min < self.beta_max:
            raise ConfigError(
                f"expected 0 < beta_min < beta_max, got {self.beta_min} and {self.beta_max}; exchange or change them"
            )

    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data."""
        return (-0.5 * self._total(t)).exp()

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise."""
        return -(-self._total(t)).expm1()

    def _total(self, t: Tensor) -> Tensor:
        """int_0^t beta."""
        return t * (self.beta_min + t * ((self.beta_max - self.beta_min) / 2))
