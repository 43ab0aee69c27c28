"""An elementwise map turned round, so that either of its formulas can serve the direction that is evaluated."""

from jaxtyping import Float
from torch import Tensor

from pushforward.core.registry import register

from .elementwise import ElementwiseTransformer


@register
class InverseTransformer:
    """x = part^-1(z), elementwise, with the parameters of `part`.

    An inverse autoregressive flow is a masked one turned round; with its map turned round too, sampling evaluates
    x = z exp(s) + t as it stands, and not (z - t) exp(-s).

    >>> import torch
    >>> from pushforward.parts.bijections import AffineTransformer
    >>> InverseTransformer(AffineTransformer()).inverse(torch.tensor([2.0]), torch.tensor([[1.0], [0.0]]))
    (tensor([3.]), tensor([0.]))
    """

    def __init__(self, part: ElementwiseTransformer):
        self.part, self.size = part, part.size

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """`inverse` of the part."""
        return self.part.inverse(z, parameters)

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """`forward` of the part."""
        return self.part.forward(x, parameters)
