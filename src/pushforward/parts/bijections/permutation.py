"""Reordering the features: x_i = z_{order[i]}, log abs det 0."""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class Permutation(Bijection):
    """x_i = z_{order[i]}, for vectors z `(*batch, features)`.

    Raises `ConfigError` unless `order` holds each of 0 .. features - 1 once.

    >>> x, log_det = Permutation([2, 0, 1])(torch.tensor([10.0, 20.0, 30.0]))
    >>> x
    tensor([30., 10., 20.])
    """

    order: Tensor
    back: Tensor

    def __init__(self, order: Sequence[int]):
        super().__init__()
        if not order or sorted(order) != list(range(len(order))):
            raise ConfigError(
                f"expected each of 0 .. {max(len(order) - 1, 0)} once, got {list(order)}; give the place every feature comes from"
            )
        self.event_shape = self.output_shape = Size((len(order),))
        self.order = nn.Buffer(torch.tensor(order), persistent=False)
        self.back = nn.Buffer(torch.tensor(order).argsort(), persistent=False)

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return z.T.index_select(0, self.order).T, z.new_zeros(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return x.T.index_select(0, self.back).T, x.new_zeros(len(x))


def random_permutation(features: int, seed: int = 0) -> Permutation:
    """A permutation drawn at random; the same seed gives the same one.

    >>> sorted(random_permutation(5, seed=1).order.tolist())
    [0, 1, 2, 3, 4]
    """
    return Permutation(torch.randperm(features, generator=torch.Generator().manual_seed(seed)).tolist())
