"""The logistic distribution, the base of NICE (Dinh et al. 2015, https://arxiv.org/abs/1410.8516, section 3.4).

p(x) = sigmoid(y) sigmoid(-y) / scale with y = (x - loc) / scale; x = loc + scale * logit(u) for uniform u.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.shapes import as_size, sum_event

from .checks import require_floats


@register
class Logistic(Distribution):
    """Independent logistic numbers, whose tails fall as exp(-|y|): `loc` and `scale` have the event shape or broadcast to it.

    The standard deviation is pi / sqrt(3) times the scale. They are copied. Raises `ConfigError` for a scale that is not
    positive.

    >>> import torch
    >>> Logistic(torch.zeros(1), torch.ones(1)).log_prob(torch.zeros(1)).exp()
    tensor(0.2500)
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Tensor, scale: Tensor):
        super().__init__()
        require_floats({"loc": loc, "scale": scale})
        if not (scale > 0).all():
            raise ConfigError(f"expected a positive scale, got one with minimum {scale.min().item():g}; "
                              "for unit variance give sqrt(3) / pi")  # fmt: skip
        try:
            loc, scale = (p.detach().clone() for p in torch.broadcast_tensors(loc, scale))
        except RuntimeError:
            raise ConfigError(f"expected loc and scale of one shape, got {tuple(loc.shape)} and {tuple(scale.shape)}; "
                              "give both the shape of an event") from None  # fmt: skip
        self.event_shape = loc.shape
        self.loc, self.scale = nn.Buffer(loc), nn.Buffer(scale)

    @classmethod
    def standardised(cls, event_shape: int | Sequence[int]) -> "Logistic":
        """Mean 0 and variance 1 over events of this shape.

        >>> Logistic.standardised(2).event_shape
        torch.Size([2])
        """
        shape = as_size(event_shape)
        return cls(torch.zeros(shape), torch.full(shape, math.sqrt(3) / math.pi))

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        # In float64: of 24 bits one draw in 16 million would be 0, and its logit infinite. Of 53 bits, 0 is moved by half a bit.
        u = generator.uniform(*self.event_shape, dtype=torch.float64).clamp(min=2.0**-54)
        return self.loc + self.scale * (u.log() - torch.log1p(-u)).to(self.loc.dtype)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        y = (x - self.loc) / self.scale
        return sum_event(logsigmoid(y) + logsigmoid(-y) - self.scale.log())
