"""Which direction of a flow costs one pass of closed form: the layers are turned to face it."""

from collections.abc import Sequence
from typing import Literal, get_args

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Inverse

Fast = Literal["density", "sampling"]


def facing(layers: Sequence[Bijection], fast: str) -> list[Bijection]:
    """Layers whose `forward` is the cheap direction, as they are for sampling, or turned round for densities.

    Raises `ConfigError` for fewer than 1 layer, or another word.
    """
    if fast not in get_args(Fast):
        raise ConfigError(f"expected fast 'density' or 'sampling', got {fast!r}; maximum likelihood needs densities, variational inference draws")  # fmt: skip
    if not layers:
        raise ConfigError("expected at least 1 layer, got none; every layer bends the density once")
    return list(layers) if fast == "sampling" else [Inverse(layer) for layer in layers]
