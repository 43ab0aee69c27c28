"""What a target sees of a context by attention: r(x) = sum_i w_i(x) r_i, with weights from the places alone.

Queries and keys are networks of x, values of (x, y); perhaps the values attend to each other first. Kim et al., 2019,
https://arxiv.org/abs/1901.05761.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pushforward.core.registry import register
from pushforward.parts.nn.context_block import ContextBlock
from pushforward.parts.nn.cross_attention import CrossAttention
from pushforward.parts.nn.mlp import MLP


@register
class AttentivePath(nn.Module):
    """A representation `(n, targets, width)` of a padded context for each target; of an empty one, the same for all.

    `layers` counts the hidden layers of the networks that make keys and values, `self_attention` the blocks in which
    the points of the context look at each other before they are asked. Raises `ConfigError` when `heads` does not
    divide `width`.

    >>> path = AttentivePath(1, 1, 8, heads=2)
    >>> x, y, mask = torch.zeros(2, 3, 1), torch.zeros(2, 3, 1), torch.ones(2, 3, dtype=torch.bool)
    >>> path(x, y, mask, torch.zeros(2, 5, 1)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, x_dim: int, y_dim: int, width: int = 128, *, heads: int = 4, layers: int = 2,
                 self_attention: int = 0, activation: str = "gelu"):  # fmt: skip
        super().__init__()
        self.place = MLP(x_dim, width, (width,) * layers, activation)
        self.point = MLP(x_dim + y_dim, width, (width,) * layers, activation)
        self.among = nn.ModuleList(
            ContextBlock(width, heads=heads, activation=activation) for _ in range(self_attention)
        )
        self.attention = CrossAttention(width, heads=heads)

    def forward(self, x: Float[Tensor, "n points x_dim"], y: Float[Tensor, "n points y_dim"],
                mask: Bool[Tensor, "n points"], x_target: Float[Tensor, "n targets x_dim"]) -> Float[Tensor, "n targets width"]:  # fmt: skip
        """Ask the context at each target."""
        n, points, targets = *mask.shape, x_target.shape[1]
        # One call for keys and queries: they are the same network of a place.
        places = self.place(torch.cat([x, x_target], 1).flatten(0, 1)).unflatten(0, (n, points + targets))
        values = self.point(torch.cat([x, y], -1).flatten(0, 1)).unflatten(0, (n, points))
        for block in self.among:
            values = block(values, mask)
        return self.attention(places[:, points:], places[:, :points], values, mask)
