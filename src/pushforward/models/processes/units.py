"""The units of a process: location and scale of x and y, taken from the data; checks of what comes in.

A network sees (x - loc) / scale, and its Normal predictions go back: mean loc + scale m, standard deviation scale s.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn.functional import softplus

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.process import Context
from pushforward.core.registry import register
from pushforward.parts.data.function_sets import FunctionSet


@register
class PointUnits(nn.Module):
    """Location and scale of x `(x_dim,)` and y `(y_dim,)`; padding becomes zero, whatever it held.

    Predictions have the scale `min_scale` + (1 - `min_scale`) softplus(.), in units of the standardised data: a floor,
    without which the likelihood of noiseless points has no bound.

    >>> units = PointUnits(1, 2)
    >>> units.normal(torch.zeros(3, 5, 4)).event_shape
    torch.Size([5, 2])
    """

    x_loc: Tensor
    x_scale: Tensor
    y_loc: Tensor
    y_scale: Tensor

    def __init__(self, x_dim: int, y_dim: int, min_scale: float = 0.01):
        super().__init__()
        if min(x_dim, y_dim) < 1 or not 0 < min_scale < 1:
            raise ConfigError(f"expected x_dim and y_dim of 1 or more and 0 < min_scale < 1, got {x_dim}, {y_dim} and "
                              f"{min_scale}; correct them")  # fmt: skip
        self.x_dim, self.y_dim, self.min_scale = x_dim, y_dim, min_scale
        self.x_loc, self.x_scale = nn.Buffer(torch.zeros(x_dim)), nn.Buffer(torch.ones(x_dim))
        self.y_loc, self.y_scale = nn.Buffer(torch.zeros(y_dim)), nn.Buffer(torch.ones(y_dim))

    def standardise(self, data: FunctionSet, *, x: bool = True) -> None:
        """Take location and scale of y, and of x too unless `x` is False, from the real points of `data`."""
        for name, values in (("x", data.x[data.mask]), ("y", data.y[data.mask])):
            if name == "x" and not x:
                continue
            deviation = values.std(0, correction=0)
            getattr(self, f"{name}_loc").copy_(values.mean(0))
            getattr(self, f"{name}_scale").copy_(torch.where(deviation > 0, deviation, 1.0))

    def points(self, context: Context) -> tuple[Tensor, Tensor]:
        """x and y of the context as a network sees them, with zeros for padding; `ShapeError` where they do not fit."""
        x, y, mask = context.x, context.y, context.mask
        if mask.ndim != 2 or x.shape != (*mask.shape, self.x_dim) or y.shape != (*mask.shape, self.y_dim):
            raise ShapeError(f"expected a context of x (n, points, {self.x_dim}), y (n, points, {self.y_dim}) and mask "
                             f"(n, points), got {tuple(x.shape)}, {tuple(y.shape)} and {tuple(mask.shape)}; "
                             "one function is a batch of one")  # fmt: skip
        real = mask[..., None]
        x = torch.where(real, (x - self.x_loc) / self.x_scale, 0.0)
        return x, torch.where(real, (y - self.y_loc) / self.y_scale, 0.0)

    def targets(self, context: Context, x_target: Tensor) -> Tensor:
        """Targets as a network sees them; `ShapeError` where they do not fit the context."""
        n = len(context.x)
        if x_target.ndim != 3 or len(x_target) != n or x_target.shape[-1] != self.x_dim:
            raise ShapeError(f"expected x_target of shape ({n}, targets, {self.x_dim}), got {tuple(x_target.shape)}; "
                             "give each function of the context its targets")  # fmt: skip
        return (x_target - self.x_loc) / self.x_scale

    def normal(self, outputs: Tensor) -> Independent:
        """Normal predictions from the outputs `(..., targets, 2 y_dim)` of a network, independent over targets and y."""
        mean, raw = outputs.chunk(2, dim=-1)
        scale = self.min_scale + (1 - self.min_scale) * softplus(raw)
        # The checks of PyTorch wait for the device, so in training they are left to `fit`, which looks at the loss.
        checked = False if self.training else None
        each = Normal(self.y_loc + self.y_scale * mean, self.y_scale * scale, validate_args=checked)
        return Independent(each, 2, validate_args=checked)
