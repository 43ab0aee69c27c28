"""The user's units on one side, unit scale on the other: pixels, columns, whole numbers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import as_size, match_dtype
from pushforward.parts.data import Images, Table


@register
class Units(nn.Module):
    """y = (x - loc) / scale, with uniform noise on whole numbers before.

    With `levels`, x are pixels 0 .. levels - 1 and y = 2 (x + u) / levels - 1; otherwise `loc` and `scale` are tensors of the
    event's shape, and `integer` says where whole numbers are.

    >>> Units((2,), levels=4).to_model(torch.tensor([[0.0, 3.0]]), None)  # the middles of their cells
    tensor([[-0.7500,  0.7500]])
    """

    loc: Tensor
    scale: Tensor
    integer: Tensor

    def __init__(self, event_shape: Sequence[int], *, levels: int | None = None, loc: Tensor | None = None,
                 scale: Tensor | None = None, integer: Tensor | None = None):  # fmt: skip
        super().__init__()
        self.event_shape, self.levels = as_size(event_shape), levels
        if levels is not None:
            if levels < 2 or not (loc is scale is integer is None):
                raise ConfigError(
                    f"expected levels of at least 2 without loc, scale and integer, got levels={levels}; leave those out"
                )
            loc = scale = torch.tensor(levels / 2)
            integer = torch.tensor(True)
        self.loc = nn.Buffer(torch.zeros(()) if loc is None else loc.detach().clone())
        self.scale = nn.Buffer(torch.ones(()) if scale is None else scale.detach().clone())
        self.integer = nn.Buffer(torch.tensor(False) if integer is None else integer.detach().clone())
        if not (self.scale > 0).all() or not (torch.isfinite(self.loc) & torch.isfinite(self.scale)).all():
            raise ConfigError("expected finite loc and scale, the scale positive; give means and standard deviations")
        self.whole = bool(self.integer.any())

    @classmethod
    def of(cls, data: Images | Table) -> "Units":
        """Those of pixels, or the means and standard deviations of columns."""
        if isinstance(data, Images):
            return cls(data.shape, levels=data.levels)
        data.require_fittable(2)
        whole = torch.tensor([column.kind == "integer" for column in data.columns])
        # Dequantising moves whole numbers by 1/2 on average and adds the variance 1/12.
        return cls(data.event_shape, loc=data.values.mean(0) + 0.5 * whole, scale=(data.values.var(0) + whole / 12).sqrt(), integer=whole)  # fmt: skip

    def to_model(self, x: Tensor, generator: RowGenerator | None) -> Tensor:
        """Standardise x `(n, *event)`; whole numbers get uniform noise from `generator`, or 1/2 without one."""
        x = match_dtype(x, dtype_of(self))
        if self.whole:
            u = 0.5 if generator is None else generator.uniform(*self.event_shape, dtype=x.dtype)
            x = x + u * self.integer
        return (x - self.loc) / self.scale

    def to_user(self, y: Tensor) -> Tensor:
        """Undo `to_model`: whole numbers are rounded down, and pixels kept below `levels`."""
        x = y * self.scale + self.loc
        if self.whole:
            x = torch.where(self.integer, x.floor(), x)
        return x if self.levels is None else x.clamp(0, self.levels - 1)

    def log_det(self) -> Tensor:
        """log abs det dy/dx of an event: what turns a density of y into one of x."""
        return -self.scale.expand(self.event_shape).log().sum()


def log_normal(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """log N(x; mean, std^2), elementwise."""
    return -0.5 * ((x - mean) * torch.exp(-log_std)).square() - log_std - 0.5 * math.log(2 * math.pi)
