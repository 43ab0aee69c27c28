"""The field of the continuous planar flow, whose trace is a formula: f = sum_m u_m tanh(w_m'z + b_m) / M.

tr(df/dz) = sum_m h'(w_m'z + b_m) u_m'w_m / M with h' = 1 - tanh^2, where u, w and b are functions of t. A discrete planar
layer multiplies volumes by 1 + h' u'w and must keep that positive; an infinitesimal one always does, so u and w are free, and
many bends add up at the same time. Chen et al. 2018, https://arxiv.org/abs/1806.07366, section 4.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register

from .amortised import Amortised


@register
class PlanarField(nn.Module):
    """`width` bends at once, whose u, w and b a network with `hidden` units makes of t and of the condition.

    It begins at zero: u is 0, w and b are from PyTorch's global generator.

    Raises `ConfigError` for sizes below 1, `ShapeError` when z does not fit.

    >>> f, trace = PlanarField(3).value_and_trace(torch.rand(5), torch.randn(5, 3))
    >>> f.shape, trace.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(self, features: int, width: int = 16, condition: int = 0, hidden: Sequence[int] = (32,)):
        super().__init__()
        if min(features, width) < 1:
            raise ConfigError(f"expected features and width of at least 1, got {features} and {width}; raise them")
        self.features, self.width, self.condition = features, width, condition
        self.event_shape, self.closed_trace = Size((features,)), True
        self.numbers = 8 * width * (features + 1)
        w, b = torch.randn(width, features) / math.sqrt(features), torch.randn(width, 1)
        start = torch.cat([torch.zeros(width, features), w, b], 1).flatten()
        self.bends = Amortised(start, condition + 1, hidden)

    def forward(self, t: Float[Tensor, " n"], z: Float[Tensor, "n d"],
                condition: Tensor | None = None) -> Float[Tensor, "n d"]:  # fmt: skip
        """dz/dt."""
        return self.value_and_trace(t, z, condition)[0]

    def value_and_trace(self, t: Float[Tensor, " n"], z: Float[Tensor, "n d"],
                        condition: Tensor | None = None) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:  # fmt: skip
        """dz/dt and the trace of its Jacobian."""
        if z.shape != (len(t), self.features):
            raise ShapeError(f"expected z of shape (n, {self.features}), got {tuple(z.shape)}; build the field for it")
        clock = t.unsqueeze(1)
        numbers = self.bends(clock if condition is None else torch.cat([condition, clock], 1))
        u, w, b = numbers.reshape(-1, self.width, 2 * self.features + 1).split([self.features, self.features, 1], 2)
        h = torch.tanh(torch.matmul(w, z.unsqueeze(2)) + b)  # (n, width, 1)
        f = (u * h).sum(1) / self.width
        trace = ((1 - h.square()) * (u * w).sum(2, keepdim=True)).sum((1, 2)) / self.width
        return f, trace
