"""The network of the gated PixelCNN: what comes before a pixel, in raster order, to the parameters of the pixel.

    v_0 = K * (the rows above),    h_0 = K' * (the row to the left, and earlier channels of the pixel),    blocks,
    out = O relu(H relu(sum_l S^l z^l)).

van den Oord et al. 2016, https://arxiv.org/abs/1606.05328. Colours are three groups of channels: green sees red of its own pixel, blue
sees both (masks A, then B); with one group a pixel is one element, and an output that couples the colours itself does the rest.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .gated_pixel_block import GatedPixelBlock, groups_of
from .masked_conv import MaskedConv

FIRST = 7  # columns that the first layer sees, 3 rows above; as in the papers


@register
class PixelStack(nn.Module):
    """`(n, channels, height, width)` to `(n, groups * outputs, height, width)`: for each group of a pixel its `outputs`.

    Args:
        outputs: parameters of each group.
        width: channels of both stacks, a multiple of `groups`.
        blocks: `GatedPixelBlock`s of this `kernel`; each lets a pixel see kernel // 2 rows and columns further.
        groups: 1, or as many as there are channels, each of which then sees the ones before.
        condition: width of what is given to every gate, 0 for nothing.
        dropout: in training, of what leaves the gates.

    Raises `ConfigError` for sizes below 1 and groups that are neither.

    >>> stack = PixelStack(3, 4, width=6, blocks=1, groups=3)
    >>> stack(torch.zeros(2, 3, 5, 6)).shape, stack.reach
    (torch.Size([2, 12, 5, 6]), 5)
    """

    def __init__(self, channels: int, outputs: int, width: int = 32, blocks: int = 5, kernel: int = 5, groups: int = 1,
                 condition: int = 0, dropout: float = 0.0):  # fmt: skip
        super().__init__()
        if min(channels, outputs, width, blocks) < 1 or groups not in (1, channels) or condition < 0:
            raise ConfigError(f"expected sizes of at least 1 and 1 group or one for each of {channels} channels, got outputs "
                              f"{outputs}, width {width}, blocks {blocks}, groups {groups}, condition {condition}")  # fmt: skip
        self.channels, self.groups, self.width, self.outputs = channels, groups, width, outputs
        self.reach = FIRST // 2 + blocks * (kernel // 2)  # rows above, and columns to either side, that are in sight
        self.blocks = nn.ModuleList(GatedPixelBlock(width, kernel, groups, condition, dropout) for _ in range(blocks))
        own = groups_of(width, groups)
        # The last input is 1 in the image and 0 around it, so that a pixel knows where the image ends.
        sources = [*(range(channels) if groups > 1 else [0] * channels), -1]
        half = FIRST // 2
        self.above = MaskedConv(channels + 1, width, half, half, half, above=True)
        self.left = MaskedConv(channels + 1, width, left=half, sources=sources, targets=own, own="hidden")
        self.skips = MaskedConv(width * blocks, width, sources=own * blocks, targets=own)  # the sum of all S^l z^l
        self.hidden = MaskedConv(width, width, sources=own, targets=own)
        targets = [group for group in range(groups) for _ in range(outputs)]
        self.out = MaskedConv(width, groups * outputs, sources=own, targets=targets)

    def forward(
        self, x: Float[Tensor, "n channels height width"], given: Float[Tensor, "n condition"] | None = None
    ) -> Float[Tensor, "n parameters height width"]:
        """The parameters of every pixel, from those before it; `given` goes to every gate."""
        x = functional.pad(x, (0, 0, 0, 0, 0, 1), value=1.0)
        v, h = self.above(x), self.left(x)
        gated: list[Tensor] = []
        for block in self.blocks:
            v, h, z = block(v, h, given)
            gated.append(z)
        return self.out(self.hidden(self.skips(torch.cat(gated, 1)).relu()).relu())
