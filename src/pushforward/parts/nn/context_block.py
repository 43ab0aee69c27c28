"""A transformer block whose tokens look at a set of points, which may be among them.

x' = x + A(norm(x), norm(s)),  x'' = x' + MLP(norm(x')), with attention A over the real points of s: pre-norm, as in Xiong et al.
(2020, https://arxiv.org/abs/2002.04745). Nobody looks at a token that is not in s, so such tokens do not influence each other.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from pushforward.core.registry import register

from .activations import activation_named
from .cross_attention import CrossAttention


@register
class ContextBlock(nn.Module):
    """Tokens `(n, tokens, width)` look at the first `points` of them, as far as the mask `(n, points)` has them real.

    The hidden layer of the perceptron is `expansion` times as wide. Raises `ConfigError` when `heads` does not divide
    `width`, or for an unknown activation.

    >>> import torch
    >>> ContextBlock(8, heads=2)(torch.randn(2, 7, 8), torch.ones(2, 3, dtype=torch.bool)).shape
    torch.Size([2, 7, 8])
    """

    def __init__(self, width: int, *, heads: int = 4, expansion: int = 2, activation: str = "gelu"):
        super().__init__()
        self.attention = CrossAttention(width, heads=heads)
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, expansion * width), nn.Linear(expansion * width, width)
        self.activation = activation_named(activation)

    def forward(
        self, x: Float[Tensor, "n tokens width"], mask: Bool[Tensor, "n points"]
    ) -> Float[Tensor, "n tokens width"]:
        """Look, then think."""
        seen = self.before(x)
        points = seen[:, : mask.shape[1]]
        x = x + self.attention(seen, points, points, mask)
        return x + self.narrow(self.activation(self.wide(self.between(x))))
