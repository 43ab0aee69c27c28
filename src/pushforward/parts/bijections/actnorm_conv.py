"""Activation normalisation and 1x1 convolution in one pass over the image.

Data to noise: W diag(e^-s) (x - b) = A x - A b with A = W diag(e^-s), one matrix and one bias; and its inverse. The image
is read and written once where the two parts one after the other do it three times.
"""

import torch
from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .actnorm import ActNorm
from .invertible_conv import InvertibleConv1x1, mix_channels


@register
class ActNormConv(Bijection):
    """`Chain([conv, actnorm])`, noise -> data: the same map, log det and parameters, fused.

    Raises `ConfigError` for parts of different shapes.

    >>> shape = (4, 2, 2)
    >>> part = ActNormConv(ActNorm(shape), InvertibleConv1x1(shape))
    >>> x, log_det = part(torch.randn(5, *shape))
    >>> x.shape, bool((log_det.abs() < 1e-5).all())
    (torch.Size([5, 4, 2, 2]), True)
    """

    def __init__(self, actnorm: ActNorm, conv: InvertibleConv1x1):
        super().__init__()
        if actnorm.event_shape != conv.event_shape:
            raise ConfigError(f"expected two parts of one shape, got {tuple(actnorm.event_shape)} and {tuple(conv.event_shape)}; "
                              "build both for the same events")  # fmt: skip
        self.event_shape = self.output_shape = conv.event_shape
        self.actnorm, self.conv = actnorm, conv

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        weight = self.conv.inverse_weight() * self.actnorm.log_scale.exp()[:, None]
        return mix_channels(z, weight, self.actnorm.shift), -self._log_det().expand(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.actnorm.starting:
            self.actnorm.start(x)
        weight = self.conv.weight() * (-self.actnorm.log_scale).exp()
        return mix_channels(x, weight, -torch.mv(weight, self.actnorm.shift)), self._log_det().expand(len(x))

    def _log_det(self) -> Tensor:
        return self.conv.log_det() - self.actnorm.log_det()
