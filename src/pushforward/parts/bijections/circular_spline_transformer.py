"""Monotone maps of the circle onto itself (Rezende et al. 2020, https://arxiv.org/abs/2002.02428, section 2.1.2)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .rational_quadratic import LEAST_SHARE, Spline, spline

TURN = 2 * math.pi


@register
class CircularSplineTransformer:
    """z = g(x - phase) for angles in radians: a rational-quadratic spline that takes the circle once around.

    g is the spline of `RationalQuadraticTransformer` on [-pi, pi] with equal slopes at the two ends, where it is joined to
    itself, so that the slope has no jump there; the phase turns the circle, so that the joint may be anywhere. An element
    has `3 bins + 1` parameters: the phase, the logarithms of the slopes at the knots, the first of which is also the last,
    and the logits of widths and heights. Angles that differ by whole turns are the same point: those outside
    [-pi, pi] are taken back into it, in either direction, and the outcome lies in it.

    Raises `ConfigError` for fewer than 2 or more than 500 bins.

    >>> spline = CircularSplineTransformer(bins=4)
    >>> x = torch.tensor([-3.0, 0.5, 0.5 + 2 * math.pi])
    >>> spline.inverse(x, torch.zeros(spline.size, 3))[0]
    tensor([-3.0000,  0.5000,  0.5000])
    """

    def __init__(self, bins: int = 8):
        if not 2 <= bins <= 0.5 / LEAST_SHARE:
            raise ConfigError(f"expected 2 to {0.5 / LEAST_SHARE:g} bins, got {bins}; 8 are usual")
        self.bins, self.size = bins, 3 * bins + 1

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """x in [-pi, pi] and log dx/dz."""
        turned, log_derivative = self._apply(wrapped(z), parameters[1:], True)
        return wrapped(turned + parameters[0]), log_derivative

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """z in [-pi, pi] and log dz/dx."""
        return self._apply(wrapped(wrapped(x) - parameters[0]), parameters[1:], False)

    def _apply(self, value: Tensor, parameters: Tensor, solve: bool) -> tuple[Tensor, Tensor]:
        flat = parameters.reshape(self.size - 1, value.numel())
        apply = Spline.apply if torch.is_grad_enabled() else spline
        out, log_derivative = apply(value.reshape(-1), flat, self.bins, math.pi, solve)[:2]
        return _clipped(out).reshape(value.shape), log_derivative.reshape(value.shape)


def wrapped(angle: Tensor) -> Tensor:
    """The same angle in [-pi, pi], with slope 1; one that lies there already is left exactly as it is.

    >>> wrapped(torch.tensor([3.0, 4.0, -100.0]))
    tensor([ 3.0000, -2.2832,  0.5310])
    """
    # fmod has no rounding, and never overflows; what is left is within one turn of zero.
    rest = torch.fmod(angle, TURN)
    rest = rest - TURN * torch.round(rest / TURN)
    return _clipped(rest)


def _clipped(angle: Tensor) -> Tensor:
    """Undo the rounding that puts an angle an ulp outside; adding the difference keeps the slope, as clamp would not."""
    return angle + (angle.clamp(-math.pi, math.pi) - angle).detach()
