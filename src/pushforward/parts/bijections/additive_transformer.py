"""The additive elementwise map of NICE: x = z + m (Dinh et al. 2015, https://arxiv.org/abs/1410.8516, section 3.2)."""

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.registry import register


@register
class AdditiveTransformer:
    """x = z + m, elementwise, for parameters (m,): volume is preserved, and the log derivative is 0 both ways.

    >>> AdditiveTransformer().forward(torch.tensor([2.0]), torch.tensor([[0.5]]))
    (tensor([2.5000]), tensor([0.]))
    """

    size = 1

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "1 *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """x and log dx/dz = 0."""
        return z + parameters[0], torch.zeros_like(z)

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "1 *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """z and log dz/dx = 0."""
        return x - parameters[0], torch.zeros_like(x)
