"""A diffusion transformer as a named model: v prediction on the cosine path by `DiT`.

Peebles and Xie 2023, https://arxiv.org/abs/2212.09748; Salimans and Ho 2022, https://arxiv.org/abs/2202.00512.
"""

import math
from collections.abc import Sequence

from torch import Size, nn

from pushforward.parts.data import Images
from pushforward.parts.nn import DiT
from pushforward.parts.paths import Cosine

from .assemble import assemble
from .diffusion import Diffusion


def dit(data: Images | None = None, *, event_shape: Sequence[int] | None = None, classes: int | None = None,
        levels: int | None = None, width: int | None = None, layers: int = 6, heads: int = 4,
        patch: int | None = None) -> Diffusion:  # fmt: skip
    """`v_diffusion` of images with a transformer in the place of the U-Net.

    Args:
        data: images, from which the model takes its size, levels and classes.
        event_shape, classes, levels: instead of data, as in `ddpm`; the shape is (channels, height, width).
        width: numbers of a token (128). layers, heads: of the transformer.
        patch: pixels of a side of a patch, which must divide both sides of the image; by default the least that leaves at most 64.

    >>> model = dit(event_shape=(1, 8, 8), classes=10, levels=17, layers=2)
    >>> model.sample(2, sampler=None).shape
    torch.Size([2, 1, 8, 8])
    """

    def network(shape: Size, classes: int | None, outputs: int) -> nn.Module:
        return transformer(shape, classes, outputs, width=width, layers=layers, heads=heads, patch=patch)

    return assemble(Cosine(), "v", data, event_shape, classes, levels, width, image_network=network)


def transformer(shape: Size, classes: int | None, outputs: int, *, width: int | None = None, layers: int = 6,
                heads: int = 4, patch: int | None = None) -> DiT:  # fmt: skip
    """A `DiT` for images of this shape, with patches that leave at most 64 tokens if any size of patch does."""
    channels, *size = shape
    return DiT(channels, size, width=width or 128, layers=layers, heads=heads, patch=patch or least_patch(size),
               classes=classes, outputs=outputs)  # fmt: skip


def least_patch(size: Sequence[int], tokens: int = 64) -> int:
    """The least side of a patch that divides both sides of an image and leaves at most so many patches.

    >>> least_patch((8, 8)), least_patch((28, 28)), least_patch((7, 9))
    (1, 4, 1)
    """
    common = math.gcd(*size)
    sides = [side for side in range(1, common + 1) if common % side == 0]
    return next((side for side in sides if math.prod(size) <= tokens * side**2), common)
