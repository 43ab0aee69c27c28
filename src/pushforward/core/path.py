"""`Path`: x_t = alpha(t) data + sigma(t) noise. Clock: t = 0 is data, larger t is more noise."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from .errors import ConfigError
from .shapes import expand_right

Prediction = Literal["score", "noise", "data", "velocity", "v"]


class Path:
    """A Gaussian path between data and noise. `alpha` and `sigma` are all that a final class writes.

    Their derivatives come from autodiff, and every prediction a network can make is one linear combination
    a data + b noise, so one 2x2 system is the bridge among all of them.
    """

    t_min: float  # the least noise: sigma(t_min) > 0, so that a score exists
    t_max: float  # the most noise

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data at time t, elementwise."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise at time t, elementwise."""

    def derivatives(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """alpha, sigma and their derivatives in t."""
        (alpha, d_alpha), (sigma, d_sigma) = slope(self.alpha, t), slope(self.sigma, t)
        return alpha, sigma, d_alpha, d_sigma

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda = log(alpha / sigma), half the logarithm of the signal-to-noise ratio."""
        return self.alpha(t).log() - self.sigma(t).log()

    def drift_and_diffusion(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """f and g^2 of dx = f x dt + g dw, the SDE with these marginals.

        f = d log alpha / dt and g^2 = d sigma^2 / dt - 2 f sigma^2 (Song et al. 2021, https://arxiv.org/abs/2011.13456, appendix B;
        Kingma et al. 2021, https://arxiv.org/abs/2107.00630).
        """
        alpha, sigma, d_alpha, d_sigma = self.derivatives(t)
        f = d_alpha / alpha
        return f, 2 * sigma * (d_sigma - f * sigma)

    def sample(self, data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t for `(n, *event)` data and noise, and t `(n,)` or scalar."""
        return expand_right(self.alpha(t), data) * data + expand_right(self.sigma(t), data) * noise

    def convert(self, value: Tensor, source: Prediction, target: Prediction, x_t: Tensor, t: Tensor) -> Tensor:
        """Turn one prediction into another: from value = a data + b noise and x_t = alpha data + sigma noise, to the target.

        Raises `ConfigError` for an unknown name. Dividing by zero at an end of the path (noise to data at alpha = 0)
        gives inf, as it should: keep t between `t_min` and `t_max`.
        """
        if source == target:
            return value
        from_x, from_value = self.conversion(source, target, t)
        # Coefficients first, then two products over the event: cheap, and no 0 * inf between two halves.
        return x_t * expand_right(from_x, x_t) + value * expand_right(from_value, x_t)

    def conversion(self, source: Prediction, target: Prediction, t: Tensor) -> tuple[Tensor, Tensor]:
        """(c, d) with target = c x_t + d source at times t: the bridge as numbers, for those who need them once."""
        if "velocity" in (source, target):
            alpha, sigma, *slopes = self.derivatives(t)
        else:  # autodiff costs more than all the rest, and only a velocity asks for it
            alpha, sigma = self.alpha(t), self.sigma(t)
            slopes = alpha, sigma
        a, b = combination(source, alpha, sigma, *slopes)
        c, d = combination(target, alpha, sigma, *slopes)
        determinant = alpha * b - sigma * a
        return (c * b - d * a) / determinant, (d * alpha - c * sigma) / determinant


def slope(f: Callable[[Tensor], Tensor], t: Tensor) -> tuple[Tensor, Tensor]:
    """f(t) and df/dt, elementwise, by one reverse pass: cheaper than forward mode where f is a few operations."""
    with torch.inference_mode(False), torch.enable_grad():
        t = t.detach().clone().requires_grad_()
        value = f(t)
        if not value.requires_grad:  # a constant
            return value, torch.zeros_like(value)
        return value.detach(), torch.autograd.grad(value.sum(), t)[0]


def combination(
    name: Prediction, alpha: Tensor, sigma: Tensor, d_alpha: Tensor, d_sigma: Tensor
) -> tuple[Tensor, Tensor]:
    """(a, b) with name = a data + b noise."""
    zero, one = torch.zeros_like(alpha), torch.ones_like(alpha)
    if name == "data":
        return one, zero
    if name == "noise":
        return zero, one
    if name == "score":  # grad log N(x_t; alpha data, sigma^2) = -(x_t - alpha data) / sigma^2
        return zero, -1 / sigma
    if name == "velocity":  # dx_t/dt
        return d_alpha, d_sigma
    if name == "v":  # Salimans and Ho 2022, https://arxiv.org/abs/2202.00512
        return -sigma, alpha
    raise ConfigError(f"expected a prediction among {', '.join(get_args(Prediction))}, got {name!r}")
