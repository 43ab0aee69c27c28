"""Residual flow of images. Behrmann et al. 2019, https://arxiv.org/abs/1811.00995; Chen et al. 2019, https://arxiv.org/abs/1906.02735."""

from collections.abc import Sequence

from torch import Size

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import ActNorm, Chain, ClassPrior, Inverse, Residual, Squeeze
from pushforward.parts.data import Images
from pushforward.parts.nn import ContractiveConv

from .columns import seeded
from .pixels import Pixels


def residual_images(
    data: Images | None = None,
    *,
    event_shape: Sequence[int] | None = None,
    classes: int | None = None,
    levels: int | None = None,
    scales: int | None = None,
    blocks: int = 4,
    width: int = 32,
    coefficient: float = 0.97,
    terms: int = 4,
    dequantisation: str = "uniform",
    memory: str = "ordinary",
    seed: int = 0,
) -> Distribution:
    """`scales` times: a squeeze, and `blocks` convolutional residual blocks of `width` channels with activation normalisation.

    All channels stay to the end. The pixels are seen through a logit, with alpha = 0.05; a class moves and scales the noise. Log
    dets are unbiased estimates: in training a series cut at random, of which `terms` terms are always there, otherwise the whole
    series. The paper has 16 blocks of 512 channels at each of 3 scales. `data`, `event_shape`, `classes`, `levels`, `scales`,
    `memory` and `seed` are as for `glow`; `log_prob_kind` is "estimate".

    Raises `ConfigError` for data and event_shape both or neither, sides that cannot be halved, or fewer than 1 block.

    >>> model = residual_images(event_shape=(1, 8, 8), levels=17, blocks=1, width=8)
    >>> model.sample(3).shape
    torch.Size([3, 1, 8, 8])
    """
    if blocks < 1:
        raise ConfigError(f"expected at least 1 block a scale, got {blocks}; 4 are a small model")
    pixels = Pixels.of(data, event_shape, levels, classes)
    depth, shape = pixels.scales(scales), pixels.shape
    parts: list[Bijection] = [ActNorm(shape)]
    with seeded(seed):
        for _ in range(depth):
            squeeze = Squeeze(shape)
            shape = squeeze.event_shape
            own = [part for _ in range(blocks) for part in residual_block(shape, width, coefficient, terms)]
            parts = [*own, squeeze, *parts]
    if pixels.classes is not None:
        parts.insert(0, ClassPrior(shape, pixels.classes))
    return pixels.model(Chain(parts, memory), logit=True, dequantisation=dequantisation)


def residual_block(event_shape: Sequence[int], width: int = 32, coefficient: float = 0.97, terms: int = 4) -> list[Bijection]:  # fmt: skip
    """Noise -> data: the inverse of x + g(x), kernels of 3, 1 and 3 pixels, then activation normalisation.

    >>> [type(part).__name__ for part in residual_block((4, 4, 4))]
    ['Inverse', 'ActNorm']
    """
    network = ContractiveConv(event_shape, (width, width), (3, 1, 3), coefficient)
    return [Inverse(Residual(network, "unbiased", terms)), ActNorm(Size(event_shape))]
