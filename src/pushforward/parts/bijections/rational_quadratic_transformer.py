"""The elementwise map of neural spline flows (Durkan et al. 2019, https://arxiv.org/abs/1906.04032)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .rational_quadratic import LEAST_SHARE, Spline, gradient, spline


@register
class RationalQuadraticTransformer:
    """z = g(x), elementwise: a monotone rational-quadratic spline on [-bound, bound], the identity outside.

    As in the paper, the spline is written from data to noise: training evaluates it, sampling solves one quadratic for
    each number; both are exact. An element has `3 bins - 1` parameters: the logarithms of the slopes at the inner knots,
    bounded smoothly to 1e-3 .. 1e3, and the logits of widths and heights, each bin with at least 1e-3 of the box.
    Value and gradient are finite for every finite input, parameters of any size included, in both directions.

    Raises `ConfigError` for fewer than 2 or more than 500 bins, or a bound that is not positive.

    >>> import torch
    >>> spline = RationalQuadraticTransformer(bins=4, bound=3.0)
    >>> x = torch.tensor([-1e30, -3.0, 0.5, 3.0, 7.0])
    >>> z, log_derivative = spline.inverse(x, torch.zeros(spline.size, 5))
    >>> bool(torch.allclose(z, x)), bool(torch.allclose(log_derivative, torch.zeros(5), atol=1e-6))
    (True, True)
    """

    def __init__(self, bins: int = 8, bound: float = 5.0):
        if not (2 <= bins <= 0.5 / LEAST_SHARE and bound > 0):
            raise ConfigError(
                f"expected 2 to {0.5 / LEAST_SHARE:g} bins and a positive bound, got {bins} and {bound:g}; 8 bins and a bound of 5 are usual"
            )
        self.bins, self.bound = bins, float(bound)
        self.size = 3 * bins - 1

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """x = g^-1(z) and log dx/dz."""
        return self._apply(z, parameters, True)

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """z = g(x) and log dz/dx."""
        return self._apply(x, parameters, False)

    def _apply(self, value: Tensor, parameters: Tensor, solve: bool) -> tuple[Tensor, Tensor]:
        flat = parameters.reshape(self.size, value.numel())
        # The bookkeeping of a gradient costs half of a small call.
        apply = Spline.apply if torch.is_grad_enabled() else spline
        out, log_derivative = apply(value.reshape(-1), flat, self.bins, self.bound, solve)[:2]
        return out.reshape(value.shape), log_derivative.reshape(value.shape)

    def evaluate(self, value: Tensor, parameters: Tensor, inverse: bool) -> tuple[Tensor, ...]:
        """As `Pulled` wants it (see `conditioned.py`)."""
        flat = parameters.reshape(self.size, value.numel())
        out, log_derivative, *kept = spline(value.reshape(-1), flat, self.bins, self.bound, not inverse)
        return out.reshape(value.shape), log_derivative.reshape(value.shape), *kept

    def pull(self, bar: Tensor, log_bar: Tensor, kept: Sequence[Tensor], inverse: bool) -> tuple[Tensor, Tensor]:
        """Gradients of the value and of the parameters."""
        found = gradient(bar.reshape(-1), log_bar.reshape(-1), tuple(kept), self.bins, self.bound, not inverse, False)
        return found[0].reshape(bar.shape), found[1].reshape(self.size, *bar.shape)
