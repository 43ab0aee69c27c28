"""Self-attention among the tokens of a row: softmax(Q K' / sqrt(d)) V.

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

_FEW = 256  # tokens


@register
class SelfAttention(nn.Module):
    """Every token looks at all tokens of its own row: `(n, tokens, width)` to the same shape.

    Without positions: a permutation of the tokens permutes the result. `heads` must divide `width` (else
    `ConfigError`). Beyond 256 tokens the product runs in PyTorch's fused `scaled_dot_product_attention`, which never
    stores the tokens x tokens matrix; up to there it is written out, for little time, and can then be
    differentiated forwards and twice (divergences, score matching), which the fused kernels cannot.

    >>> SelfAttention(32, heads=4)(torch.zeros(2, 9, 32)).shape
    torch.Size([2, 9, 32])
    """

    def __init__(self, width: int, *, heads: int = 4):
        super().__init__()
        if heads < 1 or width % heads:
            raise ConfigError(f"expected a number of heads that divides the width {width}, got {heads}; choose another")
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        """Attend."""
        n, tokens, width = x.shape
        split = self.query_key_value(x).view(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # each (n, heads, tokens, width / heads)
        if tokens <= _FEW:
            scale = query.shape[-1] ** -0.5
            mixed = torch.softmax((query * scale) @ key.transpose(-1, -2), dim=-1) @ value
        else:
            mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).reshape(n, tokens, width))
