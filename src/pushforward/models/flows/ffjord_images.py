"""FFJORD of images. Grathwohl et al. 2019, https://arxiv.org/abs/1810.01367; Finlay et al. 2020, https://arxiv.org/abs/2002.02798."""

from collections.abc import Sequence

from torch import Size

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import ActNorm, Chain, ClassPrior, Continuous, Squeeze
from pushforward.parts.data import Images
from pushforward.parts.diffeq import Dopri5
from pushforward.parts.nn import VelocityConvNet

from .columns import seeded
from .pixels import Pixels
from .regularised import regularised


def ffjord_images(
    data: Images | None = None,
    *,
    event_shape: Sequence[int] | None = None,
    classes: int | None = None,
    levels: int | None = None,
    scales: int | None = None,
    width: int = 32,
    layers: int = 4,
    kinetic: float = 0.01,
    jacobian: float = 0.01,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> Distribution:
    """`scales` times: a squeeze, and a continuous map along a field of `layers` convolutions of `width` channels.

    The trace is estimated with one random vector an image, and the two energies are part of the loss, without which the
    field becomes hard to solve. The pixels are seen through a logit, with alpha = 0.05; a class moves and scales the noise.
    `data`, `event_shape`, `classes`, `levels`, `scales` and `seed` are as for `glow`; `log_prob_kind` is "estimate" but for
    the smallest images. Finlay et al. have 64 channels and Runge-Kutta steps of a quarter.

    Raises `ConfigError` for data and event_shape both or neither, sides that cannot be halved, or a negative weight.

    >>> model = ffjord_images(event_shape=(1, 8, 8), levels=17, width=8)
    >>> model.sample(3).shape
    torch.Size([3, 1, 8, 8])
    """
    if layers < 2:
        raise ConfigError(f"expected at least 2 convolutions, got {layers}; 4 are usual")
    pixels = Pixels.of(data, event_shape, levels, classes)
    shape = pixels.shape
    parts: list[Bijection] = [ActNorm(shape)]
    with seeded(seed):
        for _ in range(pixels.scales(scales)):
            squeeze = Squeeze(shape)
            shape = Size(squeeze.event_shape)
            field = VelocityConvNet(tuple(shape), width, layers)
            own = Continuous(field, "hutchinson", solver=Dopri5(), rtol=tolerance, atol=tolerance)
            parts = [own, ActNorm(shape), squeeze, *parts]
    if pixels.classes is not None:
        parts.insert(0, ClassPrior(shape, pixels.classes))
    return regularised(pixels.model(Chain(parts), logit=True), kinetic, jacobian)
