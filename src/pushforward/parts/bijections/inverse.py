"""A bijection turned round."""

from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.registry import register


@register
class Inverse(Bijection):
    """x = part^-1(z): `forward` and `inverse` of a bijection, exchanged.

    >>> import torch
    >>> from pushforward.parts.bijections import Affine
    >>> Inverse(Affine(torch.tensor([1.0]), torch.tensor([2.0])))(torch.tensor([5.0]))
    (tensor([2.]), tensor(-0.6931))
    """

    def __init__(self, part: Bijection):
        super().__init__()
        self.event_shape, self.output_shape = part.output_shape, part.event_shape
        self.condition_shape, self.inverse_kind = part.condition_shape, part.inverse_kind
        self.log_det_kind = part.log_det_kind
        self.part = part

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.part._inverse(z, condition)

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.part._forward(x, condition)
