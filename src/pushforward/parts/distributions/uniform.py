"""The uniform distribution on a box.

p(x) = prod_i 1 / (high_i - low_i) where low <= x <= high, and zero elsewhere.
"""

import torch
from torch import Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.shapes import sum_event

from .checks import require_floats


@register
class Uniform(Distribution):
    """Independent numbers between `low` and `high`, which have the event shape or broadcast to it.

    Outside the box, whose faces belong to it, `log_prob` is -inf. Raises `ConfigError` unless low < high.

    >>> import torch
    >>> Uniform(torch.tensor([1.0]), torch.tensor([3.0])).log_prob(torch.tensor([[2.0], [4.0]]))
    tensor([-0.6931,    -inf])
    """

    low: Tensor
    high: Tensor

    def __init__(self, low: Tensor, high: Tensor):
        super().__init__()
        require_floats({"low": low, "high": high})
        try:
            low, high = (p.detach().clone() for p in torch.broadcast_tensors(low, high))
        except RuntimeError:
            raise ConfigError(f"expected low and high of one shape, got {tuple(low.shape)} and {tuple(high.shape)}; "
                              "give both the shape of an event") from None  # fmt: skip
        if not (low < high).all():
            raise ConfigError(f"expected low < high, got {int((low >= high).sum())} empty intervals; swap their ends")
        self.event_shape = low.shape
        self.low, self.high = nn.Buffer(low), nn.Buffer(high)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self.low + (self.high - self.low) * generator.uniform(*self.event_shape, dtype=self.low.dtype)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        outside = (x < self.low) | (x > self.high)
        # x - x is 0 with gradient 0 wherever x is a number, and NaN where x is: a missing value is not "outside".
        return sum_event(torch.where(outside, -torch.inf, (x - x) - (self.high - self.low).log()))
