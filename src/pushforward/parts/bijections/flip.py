"""The other way round: x_t = z_{T - 1 - t}, log abs det 0. What came last in one layer comes first in the next."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.shapes import as_size


@register
class Flip(Bijection):
    """Events turned round along their first dimension: the features of a vector, the tokens of a sequence.

    Raises `ConfigError` for events that are single numbers.

    >>> import torch
    >>> Flip((3, 2))(torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))[0]
    tensor([[3., 3.],
            [2., 2.],
            [1., 1.]])
    """

    def __init__(self, event_shape: int | Sequence[int]):
        super().__init__()
        self.event_shape = self.output_shape = as_size(event_shape)
        if not self.event_shape:
            raise ConfigError("expected events with a first dimension, got single numbers; leave the flip out")

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return z.flip(1), z.new_zeros(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return x.flip(1), x.new_zeros(len(x))
