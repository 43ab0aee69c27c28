"""An image as a sequence of patches, row by row (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929).

Numbers move and nothing else: log abs det 0.
"""

from collections.abc import Sequence

from torch import Size, Tensor
from torch.nn import functional

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class Patches(Bijection):
    """Tokens `(h w / p p, c p p)` to the image `(c, h, w)` that they are patches of; `patch` is p.

    Patches go along the rows of the image, from the top. Number `k p p + i p + j` of a token is channel k in row i and
    column j of its patch.

    Raises `ConfigError` for a height or width that `patch` does not divide.

    >>> import torch
    >>> z, log_det = Patches((1, 2, 4), 2).inverse(torch.arange(8.0).reshape(1, 2, 4))
    >>> z
    tensor([[0., 1., 4., 5.],
            [2., 3., 6., 7.]])
    """

    def __init__(self, shape: Sequence[int], patch: int):
        super().__init__()
        if len(shape) != 3 or patch < 1 or shape[1] % patch or shape[2] % patch:
            raise ConfigError(f"expected images (channels, height, width) whose sides {patch} divides, got {tuple(shape)}; "
                              "use another patch, or give them other sides with images.resized(height, width)")  # fmt: skip
        channels, height, width = shape
        self.output_shape = Size(shape)
        self.event_shape = Size((height * width // patch**2, channels * patch**2))
        self.patch = patch

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        grid = self.output_shape[1] // self.patch, self.output_shape[2] // self.patch
        channels = z.transpose(1, 2).reshape(len(z), self.event_shape[1], *grid)
        return functional.pixel_shuffle(channels, self.patch), z.new_zeros(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        tokens = functional.pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)
        return tokens, x.new_zeros(len(x))
