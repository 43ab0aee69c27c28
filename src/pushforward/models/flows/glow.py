"""Glow: flows with invertible 1x1 convolutions. Kingma and Dhariwal 2018, https://arxiv.org/abs/1807.03039."""

from collections.abc import Sequence

from torch import Size

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.random import mix
from pushforward.parts.bijections import (
    ActNorm,
    ActNormConv,
    AffineTransformer,
    Chain,
    ClassPrior,
    ImageCoupling,
    InvertibleConv1x1,
    MultiScale,
    Squeeze,
)
from pushforward.parts.data import Images
from pushforward.parts.nn import CouplingConvNet

from .columns import seeded
from .pixels import Pixels


def glow(
    data: Images | None = None,
    *,
    event_shape: Sequence[int] | None = None,
    classes: int | None = None,
    levels: int | None = None,
    scales: int | None = None,
    steps: int = 8,
    width: int = 96,
    conv: str = "plu",
    prior: str = "learned",
    dequantisation: str = "uniform",
    memory: str = "ordinary",
    seed: int = 0,
) -> Distribution:
    """`scales` levels, each a squeeze and `steps` of activation normalisation, 1x1 convolution and affine coupling.

    Half of the channels leave after each level but the last. Built from images, or for images of `event_shape` with pixels
    0 .. `levels` - 1 (256), whose condition is the number of a class if there are `classes`: the class sets the Gaussian
    of the last level, as in the paper, and a bias in the couplings' networks. `width` is theirs; the paper has 3 scales,
    32 steps and 512 channels for 32 x 32 pixels and days of eight GPUs. `scales` is as many as the sides allow, up to 3.
    `conv` is "plu" or "dense"; `prior` of the channels that leave is "learned" from those that stay, or "standard".
    Scales of couplings are e^(3 tanh(a / 3)) where the paper has sigmoid(a + 2): bounded in both directions, and 1 at first.

    `memory="reversible"` keeps the activations of one step instead of all. It begins as a random rotation of the pixels;
    `start_from_data` sets its normalisation by a first batch.

    Raises `ConfigError` for data and event_shape both or neither, sides that cannot be halved, or unknown kinds.

    >>> model = glow(event_shape=(1, 8, 8), classes=10, levels=17, steps=2, width=16)
    >>> import torch
    >>> model.sample((), torch.arange(10)).shape
    torch.Size([10, 1, 8, 8])
    """
    if prior not in ("learned", "standard"):
        raise ConfigError(f"expected prior 'learned' or 'standard', got {prior!r}")
    if steps < 1:
        raise ConfigError(f"expected at least 1 step a level, got {steps}; 8 are a small model, 32 that of the paper")
    pixels = Pixels.of(data, event_shape, levels, classes)
    depth, shape = pixels.scales(scales), pixels.shape
    stack: list[Bijection] = []
    with seeded(seed):
        for scale in range(depth):
            squeeze, last = Squeeze(shape), scale == depth - 1
            inner = squeeze.event_shape
            parts = [
                part for k in range(steps) for part in _step(inner, width, conv, pixels.classes, mix(seed, scale, k))
            ]
            if last and pixels.classes is not None:
                parts.insert(0, ClassPrior(inner, pixels.classes))
            elif not last and prior == "learned":
                parts.insert(0, _coupling(inner, 0, pixels.classes))  # one convolution, as in the paper
            stack.insert(0, Chain([*parts, squeeze], memory))
            shape = Size((inner[0] // 2, *inner[1:]))
    return pixels.model(MultiScale(stack), dequantisation=dequantisation)


def _step(shape: Size, width: int, conv: str, classes: int | None, seed: int) -> list[Bijection]:
    """One step of flow, noise -> data: coupling, convolution, normalisation."""
    return [_coupling(shape, width, classes), ActNormConv(ActNorm(shape), InvertibleConv1x1(shape, conv, seed))]


def _coupling(shape: Size, width: int, classes: int | None) -> ImageCoupling:
    passing = shape[0] // 2
    network = CouplingConvNet(passing, 2 * (shape[0] - passing), width, classes)
    return ImageCoupling(shape, "channel", AffineTransformer(), network)
