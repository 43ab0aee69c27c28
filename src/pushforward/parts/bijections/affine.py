"""A fixed shift and scale: x = loc + scale z, so that standardising the data is part of the model."""

import torch
from torch import Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class Affine(Bijection):
    """x = loc + scale * z, elementwise, with log abs det = sum log abs scale. Nothing is learned.

    With the mean and standard deviation of data as `loc` and `scale`, z is the standardised row. They are copied, and
    broadcast to one shape, which is that of an event.

    Raises `ConfigError` for a scale that is zero, or for numbers that are not finite.

    >>> Affine(torch.tensor([1.0, 2.0]), torch.tensor([10.0, 100.0]))(torch.ones(2))
    (tensor([ 11., 102.]), tensor(6.9078))
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Tensor, scale: Tensor):
        super().__init__()
        if not (
            scale.is_floating_point()
            and torch.isfinite(loc).all()
            and torch.isfinite(scale).all()
            and (scale != 0).all()
        ):
            raise ConfigError(f"expected a finite loc and a finite floating scale without zeros, got scales of {scale.dtype} with least size "
                              f"{scale.abs().min():g}; leave out columns that never change")  # fmt: skip
        try:
            loc, scale = (p.detach().clone() for p in torch.broadcast_tensors(loc.to(scale.dtype), scale))
        except RuntimeError:
            raise ConfigError(f"expected loc and scale of one shape, got {tuple(loc.shape)} and {tuple(scale.shape)}; "
                              "give both the shape of an event") from None  # fmt: skip
        self.event_shape = self.output_shape = scale.shape
        self.loc, self.scale = nn.Buffer(loc), nn.Buffer(scale)

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return torch.addcmul(self.loc, z, self.scale), self._log_det().expand(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return (x - self.loc) / self.scale, -self._log_det().expand(len(x))

    def _log_det(self) -> Tensor:
        return self.scale.abs().log().sum()
