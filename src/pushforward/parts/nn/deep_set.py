"""A network on sets: one network for every element, then a mean or a sum.

r = (1/m) sum_i h(s_i), which is the same for every order of the elements; with any network behind it, it approximates
every function of a set (Zaheer et al., 2017, https://arxiv.org/abs/1703.06114).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .mlp import MLP


@register
class DeepSet(nn.Module):
    """The mean (or sum) over a set of a network of its elements.

    Elements `(n, points, in_features)` and a mask `(n, points)`, True where an element is real, give `(n, out_features)`.
    What padding holds, even NaN, reaches neither the output nor a gradient. An empty set gives zeros. `layers` counts
    the hidden layers, of width `hidden`. `aggregate` is "mean" or "sum"; `ConfigError` otherwise.

    >>> import torch
    >>> DeepSet(3, 16)(torch.randn(5, 10, 3), torch.ones(5, 10, dtype=torch.bool)).shape
    torch.Size([5, 16])
    """

    def __init__(self, in_features: int, out_features: int, hidden: int = 128, layers: int = 3,
                 aggregate: str = "mean", activation: str = "silu"):  # fmt: skip
        super().__init__()
        if aggregate not in ("mean", "sum"):
            raise ConfigError(f"expected aggregate 'mean' or 'sum', got {aggregate!r}; choose one of them")
        self.aggregate = aggregate
        self.element = MLP(in_features, out_features, (hidden,) * layers, activation)

    def forward(self, elements: Float[Tensor, "n points features"],
                mask: Bool[Tensor, "n points"]) -> Float[Tensor, "n out"]:  # fmt: skip
        """Map `n` padded sets to `n` vectors."""
        real = mask[..., None]
        # Both ends are cut: a NaN in the padding would otherwise come back as 0 * NaN in the gradient of the weights.
        each = self.element(torch.where(real, elements, 0.0).flatten(0, 1)).unflatten(0, mask.shape)
        total = torch.where(real, each, 0.0).sum(1)
        return total / mask.sum(1, keepdim=True).clamp(min=1) if self.aggregate == "mean" else total
