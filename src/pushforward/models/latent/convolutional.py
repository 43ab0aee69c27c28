"""The two halves of a convolutional autoencoder: an image to a small grid of channels, and back.

Residual blocks at every resolution, halved or doubled until the grid is `factor` times smaller (the shape of the autoencoders of
Rombach et al. 2022, https://arxiv.org/abs/2112.10752, without attention and without a discriminator).
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.parts.nn.norm import group_norm


@register
class ConvEncoder(nn.Module):
    """Images `(n, channels, height, width)` to `(n, outputs, ceil(height / factor), ceil(width / factor))`.

    `factor` is a power of two; sides that it does not divide are continued by their edges. Raises `ConfigError` for others.

    >>> import torch
    >>> ConvEncoder(1, (7, 8), 6, factor=2, width=8)(torch.zeros(2, 1, 7, 8)).shape
    torch.Size([2, 6, 4, 4])
    """

    def __init__(self, channels: int, size: Sequence[int], outputs: int, *, factor: int = 2, width: int = 32):
        super().__init__()
        levels = halvings(factor)
        height, breadth = size
        self.padding = (0, -breadth % factor, 0, -height % factor)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), _Block(width)]
        for _ in range(levels):
            layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), _Block(width)]
        self.layers = nn.Sequential(*layers, group_norm(width), nn.SiLU(), nn.Conv2d(width, outputs, 1))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n outputs rows columns"]:
        """Shrink."""
        return self.layers(nn.functional.pad(x, self.padding, mode="replicate") if any(self.padding) else x)


@register
class ConvDecoder(nn.Module):
    """Grids `(n, inputs, ceil(height / factor), ceil(width / factor))` to images `(n, channels, height, width)`.

    >>> import torch
    >>> ConvDecoder(1, (7, 8), 3, factor=2, width=8)(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 1, 7, 8])
    """

    def __init__(self, channels: int, size: Sequence[int], inputs: int, *, factor: int = 2, width: int = 32):
        super().__init__()
        self.height, self.breadth = size
        layers: list[nn.Module] = [nn.Conv2d(inputs, width, 3, padding=1), _Block(width)]
        for _ in range(halvings(factor)):
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(width, width, 3, padding=1),
                _Block(width),
            ]
        self.layers = nn.Sequential(*layers, group_norm(width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, z: Float[Tensor, "n inputs rows columns"]) -> Float[Tensor, "n c h w"]:
        """Enlarge."""
        return self.layers(z)[..., : self.height, : self.breadth]


def halvings(factor: int) -> int:
    """How often an image is halved; raises `ConfigError` for a factor that is no power of two."""
    if factor < 1 or factor & (factor - 1):
        raise ConfigError(f"expected a factor that is a power of two, such as 2 or 4, got {factor}")
    return factor.bit_length() - 1


class _Block(nn.Module):
    """x + conv SiLU norm conv SiLU norm x."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            group_norm(width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            group_norm(width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """`(n, width, h, w)` to the same."""
        return x + self.layers(x)
