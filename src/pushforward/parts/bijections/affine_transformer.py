"""The affine elementwise map of RealNVP: x = z exp(s) + t (Dinh et al. 2017, https://arxiv.org/abs/1605.08803)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class AffineTransformer:
    """x = z exp(s) + t, elementwise, with s = limit * tanh(a / limit), for parameters (t, a).

    Without a limit a single row can make exp(s) overflow, and nothing in the likelihood warns of it: the inverse divides
    by the same number. tanh leaves small s alone (slope 1 at zero) and keeps every scale within e^-limit .. e^limit, 0.05
    to 20 by default, in every layer; layers multiply. `limit=math.inf` is the bare exponential.

    Raises `ConfigError` for a limit that is not positive.

    >>> transformer = AffineTransformer()
    >>> x, log_derivative = transformer.forward(torch.tensor([2.0]), torch.tensor([[1.0], [0.0]]))
    >>> x, log_derivative
    (tensor([3.]), tensor([0.]))
    """

    size = 2

    def __init__(self, limit: float = 3.0):
        if not limit > 0:
            raise ConfigError(
                f"expected a positive limit, got {limit:g}; the scale is kept within exp(-limit) .. exp(limit)"
            )
        self.limit = limit

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "2 *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """x and log dx/dz = s."""
        t, s = parameters[0], self._bounded(parameters[1])
        return torch.addcmul(t, z, s.exp()), s

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "2 *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """z and log dz/dx = -s."""
        t, minus_s = parameters[0], -self._bounded(parameters[1])
        return (x - t) * minus_s.exp(), minus_s

    def _bounded(self, a: Tensor) -> Tensor:
        return a if self.limit == math.inf else self.limit * torch.tanh(a * (1 / self.limit))
