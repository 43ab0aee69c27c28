"""Planar flow layer: x = z + u tanh(w'z + b). Rezende and Mohamed 2015, https://arxiv.org/abs/1505.05770, section 4.1."""

import math
from collections.abc import Sequence

import torch
from torch import Size, Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.solved import Solved

from .amortised import Amortised
from .low_rank import above_minus_one, tanh_slope, unbend, unit


@register
class Planar(Bijection):
    """x = z + u tanh(w'z + b), a bend along one direction; log abs det = log(1 + h' w'u) with h' = 1 - tanh^2, in O(d).

    It is invertible when w'u > -1, so of the free vector v only the part across w is taken as it is; the part along w
    becomes u'w = m(w'v) >= -0.999 (`low_rank.py`). The inverse is one monotone root in the number w'z for each row,
    differentiable. With a `condition`, (v, w, b) are moved by a network of it, with `hidden` units. It begins as the
    identity: v = 0, and w and b from PyTorch's global generator.

    Raises `ConfigError` for fewer than 1 feature.

    >>> layer = Planar(3)
    >>> z = torch.randn(5, 3)
    >>> bool(torch.allclose(layer.inverse(layer(z)[0])[0], z))
    True
    """

    def __init__(self, features: int, condition: int = 0, hidden: Sequence[int] = (32,)):
        super().__init__()
        if features < 1:
            raise ConfigError(f"expected at least 1 feature, got {features}; give the width of a row")
        self.event_shape = self.output_shape = Size((features,))
        self.condition_shape = Size((condition,)) if condition else None
        self.inverse_kind = "iterative"
        self.solved: Solved | None = None
        start = torch.cat([torch.zeros(features), torch.randn(features) / math.sqrt(features), torch.randn(1)])
        self.numbers = Amortised(start, condition, hidden)

    def constrained(self, condition: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """u, w `(n, features)`, b and w'u > -1 `(n, 1)` for conditions `(n, width)`; n is 1 without."""
        d = self.event_shape[0]
        v, w, b = self.numbers(condition).split([d, d, 1], 1)
        along = unit(w)
        product, ratio = above_minus_one((w * v).sum(1, keepdim=True))
        return v + (ratio - 1) * (along * v).sum(1, keepdim=True) * along, w, b, product

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        u, w, b, product = self.constrained(condition)
        a = (z * w).sum(1, keepdim=True) + b
        return z + u * torch.tanh(a), torch.log1p(product * tanh_slope(a))[:, 0]

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        u, w, b, product = self.constrained(condition)
        # w'x = a + w'u tanh(a + b) for a = w'z.
        a, self.solved = unbend((x * w).sum(1, keepdim=True), product, torch.ones_like(b), b, product)
        return x - u * torch.tanh(a + b), -torch.log1p(product * tanh_slope(a + b))[:, 0]
