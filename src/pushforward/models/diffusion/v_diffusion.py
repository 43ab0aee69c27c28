"""v-diffusion: predict v = alpha noise - sigma data, on the cosine path.

E |v - v_theta(x_t, t)|^2. Salimans and Ho 2022, https://arxiv.org/abs/2202.00512.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

from pushforward.core.errors import ConfigError
from pushforward.parts.paths import Cosine

from .assemble import Source, assemble
from .diffusion import Diffusion
from .dit import transformer

Backbone = Literal["unet", "dit"]


def v_diffusion(data: Source = None, *, event_shape: int | Sequence[int] | None = None, classes: int | None = None,
                levels: int | None = None, width: int | None = None, backbone: Backbone = "unet") -> Diffusion:  # fmt: skip
    """v prediction on `Cosine()`: on this path v is the velocity of a point, up to the factor pi / 2, at every time
    of one size.

    The arguments are those of `ddpm`, and the `backbone` of images: "unet", or "dit" for a transformer, of which `dit` sets all
    sizes. It is the one to begin with for images: nothing is singular at either end.

    >>> import torch
    >>> model = v_diffusion(torch.randn(100, 3) * 7)
    >>> model.predict, tuple(model.event_shape)
    ('v', (3,))
    """
    if backbone not in get_args(Backbone):
        raise ConfigError(f"expected a backbone among {', '.join(get_args(Backbone))}, got {backbone!r}")
    network = partial(transformer, width=width) if backbone == "dit" else None
    return assemble(Cosine(), "v", data, event_shape, classes, levels, width, image_network=network)
