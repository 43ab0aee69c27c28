"""A diffusion transformer: attention among the patches of an image, every block switched on by time and condition.

    h <- h + gate_1 attend((1 + scale_1) norm(h) + shift_1),   h <- h + gate_2 mlp((1 + scale_2) norm(h) + shift_2)

with the six vectors of a block linear in the embedding of time and condition, and zero in the beginning (adaLN-zero): a fresh
block is the identity, a fresh network the zero function. Positions are waves of the rows and columns of patches.
Peebles and Xie 2023, https://arxiv.org/abs/2212.09748.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register
from pushforward.core.shapes import as_size

from .attention import SelfAttention
from .time_embedding import TimeEmbedding


@register
class DiT(nn.Module):
    """f(x, t, condition) for images x `(n, channels, height, width)` and times t `(n,)` in [0, 1]; returns the shape of x.

    It is called as a `UNet` is. `size` is (height, width), each a multiple of `patch`; tokens have `width` numbers, a multiple
    of `heads` and of 4. With `classes`, `condition` holds labels `(n,)` in 0 .. classes - 1; the label `classes`, or None for all
    rows, means "no label". With a width `condition`, it holds numbers `(n, condition)`. `positions=False` leaves the patches
    unordered: a permutation of them then permutes what comes out. `outputs` is the number of channels given back, by default as many
    as come in.

    Raises `ShapeError` for images of another size and conditions that do not fit; `ConfigError` for impossible sizes.

    >>> net = DiT(3, (8, 12), width=16, layers=2, heads=2, patch=4, classes=10)
    >>> net(torch.randn(5, 3, 8, 12), torch.rand(5), torch.tensor([0, 1, 2, 9, 10])).shape
    torch.Size([5, 3, 8, 12])
    """

    places: Tensor

    def __init__(self, channels: int, size: Sequence[int], *, width: int = 128, layers: int = 6, heads: int = 4, patch: int = 2,
                 classes: int | None = None, condition: int = 0, outputs: int | None = None, positions: bool = True):  # fmt: skip
        super().__init__()
        height, breadth = size
        if min(channels, width, layers, heads, patch, height, breadth) < 1 or condition < 0:
            raise ConfigError("expected channels, width, layers, heads, patch and sides of at least 1, "
                              f"got {channels}, {width}, {layers}, {heads}, {patch} and {tuple(size)}; raise what is 0")  # fmt: skip
        if height % patch or breadth % patch or width % 4:
            raise ConfigError(f"expected sides that patch={patch} divides and a width that 4 divides, got {height} x {breadth} and {width}; "
                              "choose another patch, or pad the images")  # fmt: skip
        if classes is not None and condition:
            raise ConfigError(
                f"expected classes or a condition width, got both ({classes} and {condition}); leave one out"
            )
        self.image_shape, self.patch, self.condition = as_size((channels, height, breadth)), patch, condition
        self.grid = height // patch, breadth // patch
        self.embedding = TimeEmbedding(width, classes=classes)
        self.numbers = (
            nn.Sequential(nn.Linear(condition, width), nn.SiLU(), nn.Linear(width, width)) if condition else None
        )
        self.enter = nn.Linear(channels * patch**2, width)
        waves = grid_waves(*self.grid, width) if positions else torch.zeros(1, width)
        self.places = nn.Buffer(waves, persistent=False)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulate = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, (outputs or channels) * patch**2)
        for layer in (self.modulate, self.leave):
            _zero(layer)

    def forward(
        self, x: Float[Tensor, "n c h w"], t: Float[Tensor, "n"], condition: Tensor | None = None
    ) -> Float[Tensor, "n outputs h w"]:
        """Evaluate the network."""
        if x.shape[1:] != self.image_shape:
            raise ShapeError(f"expected images of shape (n, {', '.join(map(str, self.image_shape))}), "
                             f"got {tuple(x.shape)}; build the transformer for these channels and this size")  # fmt: skip
        modulation = self._modulation(t, condition)
        tokens = nn.functional.pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)
        h = self.enter(tokens) + self.places
        for block in self.blocks:
            h = block(h, modulation)
        shift, scale = self.modulate(modulation).unsqueeze(1).chunk(2, dim=-1)
        out = self.leave(torch.addcmul(shift, self.norm(h), 1 + scale))
        return nn.functional.pixel_shuffle(out.transpose(1, 2).unflatten(2, self.grid), self.patch)

    def _modulation(self, t: Tensor, condition: Tensor | None) -> Tensor:
        if self.numbers is None:
            return self.embedding(t, condition)
        if condition is None or condition.shape != (len(t), self.condition):
            got = "none" if condition is None else str(tuple(condition.shape))
            raise ShapeError(
                f"expected a condition of shape ({len(t)}, {self.condition}), got {got}; one row for each image"
            )
        return self.embedding(t) + self.numbers(condition.to(t.dtype))


class _Block(nn.Module):
    """Attention and a perceptron, each behind a norm that time and condition scale and shift, and a gate that they open."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attend = SelfAttention(width, heads=heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.modulate = nn.Linear(width, 6 * width)
        _zero(self.modulate)

    def forward(self, h: Tensor, modulation: Tensor) -> Tensor:
        """`(n, tokens, width)` to the same."""
        shift, scale, gate, shift_2, scale_2, gate_2 = self.modulate(modulation).unsqueeze(1).chunk(6, dim=-1)
        h = torch.addcmul(h, gate, self.attend(torch.addcmul(shift, self.norm(h), 1 + scale)))
        return torch.addcmul(h, gate_2, self.mlp(torch.addcmul(shift_2, self.norm(h), 1 + scale_2)))


def grid_waves(rows: int, columns: int, width: int) -> Tensor:
    """Positions of a grid, `(rows columns, width)`: half of the numbers tell the column, half the row, by sines and cosines.

    Angles are position / 10000^(4k / width), k = 0 .. width / 4 - 1 (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762).

    >>> grid_waves(1, 2, 4)[:, :2]  # sine and cosine of the columns 0 and 1
    tensor([[0.0000, 1.0000],
            [0.8415, 0.5403]])
    """
    rate = torch.exp(-math.log(10_000) * torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    parts = [wave(place.reshape(-1, 1) * rate) for place in (column, row) for wave in (torch.sin, torch.cos)]
    return torch.cat(parts, dim=1).to(torch.get_default_dtype())


def _zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
