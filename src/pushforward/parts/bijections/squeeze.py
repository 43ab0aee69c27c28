"""Squeeze: pixels become channels, so that couplings and 1x1 convolutions can mix neighbours.

Every block of f x f pixels of a channel becomes f f channels of one pixel (Dinh et al. 2017, section 3.6,
https://arxiv.org/abs/1605.08803). Numbers move and nothing else: log abs det 0.
"""

from collections.abc import Sequence

from torch import Size, Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class Squeeze(Bijection):
    """Noise `(f f c, h / f, w / f)` to data `(c, h, w)`; `shape` is that of the data, `factor` is f.

    Channel `k f f + i f + j` holds the pixels of channel k in row i and column j of the blocks.

    Raises `ConfigError` for a height or width that `factor` does not divide.

    >>> import torch
    >>> squeeze = Squeeze((1, 2, 2))
    >>> z, log_det = squeeze.inverse(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    >>> z.flatten(), tuple(z.shape)
    (tensor([1., 2., 3., 4.]), (4, 1, 1))
    """

    def __init__(self, shape: Sequence[int], factor: int = 2):
        super().__init__()
        if len(shape) != 3 or factor < 1 or shape[1] % factor or shape[2] % factor:
            raise ConfigError(f"expected images (channels, height, width) whose sides {factor} divides, got {tuple(shape)}; "
                              "use fewer scales, or give them other sides with images.resized(height, width)")  # fmt: skip
        channels, height, width = shape
        self.output_shape = Size(shape)
        self.event_shape = Size((channels * factor**2, height // factor, width // factor))
        self.factor = factor

    # Both copy once, to one block of memory for each channel, which is what the maps between squeezes work on.
    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        f, (channels, height, width) = self.factor, self.output_shape
        blocks = z.transpose(0, 1).reshape(channels, f, f, len(z), height // f, width // f)
        x = blocks.permute(0, 3, 4, 1, 5, 2).reshape(channels, len(z), height, width)
        return x.transpose(0, 1), z.new_zeros(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        f, (channels, height, width) = self.factor, self.event_shape
        blocks = x.transpose(0, 1).reshape(channels // f**2, len(x), height, f, width, f)
        z = blocks.permute(0, 3, 5, 1, 2, 4).reshape(channels, len(x), height, width)
        return z.transpose(0, 1), x.new_zeros(len(x))
