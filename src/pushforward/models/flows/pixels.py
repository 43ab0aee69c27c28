"""From images to a model of whole pixels: what the flows of images share.

x in {0 .. L - 1} is spread over its cell, x + u; then y = (x + u) / L - 1/2 (Glow), or y = logit(alpha + (1 - 2 alpha)
(x + u) / L) with alpha = 0.05 (RealNVP), is what the flow sees. Both maps are parts of the model, so that its scores are
in nats of a probability of pixels, with every constant.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Size

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.shapes import as_size
from pushforward.parts.bijections import Affine, AffineTransformer, Chain, ImageCoupling, Sigmoid
from pushforward.parts.data import Images
from pushforward.parts.distributions import Dequantised, Flow, Gaussian, VariationalDequantised
from pushforward.parts.nn import CouplingResNet

from .columns import seeded

LOGIT_ALPHA = 0.05


@dataclass(frozen=True)
class Pixels:
    """What a flow must know of its images: their shape, the number of levels of a pixel, and of classes if any."""

    shape: Size
    levels: int
    classes: int | None = None

    @classmethod
    def of(
        cls, data: Images | None, event_shape: Sequence[int] | None, levels: int | None, classes: int | None
    ) -> "Pixels":
        """Read images, or take the numbers when there are no data yet: 256 levels where nothing is said.

        Raises `ConfigError` unless exactly one of `data` and `event_shape` is given, and for numbers that are impossible.
        """
        if (data is None) == (event_shape is None):
            raise ConfigError(
                "expected data or event_shape=, one of the two, got " + ("neither" if data is None else "both")
            )
        if data is not None:
            if not isinstance(data, Images):
                raise ConfigError(
                    f"expected images, got {type(data).__name__}; make them with pf.data.load or Images.of"
                )
            if levels is not None or classes not in (None, 0):
                raise ConfigError(
                    "expected no levels and classes beside data, which know their own; leave them out, or classes=0 for a model that ignores labels"
                )
            return cls(data.shape, data.levels, data.classes if classes is None else None)
        shape = as_size(event_shape or ())
        if len(shape) != 3 or min(shape) < 1:
            raise ConfigError(f"expected images of shape (channels, height, width), got {tuple(shape)}; for vectors take a flow of tables")  # fmt: skip
        if (levels or 256) < 2 or (classes is not None and classes < 1):
            raise ConfigError(
                f"expected at least 2 levels and 1 class, got {levels} and {classes}; 256 levels are bytes"
            )
        return cls(shape, levels or 256, classes)

    def scales(self, wanted: int | None, least: int = 2) -> int:
        """How many times the sides are halved: `wanted`, or up to 3 while they are even and leave at least `least` pixels.

        Raises `ConfigError` where the sides cannot be halved so often.

        >>> [Pixels(Size((1, side, side)), 256).scales(None) for side in (8, 28, 32)]
        [2, 2, 3]
        """
        sides, most = self.shape[1:], 0
        while all(side % 2 ** (most + 1) == 0 for side in sides):
            most += 1
        if wanted is not None:
            if not 1 <= wanted <= most:
                raise ConfigError(f"expected 1 to {most} scales, since a scale halves {sides[0]} x {sides[1]} pixels, got {wanted}; "
                                  f"use fewer, or give the images other sides with images.resized{self._even()}")  # fmt: skip
            return wanted
        fitting = [n for n in range(1, min(3, most) + 1) if min(sides) >> n >= least] or [1] * (most > 0)
        if not fitting:
            raise ConfigError(f"expected images with even sides, got {sides[0]} x {sides[1]} pixels; give them such with "
                              f"images.resized{self._even()}")  # fmt: skip
        return fitting[-1]

    def model(self, bijection: Bijection, *, logit: bool = False, dequantisation: str = "uniform") -> Distribution:
        """The flow of a bijection from a flat vector of noise to the images y, with the maps to whole pixels."""
        if logit:
            units: Bijection = Sigmoid(self.shape, alpha=LOGIT_ALPHA, high=float(self.levels))
        else:
            units = Affine(torch.full(self.shape, self.levels / 2), torch.full(self.shape, float(self.levels)))
        flow = Flow(Gaussian.standard(bijection.event_shape), Chain([bijection, units]))
        return dequantised(flow, dequantisation, self.levels)

    def _even(self) -> str:
        return str(tuple(8 * math.ceil(side / 8) for side in self.shape[1:]))


def dequantised(flow: Distribution, dequantisation: str, levels: int) -> Distribution:
    """`flow`, read as a distribution of whole numbers 0 .. levels - 1.

    "uniform" noise in the cells, or "variational": a flow of four checkerboard couplings that see the image, as in Flow++
    (Ho et al. 2019, https://arxiv.org/abs/1902.00275), and begin as uniform noise. Raises `ConfigError` for another kind.
    """
    shape = flow.event_shape
    if dequantisation == "uniform":
        return Dequantised(flow, torch.ones(shape))
    if dequantisation != "variational":
        raise ConfigError(f"expected dequantisation 'uniform' or 'variational', got {dequantisation!r}")
    channels = shape[0]
    with seeded(0):
        couplings = [
            ImageCoupling(
                shape, mask, AffineTransformer(), CouplingResNet(channels, 2 * channels, 32, 1, guide=channels)
            )
            for mask in ("checkerboard", "checkerboard_swapped") * 2
        ]
    middle = torch.full(shape, levels / 2)
    return VariationalDequantised(flow, Chain(couplings), torch.ones(shape), loc=middle, scale=middle)
