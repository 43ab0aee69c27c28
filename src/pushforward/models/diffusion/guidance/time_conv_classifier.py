"""A small convolutional classifier of noised images, which is told how much noise there is.

Convolutions at every resolution, halved until a side is at most four pixels, with the time scaling and shifting each block after its
normalisation, as in the U-Net of the model that it guides. Dhariwal and Nichol 2021, https://arxiv.org/abs/2105.05233.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ShapeError
from pushforward.core.registry import register
from pushforward.core.shapes import as_size
from pushforward.parts.nn import TimeEmbedding
from pushforward.parts.nn.norm import group_norm


@register
class TimeConvClassifier(nn.Module):
    """Logits `(n, classes)` for images `(n, channels, height, width)` and times `(n,)` in [0, 1]. They are zero in the beginning.

    Raises `ShapeError` for images of another size.

    >>> TimeConvClassifier(1, (8, 8), classes=10)(torch.zeros(5, 1, 8, 8), torch.rand(5)).shape
    torch.Size([5, 10])
    """

    def __init__(self, channels: int, size: Sequence[int], *, classes: int, width: int = 32):
        super().__init__()
        height, breadth = size
        self.image_shape = as_size((channels, height, breadth))
        levels = max(0, math.ceil(math.log2(max(height, breadth) / 4)))
        embedding = 2 * math.ceil(min(4 * width, 128) / 2)
        self.embedding = TimeEmbedding(embedding)
        widths = [width * min(2**level, 4) for level in range(levels + 1)]
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            _Block(before, after, embedding, 1 if level == 0 else 2)
            for level, (before, after) in enumerate(zip([width, *widths], widths))
        )
        for _ in range(levels):
            height, breadth = -(-height // 2), -(-breadth // 2)
        self.read_out = nn.Linear(widths[-1] * height * breadth, classes)
        nn.init.zeros_(self.read_out.weight)
        nn.init.zeros_(self.read_out.bias)

    def forward(self, x: Float[Tensor, "n c h w"], t: Float[Tensor, "n"]) -> Float[Tensor, "n k"]:
        """Unnormalised log probabilities of the classes."""
        if x.shape[1:] != self.image_shape:
            raise ShapeError(f"expected images of shape (n, {', '.join(map(str, self.image_shape))}), "
                             f"got {tuple(x.shape)}; build the classifier for these channels and this size")  # fmt: skip
        modulation, h = self.embedding(t), self.enter(x)
        for block in self.blocks:
            h = block(h, modulation)
        return self.read_out(h.flatten(1))


class _Block(nn.Module):
    """conv SiLU (1 + scale) norm(conv x) + shift, with scale and shift from the time."""

    def __init__(self, before: int, after: int, embedding: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1)
        self.norm, self.last = group_norm(after), group_norm(after)
        self.modulate = nn.Linear(embedding, 2 * after)
        self.second = nn.Conv2d(after, after, 3, padding=1)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """`(n, before, h, w)` to `(n, after, h / stride, w / stride)`."""
        scale, shift = self.modulate(modulation).unsqueeze(-1).unsqueeze(-1).chunk(2, dim=1)
        h = functional.silu(torch.addcmul(shift, self.norm(self.first(x)), 1 + scale))
        return functional.silu(self.last(self.second(h)))
