"""A gated block of two stacks: `v` looks at the rows above, `h` at them and at the row to its left.

    a_v = K_v * v,                     v' = tanh(a_v + V c) . sigmoid(a_v + V c)     (halves of a_v),
    a_h = K_h * h + L a_v + U c,       z  = tanh(a_h) . sigmoid(a_h),    h' = h + R z,

and z is what goes into the skip connection. The vertical stack sees whole rows, right and left, so what reaches h through L is all of
the cone above a pixel: a single stack of masked convolutions never sees the pixels to the upper right, its blind spot.
van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders", https://arxiv.org/abs/1606.05328, figures 1 and 2.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .masked_conv import MaskedConv


@register
class GatedPixelBlock(nn.Module):
    """`width` channels in both stacks; `kernel` columns and (kernel + 1) / 2 rows in v, (kernel + 1) / 2 columns in h.

    v must hold nothing of its own row: `MaskedConv(..., above=True)` makes such a one, and the block keeps it so. Channel i of h
    belongs to group i * groups // width, and sees groups up to its own. Raises `ConfigError` for a kernel that is even, or a width
    that groups do not divide.

    >>> import torch
    >>> block = GatedPixelBlock(6, 3)
    >>> v, h, z = block(torch.zeros(2, 6, 4, 5), torch.zeros(2, 6, 4, 5))
    >>> v.shape == h.shape == z.shape
    True
    """

    def __init__(self, width: int, kernel: int = 5, groups: int = 1, condition: int = 0, dropout: float = 0.0):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0 or width < 1 or width % groups or not 0 <= dropout < 1:
            raise ConfigError(f"expected an odd kernel, a width that {groups} groups divide and dropout in [0, 1), got kernel "
                              f"{kernel}, width {width} and dropout {dropout:g}")  # fmt: skip
        half = kernel // 2
        own = groups_of(width, groups)
        self.vertical = MaskedConv(width, 2 * width, half + 1, half, half)
        self.horizontal = MaskedConv(width, 2 * width, left=half, sources=own, targets=own * 2)
        self.link = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.residual = MaskedConv(width, width, sources=own, targets=own)
        self.given = nn.Linear(condition, 4 * width, bias=False) if condition else None
        self.dropout = dropout

    def forward(
        self,
        v: Float[Tensor, "n width rows columns"],
        h: Float[Tensor, "n width rows columns"],
        given: Float[Tensor, "n condition"] | None = None,
    ) -> tuple[
        Float[Tensor, "n width rows columns"],
        Float[Tensor, "n width rows columns"],
        Float[Tensor, "n width rows columns"],
    ]:
        """v', h' and z."""
        a_v = self.vertical(v)
        a_h = self.horizontal(h) + self.link(a_v)
        if self.given is not None and given is not None:
            to_v, to_h = self.given(given)[..., None, None].chunk(2, 1)
            a_v, a_h = a_v + to_v, a_h + to_h
        z = functional.dropout(gate(a_h), self.dropout, self.training)
        return functional.dropout(gate(a_v), self.dropout, self.training), h + self.residual(z), z


def gate(a: Tensor) -> Tensor:
    """tanh of the first half of the channels, times sigmoid of the second."""
    f, g = a.chunk(2, 1)
    return f.tanh() * g.sigmoid()


def groups_of(width: int, groups: int) -> list[int]:
    """The group of each of `width` channels: as many in one as in another, in order."""
    return [i * groups // width for i in range(width)]
