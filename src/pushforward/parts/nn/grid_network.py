"""Convolutions on a grid of any length, in one or two dimensions: what is shifted at the input is shifted at the output.

Without levels, layers h <- h + conv(act(h)) at one resolution; with them, a U-Net: convolutions of stride 2 down, and up again
by repetition and a convolution of what came down beside it (Ronneberger et al., 2015, https://arxiv.org/abs/1505.04597).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .activations import activation_named


@register
class GridNetwork(nn.Module):
    """A convolutional network `(n, inputs, *cells)` to `(n, outputs, *cells)` for `dim` 1 or 2.

    `layers` convolutions of odd width `kernel` when `levels` is 0; otherwise one, then one down and one up for each level,
    and the number of cells must be a multiple of `multiple` = 2^`levels`. A cell of the output sees `reach` cells to each
    side, so that further than this from the border the output is that of an endless grid. Raises `ConfigError` for sizes that
    do not fit.

    >>> network = GridNetwork(1, 2, 3, channels=8, layers=4)
    >>> network(torch.zeros(5, 2, 40)).shape, network.reach
    (torch.Size([5, 3, 40]), 8)
    """

    def __init__(self, dim: int, inputs: int, outputs: int, *, channels: int = 32, layers: int = 4, kernel: int = 5,
                 levels: int = 0, activation: str = "relu"):  # fmt: skip
        super().__init__()
        if dim not in (1, 2) or min(inputs, outputs, channels, layers, kernel) < 1 or levels < 0 or not kernel % 2:
            raise ConfigError("expected dim 1 or 2, an odd kernel, sizes of 1 or more and levels of 0 or more, got "
                              f"{dim}, {kernel}, {inputs}, {outputs}, {channels}, {layers} and {levels}; correct them")  # fmt: skip
        conv, half = (nn.Conv1d if dim == 1 else nn.Conv2d), kernel // 2
        self.levels, self.multiple, self.activation = levels, 2**levels, activation_named(activation)
        self.first = conv(inputs, channels, kernel, padding=half)
        deeper = layers - 1 if levels == 0 else 0
        self.flat = nn.ModuleList(conv(channels, channels, kernel, padding=half) for _ in range(deeper))
        self.down = nn.ModuleList(conv(channels, channels, kernel, stride=2, padding=half) for _ in range(levels))
        self.up = nn.ModuleList(conv(2 * channels, channels, kernel, padding=half) for _ in range(levels))
        self.last = conv(channels, outputs, 1)
        # Up and down again at resolution 2^l: half a kernel each, and two more cells for the rounding of the places.
        self.reach = half * (1 + deeper) + sum((2 * half + 2) * 2**level for level in range(levels))

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the network."""
        h = self.first(x)
        for conv in self.flat:
            h = h + conv(self.activation(h))
        passed: list[Tensor] = []
        for conv in self.down:
            passed.append(h)
            h = conv(self.activation(h))
        for conv in self.up:
            h = torch.cat([passed.pop(), interpolate(h, scale_factor=2.0, mode="nearest")], 1)
            h = conv(self.activation(h))
        return self.last(self.activation(h))
