"""A small attention U-Net: the network of image diffusion (Ho et al. 2020, https://arxiv.org/abs/2006.11239).

Down through residual blocks at every resolution; self-attention where the image is smallest; up again, each block
with the matching activations of the way down beside it (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597).
Time and label scale and shift every block after its second normalisation (Dhariwal and Nichol 2021,
https://arxiv.org/abs/2105.05233). Residual branches and the output begin at zero: a fresh network is the zero function.
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
from .norm import group_norm
from .time_embedding import TimeEmbedding


@register
class UNet(nn.Module):
    """f(x, t, label) for images x `(n, channels, height, width)` and times t `(n,)` in [0, 1]; returns the shape of x.

    `size` is (height, width), each at least 2; sides that the levels do not divide are padded with zeros inside
    and cropped at the end. `width` channels at full resolution, times `multipliers` at each level; every level
    but the last halves the image. `blocks` residual blocks a level and direction. `patch=p` first folds p x p pixels
    into channels: a p^2 times smaller image, the way to afford 28 x 28 on two cores. With `classes`, `condition` holds
    labels `(n,)` in 0 .. classes - 1; the label `classes`, or None for all rows, means "no label". `outputs` is the number of
    channels given back, by default as many as come in.

    Raises `ShapeError` for images of another size and for labels that do not fit; `ConfigError` for impossible sizes.

    >>> net = UNet(1, (28, 20), width=8, classes=10, patch=2)
    >>> net(torch.randn(3, 1, 28, 20), torch.rand(3), torch.tensor([0, 9, 10])).shape
    torch.Size([3, 1, 28, 20])
    """

    def __init__(self, channels: int, size: Sequence[int], *, width: int = 32, multipliers: Sequence[int] = (1, 2),
                 blocks: int = 1, attention: bool = True, classes: int | None = None, patch: int = 1,
                 outputs: int | None = None):  # fmt: skip
        super().__init__()
        height, breadth = size
        if min(height, breadth) < 2:
            raise ConfigError(
                f"expected images of at least 2 x 2 pixels, got {height} x {breadth}; use TimeMLP for vectors"
            )
        if min(channels, width, blocks, patch, len(multipliers), *multipliers) < 1:
            raise ConfigError("expected channels, width, blocks, patch and every multiplier to be at least 1, "
                              f"got {channels}, {width}, {blocks}, {patch} and {tuple(multipliers)}; raise what is 0")  # fmt: skip
        self.image_shape = as_size((channels, height, breadth))
        self.patch = patch
        unit = patch * 2 ** (len(multipliers) - 1)
        bottom, right = -height % unit, -breadth % unit
        self.padding = (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2)  # left, right, top, bottom
        widths = [width * multiplier for multiplier in multipliers]
        embedding = 2 * math.ceil(min(4 * width, 256) / 2)
        self.embedding = TimeEmbedding(embedding, classes=classes)
        self.enter = nn.Conv2d(channels * patch**2, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        now = width
        for level, wide in enumerate(widths):
            self.down.append(_Level(now, wide, embedding, blocks, halve=level < len(widths) - 1))
            now = wide
        self.middle = _Block(now, now, embedding)
        self.attend = _ImageAttention(now) if attention else None
        for level, wide in reversed(list(enumerate(widths))):
            self.up.append(_RisingLevel(now, wide, embedding, blocks, enlarge=level < len(widths) - 1))
            now = wide
        leaving = (outputs or channels) * patch**2
        self.leave = nn.Sequential(group_norm(now), nn.SiLU(), nn.Conv2d(now, leaving, 3, padding=1))
        _zero(self.leave[-1])

    def forward(
        self, x: Float[Tensor, "n c h w"], t: Float[Tensor, "n"], condition: Tensor | None = None
    ) -> Float[Tensor, "n outputs h w"]:
        """Evaluate the network."""
        if x.shape[1:] != self.image_shape:
            raise ShapeError(f"expected images of shape (n, {', '.join(map(str, self.image_shape))}), "
                             f"got {tuple(x.shape)}; build the U-Net for these channels and this size")  # fmt: skip
        left, right, top, bottom = self.padding
        modulation = self.embedding(t, condition)
        h = self.enter(nn.functional.pixel_unshuffle(nn.functional.pad(x, self.padding), self.patch))
        beside = []
        for level in self.down:
            h, kept = level(h, modulation)
            beside.append(kept)
        h = self.middle(h, modulation)
        if self.attend is not None:
            h = self.attend(h)
        for level in self.up:
            h = level(h, beside.pop(), modulation)
        h = nn.functional.pixel_shuffle(self.leave(h), self.patch)
        return h[..., top : h.shape[-2] - bottom, left : h.shape[-1] - right]


class _Block(nn.Module):
    """x + conv SiLU (1 + scale) norm(conv SiLU norm x) + shift, with scale and shift from time and label."""

    def __init__(self, before: int, after: int, embedding: int):
        super().__init__()
        self.first = nn.Sequential(group_norm(before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.norm = group_norm(after)
        self.modulate = nn.Linear(embedding, 2 * after)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        _zero(self.modulate)
        _zero(self.second)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """`(n, before, h, w)` to `(n, after, h, w)`."""
        scale, shift = self.modulate(modulation).unsqueeze(-1).unsqueeze(-1).chunk(2, dim=1)
        h = torch.addcmul(shift, self.norm(self.first(x)), 1 + scale)
        return self.skip(x) + self.second(nn.functional.silu(h))


class _Level(nn.Module):
    """Blocks at one resolution on the way down; returns what goes on (halved or not) and what the way up is given."""

    def __init__(self, before: int, after: int, embedding: int, blocks: int, *, halve: bool):
        super().__init__()
        self.blocks = nn.ModuleList(_Block(before if k == 0 else after, after, embedding) for k in range(blocks))
        self.halve = nn.Conv2d(after, after, 3, stride=2, padding=1) if halve else nn.Identity()

    def forward(self, x: Tensor, modulation: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Go down one level."""
        kept = []
        for block in self.blocks:
            x = block(x, modulation)
            kept.append(x)
        return self.halve(x), kept


class _RisingLevel(nn.Module):
    """Blocks at one resolution on the way up, each given what a block of the way down gave out."""

    def __init__(self, before: int, after: int, embedding: int, blocks: int, *, enlarge: bool):
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest") if enlarge else nn.Identity()
        self.blocks = nn.ModuleList(
            _Block((before if k == 0 else after) + after, after, embedding) for k in range(blocks)
        )

    def forward(self, x: Tensor, kept: list[Tensor], modulation: Tensor) -> Tensor:
        """Go up one level."""
        x = self.enlarge(x)
        for block, beside in zip(self.blocks, reversed(kept)):
            x = block(torch.cat([x, beside], dim=1), modulation)
        return x


class _ImageAttention(nn.Module):
    """x + attention(norm x) over the pixels, heads of about 32 channels."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = group_norm(width)
        self.attend = SelfAttention(width, heads=math.gcd(width, max(1, width // 32)))
        _zero(self.attend.out)

    def forward(self, x: Tensor) -> Tensor:
        """`(n, width, h, w)` to the same."""
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        return x + self.attend(tokens).transpose(1, 2).unflatten(2, x.shape[2:])


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
