"""Radial flow layer: x = z + beta (z - c) / (alpha + |z - c|). Rezende and Mohamed 2015, https://arxiv.org/abs/1505.05770."""

from collections.abc import Sequence

import torch
from torch import Size, Tensor
from torch.nn import functional

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .amortised import Amortised
from .low_rank import above_minus_one

LEAST_RADIUS = 1e-3


@register
class Radial(Bijection):
    """x = z + beta h (z - c) with h = 1 / (alpha + r), r = |z - c|: space drawn to a centre c, or pushed from it.

    With s = beta / alpha and q = alpha h in (0, 1], log abs det = (d - 1) log(1 + s q) + log(1 + s q^2). It is
    invertible when s > -1: s = m(free number) >= -0.999 (`low_rank.py`), and alpha = 0.001 + softplus. The inverse is a
    root of a quadratic in r, so both directions are exact. With a `condition`, the parameters are moved by a network of
    it, with `hidden` units. It begins as the identity, with c from PyTorch's global generator.

    Raises `ConfigError` for fewer than 1 feature.

    >>> layer = Radial(3)
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
        start = torch.cat([torch.randn(features), torch.tensor([0.5, 0.0])])
        self.numbers = Amortised(start, condition, hidden)

    def constrained(self, condition: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """c `(n, features)`, alpha > 0 and s = beta / alpha > -1 `(n, 1)` for conditions `(n, width)`; n is 1 without."""
        c, free_alpha, free_s = self.numbers(condition).split([self.event_shape[0], 1, 1], 1)
        return c, LEAST_RADIUS + functional.softplus(free_alpha), above_minus_one(free_s)[0]

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        c, alpha, s = self.constrained(condition)
        q = alpha / (alpha + torch.linalg.vector_norm(z - c, dim=1, keepdim=True))
        return z + s * q * (z - c), self._log_det(s, q)

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        c, alpha, s = self.constrained(condition)
        far = torch.linalg.vector_norm(x - c, dim=1, keepdim=True)
        # far = r (1 + s q) gives r^2 + (alpha + beta - far) r - alpha far = 0, with alpha + beta = alpha (1 + s) > 0.
        gap = far - alpha * (1 + s)
        # The sum that does not cancel; the other root has the sign of minus one, and their product is -alpha far.
        both = torch.where(gap >= 0, gap, -gap) + (gap.square() + 4 * alpha * far).sqrt()
        q = alpha / (alpha + torch.where(gap >= 0, both / 2, 2 * alpha * far / both))
        return c + (x - c) / (1 + s * q), -self._log_det(s, q)

    def _log_det(self, s: Tensor, q: Tensor) -> Tensor:
        return ((self.event_shape[0] - 1) * torch.log1p(s * q) + torch.log1p(s * q.square()))[:, 0]
