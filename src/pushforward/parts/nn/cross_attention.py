"""Attention of one set of tokens to another of any size: softmax(Q K' / sqrt(d)) V over the real ones.

Vaswani et al., 2017, https://arxiv.org/abs/1706.03762.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class CrossAttention(nn.Module):
    """Every query takes a weighted mean of the values of a padded set, in several heads.

    Queries `(n, queries, width)`, keys and values `(n, points, width)` and a mask `(n, points)`, True where a point is
    real, give `(n, queries, width)`. Padding must be finite, and has weight zero; an empty set gives the bias of the
    last layer, never NaN. The order of the points does not matter. `heads` must divide `width` (else `ConfigError`).

    >>> q, s = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    >>> CrossAttention(8, heads=2)(q, s, s, torch.ones(2, 3, dtype=torch.bool)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, *, heads: int = 4):
        super().__init__()
        if width < 1 or heads < 1 or width % heads:
            raise ConfigError(f"expected a number of heads that divides the width {width}, got {heads}; choose another")
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, query: Float[Tensor, "n queries width"], key: Float[Tensor, "n points width"],
                value: Float[Tensor, "n points width"], mask: Bool[Tensor, "n points"]) -> Float[Tensor, "n queries width"]:  # fmt: skip
        """Attend."""
        q, k, v = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (n, heads, tokens, width / heads)
            for layer, tokens in ((self.query, query), (self.key, key), (self.value, value))
        )
        # The least finite number, and not -inf: of a set without a real point the softmax is then no 0 / 0. The product
        # with whether there is any point makes such a row zero, and changes no other.
        bias = q.new_zeros(mask.shape).masked_fill(~mask, torch.finfo(q.dtype).min)[:, None, None]
        weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias).softmax(-1)
        seen = (weights @ v).transpose(1, 2).flatten(2) * mask.any(1)[:, None, None]
        return self.out(seen)
