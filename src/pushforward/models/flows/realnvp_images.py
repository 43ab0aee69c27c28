"""RealNVP for images: checkerboards, channels, scales. Dinh et al. 2017, https://arxiv.org/abs/1605.08803."""

from collections.abc import Sequence

from torch import Size

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import (
    ActNorm,
    AffineTransformer,
    Chain,
    ClassPrior,
    ImageCoupling,
    MultiScale,
    Squeeze,
)
from pushforward.parts.data import Images
from pushforward.parts.nn import CouplingResNet

from .columns import seeded
from .pixels import Pixels


def realnvp_images(
    data: Images | None = None,
    *,
    event_shape: Sequence[int] | None = None,
    classes: int | None = None,
    levels: int | None = None,
    scales: int | None = None,
    width: int = 32,
    blocks: int = 2,
    dequantisation: str = "uniform",
    memory: str = "ordinary",
    seed: int = 0,
) -> Distribution:
    """At each of `scales` scales 3 couplings of a checkerboard, a squeeze, 3 of channels; at the end 4 of a checkerboard.

    Half of the channels leave after every scale. The pixels are seen through a logit, with alpha = 0.05. Couplings' networks
    are residual, of `width` channels and `blocks` blocks; the paper has 64 channels and 8 blocks for 32 x 32 pixels. It
    normalises over the batch, where this has activation normalisation after every coupling: no row sees another, and the
    score of an image is one number. `data`, `event_shape`, `classes`, `levels`, `scales`, `memory` and `seed` are as for `glow`.

    Raises `ConfigError` for data and event_shape both or neither, or sides that cannot be halved.

    >>> model = realnvp_images(event_shape=(1, 8, 8), levels=17, width=8, blocks=1)
    >>> model.sample(3).shape
    torch.Size([3, 1, 8, 8])
    """
    pixels = Pixels.of(data, event_shape, levels, classes)
    depth, shape = pixels.scales(scales), pixels.shape
    stack: list[Bijection] = []

    def couplings(event: Size, kind: str, count: int) -> list[Bijection]:
        """Noise -> data; which half passes takes turns."""
        parts: list[Bijection] = []
        for k in range(count):
            passing = event[0] if kind == "checkerboard" else event[0] // 2
            network = CouplingResNet(passing, 2 * passing, width, blocks, pixels.classes)
            mask = kind if k % 2 == 0 else f"{kind}_swapped"
            parts += [ImageCoupling(event, mask, AffineTransformer(), network), ActNorm(event)]
        return parts

    with seeded(seed):
        for _ in range(depth):
            squeeze = Squeeze(shape)
            inner = squeeze.event_shape
            parts = [*couplings(inner, "channel", 3), squeeze, *couplings(shape, "checkerboard", 3)]
            stack.insert(0, Chain(parts, memory))
            shape = Size((inner[0] // 2, *inner[1:]))
        top = couplings(shape, "checkerboard", 4)
        if pixels.classes is not None:
            top.insert(0, ClassPrior(shape, pixels.classes))
        stack.insert(0, Chain(top, memory))
    return pixels.model(MultiScale(stack), logit=True, dequantisation=dequantisation)
