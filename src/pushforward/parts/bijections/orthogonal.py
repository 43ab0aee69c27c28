"""Rotations and reflections as products of Householder reflections, H_v = I - 2 v v' / |v|^2.

Every orthogonal matrix of d rows is a product of d of them; each costs O(d) a row, and no matrix is formed (Tomczak and
Welling 2016, https://arxiv.org/abs/1611.09630).
"""

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .low_rank import unit


@register
class Orthogonal(Bijection):
    """x = H_1 H_2 ... H_K z, a learned orthogonal matrix; log abs det 0, and the inverse is the transpose.

    `reflections` is K, by default the least even number that is not below `features`, which reaches every rotation. The
    vectors begin as pairs of equal ones, from PyTorch's global generator: for even K the map begins as the identity, for odd K as
    one reflection.

    Raises `ConfigError` for fewer than 1 feature or reflection.

    >>> x, log_det = Orthogonal(3)(torch.tensor([3.0, 0.0, 4.0]))
    >>> round(x.norm().item(), 4), log_det
    (5.0, tensor(0.))
    """

    def __init__(self, features: int, reflections: int | None = None):
        super().__init__()
        count = features + features % 2 if reflections is None else reflections
        if features < 1 or count < 1:
            raise ConfigError(f"expected at least 1 feature and 1 reflection, got {features} and {count}; leave reflections out for any rotation")  # fmt: skip
        self.event_shape = self.output_shape = Size((features,))
        self.vectors = nn.Parameter(paired_vectors(features, count))

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return reflect(z, self.vectors.flip(0)), z.new_zeros(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return reflect(x, self.vectors), x.new_zeros(len(x))


def reflect(rows: Tensor, vectors: Tensor) -> Tensor:
    """Reflect `rows` `(..., d)` by each of `vectors` `(K, d)` or `(n, K, d)` in turn; a zero vector leaves them alone.

    >>> reflect(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([[-1.,  2.]])
    """
    for n in unit(vectors).unbind(-2):
        n = n if n.ndim == 1 else n.reshape(len(n), *(1,) * (rows.ndim - 2), n.shape[1])
        rows = rows - 2 * (rows * n).sum(-1, keepdim=True) * n
    return rows


def paired_vectors(features: int, count: int) -> Tensor:
    """`count` random vectors, each one twice, `(count, features)`: the reflections cancel, but for the last of an odd number."""
    return torch.randn((count + 1) // 2, features).repeat_interleave(2, 0)[:count]
