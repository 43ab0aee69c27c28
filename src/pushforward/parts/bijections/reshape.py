"""Another shape for the same numbers in the same order: log abs det 0."""

import math
from collections.abc import Sequence

from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.shapes import as_size


@register
class Reshape(Bijection):
    """z of `event_shape` to x of `output_shape`: what joins a bijection of vectors to one of tokens or of images.

    Raises `ConfigError` for shapes that hold different amounts of numbers.

    >>> import torch
    >>> Reshape(4, (2, 2))(torch.arange(4.0))[0]
    tensor([[0., 1.],
            [2., 3.]])
    """

    def __init__(self, event_shape: int | Sequence[int], output_shape: int | Sequence[int]):
        super().__init__()
        self.event_shape, self.output_shape = as_size(event_shape), as_size(output_shape)
        if math.prod(self.event_shape) != math.prod(self.output_shape):
            raise ConfigError(f"expected two shapes of as many numbers, got {tuple(self.event_shape)} and {tuple(self.output_shape)}; "
                              "a bijection keeps all of them")  # fmt: skip

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return z.reshape(len(z), *self.output_shape), z.new_zeros(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return x.reshape(len(x), *self.event_shape), x.new_zeros(len(x))
