"""Gated convolutions, as the encoders and decoders of flow posteriors have them: conv(x) sigmoid(gate(x)).

Each layer halves or doubles the sides, three in all, and a linear map stands at the vector's end; the shape is that of van den Berg et al.
2018 (https://arxiv.org/abs/1803.05649, appendix), with fewer channels.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from pushforward.core.registry import register


@register
class GatedEncoder(nn.Module):
    """Images `(n, channels, height, width)` to features `(n, outputs)`.

    >>> import torch
    >>> GatedEncoder((1, 6, 7), width=4, outputs=5)(torch.zeros(2, 1, 6, 7)).shape
    torch.Size([2, 5])
    """

    def __init__(self, event_shape: Sequence[int], width: int = 16, outputs: int = 256):
        super().__init__()
        channels, height, breadth = event_shape
        rows, columns = -(-height // 4), -(-breadth // 4)
        self.outputs = outputs
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(channels, 2 * width, 5, stride=2, padding=2),
                nn.Conv2d(width, 4 * width, 5, stride=2, padding=2),
                nn.Conv2d(2 * width, 4 * width, 3, padding=1),
            ]
        )
        self.last = nn.Linear(2 * width * rows * columns, 2 * outputs)

    def forward(self, y: Tensor) -> Tensor:
        """Features."""
        for layer in self.layers:
            y = nn.functional.glu(layer(y), 1)
        return nn.functional.glu(self.last(y.flatten(1)), 1)


@register
class GatedDecoder(nn.Module):
    """z `(n, latents)` to `size` numbers for each pixel, `(n, size, channels, height, width)`.

    >>> import torch
    >>> GatedDecoder(3, (1, 6, 7), size=2, width=4)(torch.zeros(5, 3)).shape
    torch.Size([5, 2, 1, 6, 7])
    """

    def __init__(self, latents: int, event_shape: Sequence[int], size: int = 1, width: int = 16):
        super().__init__()
        channels, height, breadth = event_shape
        self.shape = (size, channels, height, breadth)
        self.grid = (2 * width, -(-height // 4), -(-breadth // 4))
        self.first = nn.Linear(latents, 2 * self.grid[0] * self.grid[1] * self.grid[2])
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(2 * width, 4 * width, 3, padding=1),
                nn.ConvTranspose2d(2 * width, 2 * width, 4, stride=2, padding=1),
                nn.ConvTranspose2d(width, 2 * width, 4, stride=2, padding=1),
            ]
        )
        self.last = nn.Conv2d(width, size * channels, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Numbers for the likelihood."""
        h = nn.functional.glu(self.first(z), 1).reshape(len(z), *self.grid)
        for layer in self.layers:
            h = nn.functional.glu(layer(h), 1)
        return self.last(h)[..., : self.shape[2], : self.shape[3]].reshape(len(z), *self.shape)
